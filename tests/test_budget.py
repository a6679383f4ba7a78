"""`gatekeeper budget`: the answers, their JSON and its schema, roundings, and what a wrong question hears."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.audit.realistic import all_steps
from gatekeeper.cli.main import app, boundary
from gatekeeper.core.adversary import ONE_STEP
from gatekeeper.core.budget import Budget
from gatekeeper.core.calculation import OpacusClaim, Question, ReadOut, steps_of_an_epoch
from gatekeeper.core.candidate import OptimizerSpec, TrainingSpec
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.errors import InvalidInputError, InvalidValueError
from gatekeeper.pipeline import budgeting, opacus_claims
from gatekeeper.privacy import account, calibrate, participations

ISSUE = "--sampling-rate 0.00307 --steps 16250 --delta 8e-7 --noise-multiplier 0.0663"
SETTING = "--sampling-rate 0.01 --steps 1000 --delta 1e-5"
IMAGE = "--pixels 3x64x64"


@dataclasses.dataclass
class Ran:
    code: int
    stdout: str
    stderr: str


def budget(words: str) -> Ran:
    """Run the command in this process, through the boundary."""
    with CliRunner().isolation() as streams:
        code = boundary(lambda: app(["budget", *words.split()], standalone_mode=False))
        sys.stdout.flush()
        sys.stderr.flush()
        return Ran(code, streams[0].getvalue().decode(), streams[1].getvalue().decode())


def answer(words: str) -> dict[str, Any]:
    """The JSON answer, checked against the schema."""
    ran = budget(f"{words} --format json")
    assert ran.code == 0, ran.stderr
    document = json.loads(ran.stdout)
    jsonschema.validate(document, SCHEMA)
    return document


SCHEMA = json.loads(budget("--schema").stdout)

# Answers


def test_the_settings_of_a_paper_have_a_hundredth_of_what_opacus_says() -> None:
    found = answer(ISSUE)
    assert 9.3e3 < found["epsilon"]["low"] <= found["epsilon"]["high"] < 9.97e3
    assert found["sought"] == "epsilon"
    assert found["opacus"] is None


@pytest.mark.slow
def test_opacus_says_a_million_beside_it() -> None:
    found = answer(f"{ISSUE} --opacus")
    assert 9.9e5 < found["opacus"]["epsilon"] < 1.01e6
    assert (found["opacus"]["accountant"], found["opacus"]["order"]) == ("rdp", 1.1)
    assert "106 times as much" in budget(f"{ISSUE} --opacus").stdout


def test_a_given_noise_is_accounted_for() -> None:
    found = answer(f"{SETTING} --noise-multiplier 0.001")
    run = Mechanism(
        sampling="poisson", sampling_rate=0.01, noise_multiplier=1e-3, steps=1000, adjacency="zero-out", unit="unit"
    )
    guarantee = account(run, 1e-5)
    assert found["epsilon"]["high"] == guarantee.epsilon.high
    assert found["epsilon"]["low"] == guarantee.epsilon.low
    assert found["epsilon"]["accountant"] == guarantee.accountant
    assert found["sampling"] == "poisson"


@pytest.mark.parametrize("epsilon", ["1e3", "1e6", "1e9", "1e12", "1e15"])
def test_a_given_epsilon_is_calibrated_for_by_the_better_sampling(epsilon: str) -> None:
    found = answer(f"{SETTING} --epsilon {epsilon}")
    least = calibrate(
        Budget(epsilon=float(epsilon), delta=1e-5),
        sampling="best",
        sampling_rate=0.01,
        steps=1000,
        adjacency="zero-out",
        unit="unit",
    )
    assert found["noise_multiplier"] == least.noise_multiplier
    assert found["sampling"] == least.sampling == "balls-and-bins"
    assert found["epsilon"]["high"] <= float(epsilon)
    assert found["sought"] == "noise-multiplier"


@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins"])
def test_a_printed_noise_that_is_typed_back_keeps_the_budget(sampling: str) -> None:
    text = budget(f"{SETTING} --epsilon 12345.678 --sampling {sampling}").stdout
    printed = re.search(r"noise multiplier +(\S+) \(sought\)", text)
    assert printed
    again = answer(f"{SETTING} --noise-multiplier {printed[1]} --sampling {sampling}")
    assert again["epsilon"]["high"] <= 12345.678


@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins", "best"])
def test_the_noise_for_an_ncc_is_the_least_that_reaches_it(sampling: str) -> None:
    found = answer(f"{SETTING} --ncc 0.2 {IMAGE} --sampling {sampling}")
    read = found["risk"]["realistic_all_steps"]
    k, n, sigma = read["participations"], 3 * 64 * 64, found["noise_multiplier"]
    assert read["median_ncc"] <= 0.2
    assert (1 + n * (sigma * 0.999999) ** 2 / k) ** -0.5 > 0.2
    assert k == (18 if sampling == "poisson" else 10)
    assert found["sought"] == "noise-multiplier"


def test_the_most_steps_fit_the_budget_and_one_more_does_not() -> None:
    wanted = "--sampling-rate 0.01 --delta 1e-5 --noise-multiplier 0.01"
    found = answer(f"{wanted} --epsilon 1e5")
    steps = found["steps"]
    assert found["sought"] == "steps"
    assert found["epsilon"]["high"] <= 1e5
    assert answer(f"{wanted} --steps {steps + 1}")["epsilon"]["high"] > 1e5
    assert f"{steps} (sought)" in budget(f"{wanted} --epsilon 1e5").stdout


def test_units_and_batch_give_the_rate_of_a_candidate() -> None:
    by_units = answer("--units 1000 --expected-batch 64 --epochs 3 --delta 1e-5 --noise-multiplier 0.1")
    assert (by_units["sampling_rate"], by_units["steps"]) == (1 / 16, 48)
    by_rate = answer("--sampling-rate 1/16 --steps 48 --delta 1e-5 --noise-multiplier 0.1")
    assert by_rate["epsilon"] == by_units["epsilon"]


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_an_epoch_has_as_many_steps_as_a_candidates(units: int, batch: int) -> None:
    training = TrainingSpec(
        epochs=1, expected_batch=batch, clipping_norm=1.0, optimizer=OptimizerSpec(name="sgd", lr=0.1)
    )
    steps = steps_of_an_epoch(units=units, expected_batch=batch)
    assert steps == training.steps_per_epoch(units)
    question = Question(sampling="poisson", sampling_rate=1 / steps, delta=1e-5, epochs=2, noise_multiplier=1.0)
    assert question.has_whole_batches
    assert question.length == 2 * steps


def test_epochs_of_a_broken_rate_are_rounded_and_said_so() -> None:
    found = answer("--sampling-rate 0.00307 --epochs 50 --delta 8e-7 --noise-multiplier 0.001")
    assert found["steps"] == 50 * 326
    assert "326 steps, so 50 epochs are 16300 steps" in " ".join(found["notes"])
    assert not answer(f"{SETTING} --noise-multiplier 0.001")["notes"]


def test_a_delta_that_certify_refuses_is_noted() -> None:
    words = "--units 1000 --expected-batch 10 --epochs 1 --noise-multiplier 0.001 --delta"
    assert "certify refuses" in " ".join(answer(f"{words} 1e-3")["notes"])
    assert not answer(f"{words} 9e-4")["notes"]


def test_best_says_so_where_it_could_not_consider_balls_and_bins() -> None:
    assert "1/333" in " ".join(answer("--sampling-rate 0.003 --steps 10 --delta 1e-5 --epsilon 1e6")["notes"])


# Risks


def test_each_risk_is_there_with_its_inputs_and_null_without() -> None:
    bare = answer(f"{SETTING} --noise-multiplier 0.01")["risk"]
    assert set(bare.values()) == {None}
    units = answer(f"{SETTING} --noise-multiplier 0.01 --units 500")["risk"]
    assert units["worst_case"]["prior_success"] == units["relaxed"]["prior_success"] == 1 / 500
    assert units["realistic_one_step"] is units["realistic_all_steps"] is None
    image = answer(f"{SETTING} --noise-multiplier 0.01 {IMAGE}")["risk"]
    assert image["worst_case"] is image["relaxed"] is None
    assert image["realistic_one_step"]["rate"] is None
    assert image["realistic_one_step"]["participations"] == 1


def test_a_volume_counts_all_its_values() -> None:
    setting = f"{SETTING} --noise-multiplier 0.01 --threshold 0.2 --pixels"
    assert answer(f"{setting} 1x16x32x32")["risk"] == answer(f"{setting} 16384")["risk"]


def test_the_adversaries_are_in_order_of_what_they_know() -> None:
    risk = answer(f"{SETTING} --noise-multiplier 2 --candidates 10 {IMAGE} --threshold 0.02")["risk"]
    assert 0.1 <= risk["relaxed"]["value"] <= risk["worst_case"]["value"] < 1
    assert 0 < risk["realistic_one_step"]["rate"] < risk["realistic_all_steps"]["rate"] < 1
    assert risk["realistic_one_step"]["median_ncc"] < risk["realistic_all_steps"]["median_ncc"]


def test_high_budgets_are_worst_case_certain_and_realistically_not() -> None:
    risk = answer(f"{SETTING} --noise-multiplier 0.1 --units 10000 {IMAGE} --threshold 0.2")["risk"]
    assert 0.9999 < risk["relaxed"]["value"] <= risk["worst_case"]["value"]
    assert risk["realistic_one_step"]["rate"] < 1e-3


def test_few_counts_give_the_rate_of_all_of_them_or_a_little_more() -> None:
    run = Mechanism(
        sampling="poisson", sampling_rate=0.01, noise_multiplier=1.0, steps=10**6, adjacency="zero-out", unit="unit"
    )
    told = participations(run)
    few = budgeting._coarse(told)
    assert len(told.counts) > 2 * len(few.counts)
    assert sum(few.probabilities) + few.tail == pytest.approx(sum(told.probabilities) + told.tail, abs=1e-12)
    assert few.counts[-1] == told.counts[-1]
    exact = all_steps(threshold=0.5, noise_multiplier=1.55, pixels=12288, participations=told)
    rough = all_steps(threshold=0.5, noise_multiplier=1.55, pixels=12288, participations=few)
    assert 0.01 < exact <= rough < 1.2 * exact


def test_few_counts_leave_those_who_never_took_part_alone() -> None:
    told = Participations(counts=tuple(range(1000)), probabilities=(0.5, *[0.5 / 999] * 999), tail=0.0)
    few = budgeting._coarse(told)
    assert (few.counts[0], few.probabilities[0]) == (0, 0.5)
    assert few.counts[1] > 1
    assert budgeting._coarse(few) is few


# JSON and text

QUESTIONS = [
    f"{SETTING} --noise-multiplier 0.3",
    f"{SETTING} --epsilon 1e6 --units 50 {IMAGE} --threshold 0.2",
    f"{SETTING} --ncc 0.5 {IMAGE}",
    "--sampling-rate 1 --steps 1 --delta 1e-12 --noise-multiplier 1e-12",
    "--sampling-rate 1e-12 --steps 1 --delta 0.5 --noise-multiplier 1e12",
    "--sampling-rate 1/2 --delta 1e-5 --epsilon 1e9 --noise-multiplier 1e-3 --sampling balls-and-bins",
]


@pytest.mark.parametrize("words", QUESTIONS)
def test_every_answer_follows_the_schema_and_the_schema_is_strict(words: str) -> None:
    document = answer(words)
    for path, value in _mutations(document):
        changed = copy.deepcopy(document)
        where = changed
        for key in path[:-1]:
            where = where[key]
        where[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, SCHEMA)


def _mutations(document: dict[str, Any]) -> list[tuple[tuple[str, ...], object]]:
    every = [((key,), ["wrong"] if key != "notes" else "wrong") for key in document]
    return [*every, (("more",), 1), (("epsilon", "high"), "inf"), (("epsilon", "more"), 1), (("risk", "more"), None)]


def test_the_schema_itself_is_valid_and_forbids_missing_keys() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = answer(QUESTIONS[0])
    for key in document:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: value for name, value in document.items() if name != key}, SCHEMA)


@pytest.mark.parametrize("words", QUESTIONS)
def test_the_text_rounds_towards_more_risk(words: str) -> None:
    document, text = answer(words), budget(words).stdout
    shown = re.search(r"^epsilon +at most (\S+),.* at\s+least\s+(\S+),", text, flags=re.MULTILINE | re.DOTALL)
    assert shown
    high, low = float(shown[1]), float(shown[2])
    assert low <= document["epsilon"]["low"] <= document["epsilon"]["high"] <= high
    assert high <= document["epsilon"]["high"] * 1.0001
    noise = re.search(r"^noise multiplier +(\S+)", text, flags=re.MULTILINE)
    assert noise
    assert document["noise_multiplier"] <= float(noise[1]) <= document["noise_multiplier"] * 1.0001


def test_the_text_says_what_is_missing_and_that_certify_calibrates() -> None:
    bare = budget(f"{SETTING} --noise-multiplier 0.01").stdout
    assert "needs --units or --candidates" in bare
    assert "needs --pixels" in bare
    image = budget(f"{SETTING} --noise-multiplier 0.01 {IMAGE}").stdout
    assert "needs --threshold" in image
    assert "certify calibrates the threshold" in image.replace("\n", " ")
    assert max(map(len, image.splitlines())) <= 100


# Wrong questions

KNOWN = "--noise-multiplier 1 --steps 10"
WRONG = {
    "nothing": ("", "--sampling-rate, or --units with --expected-batch"),
    "half of q": ("--units 10", "only one of the two"),
    "q twice": ("--sampling-rate 0.1 --units 9 --expected-batch 3", "leave one of them out"),
    "more than all": ("--units 9 --expected-batch 10", "--expected-batch 10 is more than --units 9"),
    "no delta": (f"--sampling-rate 0.1 {KNOWN}", "--delta 1e-6"),
    "no target": (f"{SETTING}", "give one of --noise-multiplier, --epsilon and --ncc"),
    "no length": ("--sampling-rate 0.1 --delta 1e-5 --epsilon 3", "--steps or --epochs"),
    "two lengths": (f"{SETTING} --epochs 3 --epsilon 1", "--steps and --epochs"),
    "two targets": (f"{SETTING} --epsilon 1 --noise-multiplier 1", "keep one, or --steps"),
    "ncc too": (f"{SETTING} --epsilon 1 --ncc 0.2 {IMAGE}", "--epsilon and --ncc both set the noise: keep one"),
    "ncc without image": (f"{SETTING} --ncc 0.2", "--ncc 0.2 needs the image size: add --pixels"),
    "threshold without image": (f"{SETTING} --epsilon 1 --threshold 0.2", "--threshold 0.2 needs the image size"),
    "best without a choice": (f"{SETTING} --noise-multiplier 1 --sampling best", "name poisson or balls-and-bins"),
    "broken batches": (
        f"--sampling-rate 0.003 --delta 1e-5 {KNOWN} --sampling balls-and-bins",
        "give 1/333",
    ),
    "rate of 2": ("--sampling-rate 2", "'2' is not a rate from 1e-12 to 1; give for example 0.01 or 1/100"),
    "rate of 0": ("--sampling-rate 0", "'0' is not a rate"),
    "rate over 0": ("--sampling-rate 1/0", "'1/0' is not a rate"),
    "rate in words": ("--sampling-rate often", "'often' is not a rate"),
    "delta of 1": (f"{SETTING} --delta 1", "'1' is not a number strictly between 0 and 1"),
    "delta of nan": (f"{SETTING} --delta nan", "'nan' is not a number"),
    "no epsilon": (f"{SETTING} --epsilon 0", "'0' is not a number above 0"),
    "infinite epsilon": (f"{SETTING} --epsilon inf", "'inf' is not a number above 0"),
    "no noise": (f"{SETTING} --noise-multiplier 0", "'0' is not a number from 1e-12 to 1e12"),
    "half a step": (f"{SETTING} --steps 2.5", "'2.5' is not a whole number from 1"),
    "no steps": (f"{SETTING} --steps 0", "'0' is not a whole number from 1"),
    "flat image": (f"{SETTING} --pixels 64x64", "such as 3x64x64"),
    "too many axes": (f"{SETTING} --pixels 1x2x3x4x5", "'1x2x3x4x5' is no image size"),
    "one pixel": (f"{SETTING} --pixels 1", "'1' is no image size"),
    "no noise is needed": ("--sampling-rate 0.0001 --delta 0.01 --epsilon 3 --steps 10", "without any noise"),
    "one step is too much": ("--sampling-rate 1 --delta 1e-5 --epsilon 0.1 --noise-multiplier 1", "raise the noise"),
}


@pytest.mark.parametrize(("words", "remedy"), WRONG.values(), ids=WRONG)
def test_a_wrong_question_hears_what_is_wrong_and_what_is_right(words: str, remedy: str) -> None:
    ran = budget(words)
    assert ran.code == 2
    assert remedy in ran.stderr.replace("\n", " ")
    assert not ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "given_",
    [
        {"noise_multiplier": 1.0},
        {"steps": 1, "epochs": 1, "noise_multiplier": 1.0},
        {"steps": 1, "noise_multiplier": 1.0, "epsilon": 1.0},
        {"steps": 1, "ncc": 0.5},
        {"steps": 0, "epsilon": 1.0},
        {"steps": 1, "noise_multiplier": 1.0, "sampling": "best"},
    ],
)
def test_a_question_that_determines_nothing_is_no_question(given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        Question(**{"sampling": "poisson", "sampling_rate": 0.1, "delta": 1e-5, **given_})


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    st.floats(1e-9, 1e3),
    st.floats(1e-6, 1.0),
    st.integers(1, 10**6),
    st.floats(1e-12, 1e-3),
)
def test_any_mechanism_has_an_answer(sigma: float, rate: float, steps: int, delta: float) -> None:
    question = Question(
        sampling="poisson", sampling_rate=rate, delta=delta, steps=steps, noise_multiplier=sigma, pixels=784, units=100
    )
    found = budgeting.answer(question)
    assert 0 <= found.guarantee.epsilon.low <= found.guarantee.epsilon.high
    assert found.risks.identification is not None
    assert 0.01 <= found.risks.identification.relaxed <= found.risks.identification.worst_case <= 1


def test_a_rate_has_a_threshold() -> None:
    with pytest.raises(InvalidValueError, match="threshold"):
        ReadOut(adversary=ONE_STEP, participations=1, median_ncc=0.1, threshold=None, rate=0.1)


# The other accountant

RUN = Mechanism(
    sampling="poisson", sampling_rate=0.01, noise_multiplier=1.0, steps=10, adjacency="zero-out", unit="unit"
)


def test_without_opacus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "opacus" else object())
    ran = budget(f"{ISSUE} --opacus")
    assert ran.code == 2
    assert "opacus not installed" in ran.stderr
    assert "pip install opacus" in ran.stderr
    with pytest.raises(InvalidInputError, match="opacus"):
        opacus_claims.require_opacus()


def test_an_accountant_that_never_answers_is_not_waited_for() -> None:
    claim = opacus_claims.claimed(RUN, 1e-5, seconds=0.05)
    assert claim == OpacusClaim(epsilon=None, order=None, failure="no answer within 0.05 seconds")


def test_an_accountant_that_fails_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opacus_claims, "_MODULE", "gatekeeper.no_such_module")
    claim = opacus_claims.claimed(RUN, 1e-5)
    assert claim.epsilon is None
    assert "no_such_module" in (claim.failure or "")


def test_a_failed_claim_is_shown_in_both_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = OpacusClaim(epsilon=None, order=None, failure="OverflowError: too large")
    monkeypatch.setattr(opacus_claims, "claimed", lambda mechanism, delta: failed)
    assert answer(f"{ISSUE} --opacus")["opacus"]["failure"] == "OverflowError: too large"
    assert "nothing: OverflowError: too large" in budget(f"{ISSUE} --opacus").stdout


def test_a_claim_is_a_figure_or_a_failure() -> None:
    for wrong in ({"epsilon": None, "order": None, "failure": None}, {"epsilon": 1.0, "order": 2.0, "failure": "x"}):
        with pytest.raises(InvalidValueError):
            OpacusClaim(**wrong)


# Documents

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "accounting.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| (1|8|32|1e\d+) \| (\S+) \| (\S+) \|$", DOCUMENT, flags=re.MULTILINE)


@pytest.mark.parametrize(("epsilon", "poisson", "dealt"), TABLE)
def test_the_table_of_noise_in_the_documents_is_what_is_calculated(epsilon: str, poisson: str, dealt: str) -> None:
    for sampling, printed in (("poisson", poisson), ("balls-and-bins", dealt)):
        found = answer(f"{SETTING} --epsilon {epsilon} --sampling {sampling}")
        assert float(printed) == pytest.approx(found["noise_multiplier"], rel=2e-3)


def test_the_document_names_every_key_of_the_json() -> None:
    assert len(TABLE) == 9
    section = DOCUMENT[DOCUMENT.index("## The JSON") :]
    for key in {*SCHEMA["properties"], *SCHEMA["properties"]["risk"]["properties"]} - {"gatekeeper_version"}:
        assert f"`{key}`" in section


# What is loaded


def test_the_calculator_loads_neither_torch_nor_opacus_nor_scipy_stats() -> None:
    words = f"{SETTING} --epsilon 1e4 --units 100 {IMAGE} --threshold 0.2 --format json"
    script = (
        "import sys\nfrom gatekeeper.cli.main import app, boundary\n"
        f"assert boundary(lambda: app(['budget', *{words.split()!r}], standalone_mode=False)) == 0\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stderr.split())
    assert "gatekeeper.privacy" in loaded
    assert not loaded & {"torch", "opacus", "scipy.stats", "onnx", "onnxruntime", "sklearn"}
    jsonschema.validate(json.loads(ran.stdout), SCHEMA)
