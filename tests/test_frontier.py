"""`gatekeeper frontier`: every budget a counted run, what is finished stays, and nothing leaves the run directories."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.identification import CANDIDATES, Identification
from gatekeeper.core.ledger import Identities
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, PlannedRun
from gatekeeper.core.risk import AttackReport, Count
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.errors import DivergedError, GatekeeperError, InternalError, PrivatePartError, UnresumableError
from gatekeeper.pipeline import child
from gatekeeper.pipeline.matching import audit_mechanism
from gatekeeper.pipeline.non_private import NonPrivateResult, _Alone
from gatekeeper.pipeline.planning import make_plan, without_ceiling
from gatekeeper.privacy import identification_power, participations
from gatekeeper.report import frontier_plot
from gatekeeper.rundir import Failure, RunDirectory
from tests.command_line import Ran, gatekeeper
from tests.facts import every_outcome, identification, measurement, outcome, sample_facts, spectrum
from tests.test_end_to_end import CANDIDATE, POLICY, Bench
from tests.test_end_to_end_resume import Patient
from tests.tiny import tiny_card, tiny_units

FRONTIER = ("frontier", "candidate.yaml", "--policy", "policy.yaml", "--out", "out", "--no-plot")
RESULTS = {"frontier.json", "frontier.csv", "frontier.md"}


def card() -> DatasetCard:
    """The data set that the simulated private part finds."""
    return dataclasses.replace(tiny_card(tiny_units(units=240)), unit="lesion", image_shape=(3, 16, 16))


@dataclasses.dataclass
class Simulator:
    """Stands for data, training and attacks: a private part that writes what one would; all else is real."""

    calls: list[tuple[str, float | None, int]] = dataclasses.field(default_factory=list)
    before: Callable[[RunDirectory, str], None] = lambda run, task: None

    def run_private_part(self, run: RunDirectory, task: str, *, quiet: bool = False, device: str = "auto") -> None:
        policy, candidate = run.read_policy(), run.read_candidate()
        self.calls.append((task, candidate.training.epsilon, candidate.training.seed))
        self.before(run, task)
        if task in ("plan", "plan-beyond"):
            self._plan(run, without_ceiling(policy) if task == "plan-beyond" else policy, candidate)
        elif task == "produce":
            self._produce(run, policy, candidate)
        else:
            measured = _measurements(policy, _Alone(run.path).read_permit().attempt)
            result = NonPrivateResult(dataset=card(), attempt=1, utility=UtilityReport(measurements=measured))
            _Alone(run.path).write_result(result)

    def _plan(self, run: RunDirectory, policy: Policy, candidate: Candidate) -> None:
        twin = any(rule.needs_twin for rule in policy.utility_rules)
        run.write_planned(PlannedRun(dataset=card(), plan=make_plan(candidate, policy, card()), non_private=twin))
        run.write_identities(Identities(units=tuple((f"unit {number}",) for number in range(240))))

    def _produce(self, run: RunDirectory, policy: Policy, candidate: Candidate) -> None:
        plan, evidence = run.read_planned().plan, sample_facts().evidence
        run.model.write_bytes(b"a model")
        measured = _measurements(policy, run.read_permit().attempt)
        sample = Count(successes=0, trials=200) if plan.mechanism.noise_multiplier > 0.02 else Count(
            successes=200, trials=200
        )  # fmt: skip
        attacked = outcome(sample=sample, median_similarity=0.9 if sample.successes else 0.3)
        run.write_evidence(
            dataclasses.replace(
                evidence,
                candidate=candidate,
                dataset=card(),
                plan=plan,
                record=dataclasses.replace(
                    evidence.record,
                    mechanism=plan.mechanism,
                    clipping_norm=plan.clipping_norm,
                    divisor=plan.divisor,
                ),
                model=dataclasses.replace(evidence.model, sha256=hashlib.sha256(b"a model").hexdigest()),
                utility=UtilityReport(
                    measurements=measured,
                    baseline=measured,
                    drops=tuple(dataclasses.replace(m, estimate=0.0, low=-0.1, high=0.1) for m in measured),
                ),
                attacks=AttackReport(
                    nulls=evidence.attacks.nulls,
                    outcomes=every_outcome(attacked, uses=participations(plan.mechanism).upper_quantile()),
                    spectrum=spectrum(768),
                ),
                identifications=_identified(plan.mechanism),
            )
        )


def _identified(run: Mechanism) -> tuple[Identification, ...]:
    mechanism = audit_mechanism(run, candidates=CANDIDATES)
    proven = identification_power(mechanism, prior_success=1 / CANDIDATES).worst_case
    return tuple(dataclasses.replace(found, mechanism=mechanism, bound=proven) for found in identification(run))


def _measurements(policy: Policy, attempt: int) -> tuple[Measurement, ...]:
    confidences = {rule.confidence for rule in policy.rules_at(attempt) if isinstance(rule, UtilityRule)}
    return tuple(dataclasses.replace(measurement(), confidence=each) for each in sorted(confidences))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    assert gatekeeper("ledger", "init").code == 0
    return tmp_path


def write(here: Path, *, attempts: int = 6, total: str = "", ceiling: str = "1.0e+5") -> None:
    """A candidate, and a policy whose ceiling lies at 10⁵."""
    (here / "candidate.yaml").write_text(CANDIDATE.format(epsilon="1.0e+3"))
    policy = POLICY.format(minimum="0.1", attempts=attempts, total=total)
    (here / "policy.yaml").write_text(
        policy.replace("max: 1.0e+12", f"max: {ceiling}").replace("max: 0.05", "max: 0.2")
    )


@pytest.fixture
def simulator(here: Path, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    simulator = Simulator()
    monkeypatch.setattr(child, "run_private_part", simulator.run_private_part)
    return simulator


def results(here: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((here / "out/frontier.json").read_text())
    return document


def points(here: Path) -> list[tuple[object, int, str, tuple[str, ...]]]:
    found = results(here)["points"]
    assert isinstance(found, list)
    return [(p["epsilon"], p["seed"], p["outcome"], tuple(p["failing"])) for p in found]


def ledger_runs(here: Path) -> list[dict[str, object]]:
    runs: list[dict[str, object]] = json.loads(gatekeeper("ledger", "show", "--format", "json").stdout)["runs"]
    return runs


def models(here: Path) -> list[Path]:
    return [path for path in here.rglob("*.onnx*") if ".gatekeeper" not in path.parts]


# A whole frontier


def test_each_budget_is_a_run_and_beyond_the_ceiling_one_only_looks(simulator: Simulator, here: Path) -> None:
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e6,1e3,inf")
    assert ran.code == 0, ran.stderr
    assert points(here) == [
        (1e3, 0, "approved", ()),
        (1e6, 0, "refused", ("privacy-epsilon", "reconstruction")),
        ("inf", 0, "refused", ("privacy-epsilon",)),
    ]
    assert simulator.calls == [
        ("plan-beyond", 1e6, 0), ("produce", 1e6, 0), ("plan-beyond", 1e3, 0), ("produce", 1e3, 0),
        ("plan", None, 0), ("produce-twin", None, 0),
    ]  # fmt: skip
    assert ran.stdout == (here / "out/frontier.md").read_text()
    assert "ε = 1000 passes policy tiny v1" in ran.stdout
    assert {path.name for path in (here / "out").iterdir()} == RESULTS | {"progress.json", "lock"}
    assert not models(here)


def test_every_run_is_counted_and_the_non_private_one_is_no_attempt(simulator: Simulator, here: Path) -> None:
    gatekeeper(*FRONTIER, "--epsilons", "inf,1e3,1e6")
    document = results(here)
    assert (document["private_runs"], document["non_private_runs"]) == (2, 3)
    assert [p["attempt"] for p in document["points"]] == [1, 2, None]  # type: ignore[attr-defined]
    runs = ledger_runs(here)
    assert [run["mechanism"] is None for run in runs] == [True, False, False]
    assert [run["settled"] for run in runs] == [True] * 3
    assert [run["conclusion"] for run in runs] == ["refused", "approved", "refused"]
    digests = {run["reservation"]["policy_digest"] for run in runs}  # type: ignore[index]
    assert digests == {document["policy_digest"]}, "counted under the policy itself"
    total = document["total"]["epsilon"]["high"]  # type: ignore[index]
    assert total > 1e6


def test_seeds_are_the_candidates_own_or_those_that_are_given(simulator: Simulator, here: Path) -> None:
    assert gatekeeper(*FRONTIER, "--epsilons", "1e3", "--seeds", "7,3").code == 0
    assert [point[:2] for point in points(here)] == [(1e3, 3), (1e3, 7)]
    assert [seed for _, _, seed in simulator.calls] == [7, 7, 3, 3]


def test_the_policy_still_limits_attempts_and_the_total(simulator: Simulator, here: Path) -> None:
    write(here, attempts=1)
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3,1e4")
    assert ran.code == 0
    assert [point[2] for point in points(here)] == ["approved", "declined"]
    assert "it allows 1" in ran.stdout
    assert len(ledger_runs(here)) == 1
    write(here, total=", total_epsilon: {max: 2.0e+5}")
    ran = gatekeeper(*FRONTIER[:-2], "more", "--no-plot", "--epsilons", "1e12,1e3")
    assert [p["outcome"] for p in json.loads((here / "more/frontier.json").read_text())["points"]] == [
        "approved",
        "declined",
    ]
    assert "total_epsilon allows 200000" in ran.stderr


@pytest.mark.parametrize(("epsilons", "code"), [("1e3", 0), ("1e6", 1), ("inf", 1)])
def test_the_exit_code_says_whether_a_budget_passes(simulator: Simulator, here: Path, epsilons: str, code: int) -> None:
    assert gatekeeper(*FRONTIER, "--epsilons", epsilons).code == code


def failing_with(error: GatekeeperError, *, at: float) -> Callable[[RunDirectory, str], None]:
    """Fails as the child does: it leaves its failure, and the parent reports it."""

    def act(run: RunDirectory, task: str) -> None:
        if task == "produce" and run.read_candidate().training.epsilon == at:
            failure = Failure(code=error.code, message=error.message, where=None, hint=None, exit_code=error.exit_code)
            run.write_failure(failure)
            raise PrivatePartError(**{name: getattr(failure, name) for name in failure.__slots__})

    return act


def test_a_training_that_diverges_is_one_point_and_the_others_go_on(simulator: Simulator, here: Path) -> None:
    simulator.before = failing_with(DivergedError("the loss is NaN"), at=1e3)
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3,1e6")
    assert ran.code == 3
    assert [point[2] for point in points(here)] == ["failed", "refused"]
    assert "the loss is NaN" in ran.stdout
    assert results(here)["private_runs"] == 2, "the one that failed is counted"


def test_where_no_budget_can_be_planned_the_reason_is_said(simulator: Simulator, here: Path) -> None:
    def no_noise(run: RunDirectory, task: str) -> None:
        raise PrivatePartError(code="privacy", message="no noise will do", where=None, hint=None, exit_code=2)

    simulator.before = no_noise
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3")
    assert ran.code == 2
    assert "no noise will do" in ran.stderr
    assert not RESULTS & {path.name for path in (here / "out").iterdir()}


# Going on


def stopping(number: int, error: BaseException) -> Callable[[RunDirectory, str], None]:
    """Raises at the given training, counted from 1, and never again."""
    left = [number]

    def act(run: RunDirectory, task: str) -> None:
        if task.startswith("produce"):
            left[0] -= 1
            if left[0] == 0:
                raise error

    return act


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (1, KeyboardInterrupt(), 130),
        (2, KeyboardInterrupt(), 130),
        (3, InternalError("killed by signal 9"), 5),
    ],
)
def test_a_frontier_that_was_stopped_goes_on_where_it_was(
    simulator: Simulator, here: Path, number: int, error: BaseException, code: int
) -> None:
    simulator.before = stopping(number, error)
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3,1e6,inf")
    assert ran.code == code, ran.stderr
    assert not RESULTS & {path.name for path in (here / "out").iterdir()}
    begun = sorted((here / ".gatekeeper/runs").iterdir())
    assert len(begun) == number
    command = shlex.split(ran.stderr.partition("to go on: gatekeeper ")[2].splitlines()[0])
    simulator.calls.clear()
    again = gatekeeper(*command)
    assert again.code == 0, again.stderr
    assert [task for task, _, _ in simulator.calls].count("produce-twin") == 1
    assert len([task for task, _, _ in simulator.calls if task.startswith("produce")]) == 4 - number
    assert set(begun) <= set((here / ".gatekeeper/runs").iterdir())
    assert len(ledger_runs(here)) == 3, "the run that was stopped is gone on with, and counted once"
    assert [point[2] for point in points(here)] == ["approved", "refused", "refused"]
    simulator.calls.clear()
    assert gatekeeper(*command).code == 0
    assert simulator.calls == [], "what is finished is not done again"


def test_a_verdict_that_was_reached_and_not_remembered_is_read_again(simulator: Simulator, here: Path) -> None:
    gatekeeper(*FRONTIER, "--epsilons", "1e3")
    first = points(here)
    path = here / "out/progress.json"
    progress = json.loads(path.read_text())
    progress["entries"][0]["point"] = None
    path.write_text(json.dumps(progress, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")
    simulator.calls.clear()
    assert gatekeeper(*FRONTIER, "--epsilons", "1e3", "--resume").code == 0
    assert (simulator.calls, points(here)) == ([], first)


def test_a_run_that_can_never_go_on_is_counted_and_another_begins(simulator: Simulator, here: Path) -> None:
    simulator.before = stopping(1, KeyboardInterrupt())
    assert gatekeeper(*FRONTIER, "--epsilons", "1e3").code == 130
    lost = PrivatePartError(code=UnresumableError.code, message="too few steps", where=None, hint=None, exit_code=2)
    simulator.before = stopping(1, lost)
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3", "--resume")
    assert ran.code == 0, ran.stderr
    assert "can't go on and stays counted in full" in ran.stderr
    assert results(here)["private_runs"] == 2
    assert [run["settled"] for run in ledger_runs(here)] == [False, True]


def test_a_run_that_was_pruned_is_begun_again(simulator: Simulator, here: Path) -> None:
    simulator.before = stopping(1, KeyboardInterrupt())
    gatekeeper(*FRONTIER, "--epsilons", "1e3")
    assert gatekeeper("runs", "prune", "--keep", "0", "--yes").code == 0
    ran = gatekeeper(*FRONTIER, "--epsilons", "1e3", "--resume")
    assert ran.code == 0
    assert "is gone" in ran.stderr
    assert len(ledger_runs(here)) == 2


def test_the_same_question_must_be_asked_again(simulator: Simulator, here: Path) -> None:
    gatekeeper(*FRONTIER, "--epsilons", "1e3")
    for changed, what in (
        (("--epsilons", "1e3,1e4"), "list of epsilons"),
        (("--epsilons", "1e3", "--seeds", "5"), "list of seeds"),
    ):
        ran = gatekeeper(*FRONTIER, *changed, "--resume")
        assert ran.code == 2
        assert f"the {what} is not that of the frontier" in ran.stderr
    write(here, attempts=5)
    assert "the policy is not that of the frontier" in gatekeeper(*FRONTIER, "--epsilons", "1e3", "--resume").stderr
    (here / "out/progress.json").write_text("{}")
    assert "changed or cut short" in gatekeeper(*FRONTIER, "--epsilons", "1e3", "--resume").stderr


# What is known before the training


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--epsilons", "8,eight", "'eight' in '8,eight' is no ε"),
        ("--epsilons", "8,-1", "'-1'"),
        ("--epsilons", "0", "'0'"),
        ("--epsilons", "8,nan", "'nan'"),
        ("--epsilons", "8,1e301", "'1e301'"),
        ("--epsilons", "8,-inf", "'-inf'"),
        ("--epsilons", "8,8.0", "twice"),
        ("--epsilons", "inf,inf", "twice"),
        ("--epsilons", "", "'' in '' is no ε"),
        ("--epsilons", "8,", "'' in '8,' is no ε"),
        ("--seeds", "1,1", "twice"),
        ("--seeds", "1,-2", "'-2'"),
        ("--seeds", "1.5", "'1.5'"),
        ("--seeds", "", "is no seed"),
    ],
)
def test_a_bad_list_is_a_usage_error_that_names_the_word(tmp_path: Path, option: str, value: str, said: str) -> None:
    other = () if option == "--epsilons" else ("--epsilons", "8")
    ran = gatekeeper(*FRONTIER[:5], str(tmp_path / "out"), *other, option, value)
    assert ran.code == 2
    assert said in ran.stderr
    assert not (tmp_path / "out").exists()


def test_epsilons_must_be_given() -> None:
    assert gatekeeper(*FRONTIER).code == 2


def _refused(ran: Ran, simulator: Simulator, said: str) -> None:
    assert ran.code == 2
    assert said in ran.stderr
    assert simulator.calls == []


def test_a_folder_that_holds_something_is_left_alone(simulator: Simulator, here: Path) -> None:
    (here / "out").mkdir()
    (here / "out/thesis.tex").write_text("mine")
    _refused(gatekeeper(*FRONTIER, "--epsilons", "8"), simulator, "is not empty, and nothing is overwritten")
    _refused(gatekeeper(*FRONTIER, "--epsilons", "8", "--resume"), simulator, "holds no frontier to go on with")
    assert [path.name for path in (here / "out").iterdir()] == ["thesis.tex"]


def test_a_folder_that_can_not_be_is_found_before_the_training(simulator: Simulator, here: Path) -> None:
    (here / "out").symlink_to(here)
    _refused(gatekeeper(*FRONTIER, "--epsilons", "8"), simulator, "is no directory")
    _refused(gatekeeper(*FRONTIER[:-2], "a/b", "--no-plot", "--epsilons", "8"), simulator, "parent directory does not")


def test_a_finished_frontier_is_not_overwritten_without_resume(simulator: Simulator, here: Path) -> None:
    gatekeeper(*FRONTIER, "--epsilons", "1e3")
    simulator.calls.clear()
    _refused(gatekeeper(*FRONTIER, "--epsilons", "1e3"), simulator, "add --resume to go on with it")


def test_without_matplotlib_nothing_is_trained_unless_no_plot_is_asked_for(
    simulator: Simulator, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier_plot.util, "find_spec", lambda name: None)
    _refused(gatekeeper(*FRONTIER[:-1], "--epsilons", "1e3"), simulator, 'pip install "gatekeeper[plot]"')
    assert not (here / "out").exists()
    assert gatekeeper(*FRONTIER, "--epsilons", "1e3").code == 0


def test_under_torchrun_it_is_refused(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    _refused(gatekeeper(*FRONTIER, "--epsilons", "1e3"), simulator, "walked by one process")


def test_the_schema_is_printed_without_anything_else(here: Path) -> None:
    assert json.loads(gatekeeper("frontier", "--schema").stdout)["$id"] == "urn:gatekeeper:frontier:v1"


# Non-private runs


def test_a_run_without_privacy_is_listed_as_such_and_never_gone_on_with_as_another(
    simulator: Simulator, here: Path
) -> None:
    gatekeeper(*FRONTIER, "--epsilons", "inf")
    (path,) = (here / ".gatekeeper/runs").iterdir()
    assert RunDirectory(path).state() == "non-private"
    ran = gatekeeper("certify", "candidate.yaml", "--policy", "policy.yaml", "--no-sign", "--resume")
    assert ran.code == 2, "it is no interrupted run that certify could go on with"
    assert not (path / "permit.json").exists()


def test_the_policy_for_looking_lifts_the_ceilings_on_epsilon_and_nothing_else() -> None:
    from tests.facts import sample_policy

    policy = sample_policy()
    lifted = without_ceiling(policy)
    assert lifted.privacy.max_epsilon > 1e300
    back = dataclasses.replace(
        lifted, privacy=dataclasses.replace(lifted.privacy, max_epsilon=policy.privacy.max_epsilon)
    )
    assert back == policy


# With a real training


@pytest.mark.slow
def test_a_frontier_of_real_trainings(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    write(tmp_path)
    arguments = (*FRONTIER[:-1], "--epsilons", "1e3,1e9,inf", "-q")
    result = bench.run(*arguments)
    assert result.returncode == 0, result.stderr
    assert [(e, o) for e, _, o, _ in points(tmp_path)] == [(1e3, "approved"), (1e9, "refused"), ("inf", "refused")]
    assert {path.name for path in (tmp_path / "out").iterdir()} > {"frontier.svg", "frontier.png"}
    assert not bench.models()
    assert not list(tmp_path.rglob("twin*"))
    document = results(tmp_path)
    assert (document["private_runs"], document["non_private_runs"]) == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "counted"), [(signal.SIGTERM, 2), (signal.SIGKILL, 3)])
def test_a_frontier_that_is_killed_in_its_second_training_goes_on(tmp_path: Path, number: int, counted: int) -> None:
    bench = Patient(tmp_path)
    write(tmp_path)
    bench.plan(allowance=0)  # so a training that is killed can't go on; one that is asked to stop can
    arguments = (*FRONTIER, "--epsilons", "1e3,1e4", "-q")

    def in_the_second_training() -> bool:
        runs = list((tmp_path / ".gatekeeper/runs").glob("*"))
        trained = [run for run in runs if (run / "evidence.json").exists()]
        # The first one's journal stays for a moment after its evidence: the second one's is what must be there.
        training = [run for run in runs if run not in trained and (run / "training/journal").exists()]
        return len(trained) == 1 and any(b"\n" in (run / "training/journal").read_bytes() for run in training)

    code, stderr = bench.stop(bench.start(*arguments), number, when=in_the_second_training)
    assert code == (130 if number == signal.SIGTERM else -number), stderr
    assert not RESULTS & {path.name for path in (tmp_path / "out").iterdir()}
    result = bench.run(*arguments, "--resume")
    assert result.returncode == 0, result.stderr
    assert ("can't go on and stays counted in full" in result.stderr) == (number == signal.SIGKILL)
    assert results(tmp_path)["private_runs"] == counted
    assert points(tmp_path)[0][2] == "approved"
    assert not bench.models()
