"""`gatekeeper check`: recorded evidence by another policy, from a run directory or a release, and nothing signed."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from gatekeeper.config import render_policy
from gatekeeper.core.adversary import ONE_STEP, WEIGHTS_ONLY
from gatekeeper.core.code import CodeFile
from gatekeeper.core.codec import decode, digest
from gatekeeper.core.policy import Policy, WaiverTerms
from gatekeeper.core.risk import Similarity
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline.endorsing import NOTHING
from gatekeeper.pipeline.ledgers import find_ledger
from gatekeeper.pipeline.recorded import Recorded, read_recorded_run
from gatekeeper.pipeline.rejudging import rejudge
from gatekeeper.report import FORMATS, report_schema
from gatekeeper.rundir import RunDirectory
from tests.coherent import coherent_evidence, coherent_policy
from tests.command_line import Ran, gatekeeper
from tests.endorsements import waiver_lines, waivers_file
from tests.facts import statement
from tests.format_readers import junit_cases, metrics, sarif_run
from tests.golden.make_release import GOLDEN
from tests.recorded_runs import Workshop, workshop  # noqa: F401  (fixture)
from tests.signed_releases import KEY

POLICY = coherent_policy()


@pytest.fixture
def run(workshop: Workshop) -> RunDirectory:  # noqa: F811  (the fixture)
    """A run that was certified, sealed, and not signed."""
    (made,) = workshop.runs()
    return made


def stricter(policy: Policy = POLICY) -> Policy:
    accuracy, *others = policy.rules
    return dataclasses.replace(policy, version=2, rules=(dataclasses.replace(accuracy, minimum=0.85), *others))


def check(run: RunDirectory, policy: Policy, *extra: str) -> Ran:
    Path("new.yaml").write_text(render_policy(policy), encoding="utf-8")
    return gatekeeper("check", str(run.path), "--policy", "new.yaml", "--format", "github", *extra)


def _files(run: RunDirectory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.path.iterdir()}


def test_the_same_policy_gives_the_verdict_of_certify_and_a_stricter_one_its_own(run: RunDirectory) -> None:
    before = _files(run)
    same = check(run, POLICY, "--format", "json")
    assert same.code == 0, same.stderr
    assert gc.isenabled()
    judged = run.read_judgement().verdict
    report = json.loads(same.stdout)
    assert [f["status"] for f in report["findings"]] == [f.status for f in judged.findings]
    assert report["verdict"] == "rejudged-passed"
    refused = check(run, stricter(), "--format", "json")
    assert (refused.code, json.loads(refused.stdout)["verdict"]) == (1, "refused")
    (notice,) = json.loads(refused.stdout)["notices"]
    for said in (digest(POLICY), digest(stricter()), "Nothing was trained, signed or released", "permissions"):
        assert said in notice["text"]
    assert _files(run) == before, "nothing is written into the run"


def test_what_the_policy_asks_for_and_the_run_does_not_hold_exits_with_3_and_names_the_rule(run: RunDirectory) -> None:
    (rule,) = POLICY.risk_rules
    asked = dataclasses.replace(
        rule, adversary=ONE_STEP, similarity=Similarity(above_null=0.9), evidence=("attack",), maximum=0.02
    )
    ran = check(run, dataclasses.replace(POLICY, rules=(*POLICY.utility_rules, asked)))
    assert ran.code == 3
    assert "RE-JUDGED: INCONCLUSIVE" in ran.stdout
    assert "no attack was run for realistic, one step" in ran.stdout


@pytest.mark.slow
def test_no_format_calls_it_approved_and_each_says_what_it_is(run: RunDirectory) -> None:
    outputs = [word for name in FORMATS for word in ("-o", f"{name}:{name}.out")]
    assert check(run, POLICY, *outputs).code == 0
    texts = {name: Path(f"{name}.out").read_text(encoding="utf-8") for name in FORMATS}
    for name, text in texts.items():
        assert name in ("openmetrics", "html") or "approved" not in text.lower(), name
        assert "re-judgement" in text, name
    assert sarif_run(texts["sarif"])["automationDetails"]["id"].startswith("gatekeeper/re-judgement/")
    assert 'name="RE-JUDGED: PASSED: ' in texts["junit"]
    assert len(junit_cases(texts["junit"])) == 7
    states = {
        dict(labels)["gatekeeper_verdict"]: value
        for (name, labels), value in metrics(texts["openmetrics"]).items()
        if name == "gatekeeper_verdict"
    }
    assert states == {"approved": 0, "refused": 0, "inconclusive": 0, "rejudged-passed": 1}
    jsonschema.validate(json.loads(texts["json"]), report_schema())


def test_github_is_told_another_verdict_than_approved(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    ran = check(run, POLICY, "--format", "github")
    assert ran.stdout.startswith("::notice title=gatekeeper%3A tiny::RE-JUDGED: PASSED: ")
    assert Path("outputs").read_text() == "verdict=rejudged-passed\n"


# What is changed afterwards


def _edit(name: str, old: str, new: str) -> Callable[[RunDirectory], None]:
    def spoil(run: RunDirectory) -> None:
        text = (run.path / name).read_text(encoding="utf-8")
        assert old in text
        (run.path / name).write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def _both(run: RunDirectory) -> None:
    """Evidence and what was judged, by somebody who knows the format."""
    for name in ("evidence.json", "judgement.json"):
        _edit(name, '"seconds":1.5', '"seconds":1.6')(run)


def _another_policy(run: RunDirectory) -> None:
    """The policy that the run is said to be recorded under, of a run that was never judged."""
    _edit("policy.json", '"version":1', '"version":7')(run)
    (run.path / "judgement.json").unlink()


def _unseal(run: RunDirectory) -> None:
    (run.path / "seal").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda run: run.model.write_bytes(b"another"), 2, "the evidence is about"),
        (_edit("evidence.json", '"seconds":1.5', '"seconds":1.6'), 2, "changed since the run was judged"),
        (_edit("candidate.json", '"name":"tiny"', '"name":"tony"'), 2, "about another candidate"),
        (_both, 4, "seal does not hold"),
        (_edit("policy.json", '"version":1', '"version":7'), 2, "policy.json changed since the run was judged"),
        (_another_policy, 4, "seal does not hold"),
        (_unseal, 4, "has no seal"),
    ],
)
def test_what_was_changed_since_is_refused(
    spoil: Callable[[RunDirectory], object], code: int, said: str, run: RunDirectory
) -> None:
    spoil(run)
    ran = check(run, POLICY, "--cache-key", "cache.key")
    assert (ran.code, said in ran.stderr, ran.stdout) == (code, True, ""), ran.stderr


def test_the_seal_and_the_ledger_vouch_where_they_are_asked(run: RunDirectory) -> None:
    ran = check(run, POLICY, "--cache-key", "cache.key", "--ledger", ".gatekeeper/ledger.sqlite")
    assert ran.code == 0, ran.stderr
    assert "The seal of the runner's key vouches" in ran.stdout
    assert "The ledger confirms" in ran.stdout
    assert gatekeeper("ledger", "init", "--ledger", "other.sqlite").code == 0
    other = check(run, POLICY, "--ledger", "other.sqlite")
    assert (other.code, "it was never reserved" in other.stderr) == (2, True)


def test_a_policy_that_was_tried_too_often_on_these_units_passes_nothing(workshop: Workshop) -> None:  # noqa: F811
    """`certify` would refuse another attempt before its first step."""
    policy = dataclasses.replace(POLICY, version=2)
    workshop.write(policy, "new.yaml")
    (first,) = workshop.runs()
    ledger = ("--ledger", ".gatekeeper/ledger.sqlite")
    assert check(first, policy, *ledger).code == 0
    assert workshop.certify("--no-sign", policy="new.yaml").code == 0
    assert workshop.certify("--no-sign", policy="new.yaml").code == 1, "it allows one attempt"
    ran = check(first, policy, *ledger)
    assert (ran.code, "this policy was tried 1 times" in ran.stdout) == (3, True), ran.stdout


def test_the_ledger_says_what_another_run_would_bring_the_total_to(run: RunDirectory) -> None:
    """A release takes another run, which the total may not leave room for."""
    limited = dataclasses.replace(POLICY, privacy=dataclasses.replace(POLICY.privacy, max_total_epsilon=1e7))
    ledger = find_ledger(".gatekeeper/ledger.sqlite", key=Path(".gatekeeper/ledger.key"))
    found = read_recorded_run(run.path, policy=limited, cache_key=None, ledger=ledger)
    spent = run.read_judgement().facts.total.epsilon.high
    assert found.next_total is not None
    assert spent < found.next_total < 2 * spent + 1, "two runs, no more"
    assert read_recorded_run(run.path, policy=limited, cache_key=None, ledger=None).next_total is None
    held = rejudge(found, limited).verdict
    assert isinstance(held, Approval)
    refused = rejudge(dataclasses.replace(found, next_total=1.1e7), limited).verdict
    assert [each.rule for each in refused.findings if each.status != "passed"] == ["privacy-total-epsilon"]


def test_contradictory_evidence_is_refused(run: RunDirectory) -> None:
    evidence = run.read_evidence()
    record = dataclasses.replace(evidence.record, divisor=evidence.record.divisor + 1)
    run.write_evidence(dataclasses.replace(evidence, record=record))
    (run.path / "judgement.json").unlink()
    ran = check(run, stricter())
    assert (ran.code, "the evidence contradicts itself" in ran.stderr) == (2, True)


# Policies that no run of this candidate could be judged by


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "patient"}, "unit of privacy is 'patient'"),
        ({"metric": "dice"}, "no metric of classification"),
        ({"attacks": ("stationarity",)}, "can't be made on this model"),
    ],
)
def test_a_policy_that_does_not_fit_the_candidate_is_an_error(
    changes: dict[str, object], said: str, run: RunDirectory
) -> None:
    policy, (accuracy, *others) = POLICY, POLICY.rules
    if "unit" in changes:
        policy = dataclasses.replace(policy, privacy=dataclasses.replace(policy.privacy, **changes))  # type: ignore[arg-type]
    elif "metric" in changes:
        policy = dataclasses.replace(policy, rules=(dataclasses.replace(accuracy, **changes), *others))
    else:
        rule = dataclasses.replace(
            policy.risk_rules[0], adversary=WEIGHTS_ONLY, similarity=Similarity(), evidence=("attack",), **changes
        )
        policy = dataclasses.replace(policy, rules=(*policy.utility_rules, rule))
    ran = check(run, policy)
    assert (ran.code, said in ran.stderr, ran.stdout) == (2, True, ""), ran.stderr


def _read_by_code(code: CodeFile) -> Recorded:
    """A run on what a factory of the user's yielded, under a policy that allowed it."""
    evidence = coherent_evidence()
    data = dataclasses.replace(
        evidence.candidate.data, format="factory", path=None, factory="mine.data:items", phantom=None
    )
    evidence = dataclasses.replace(
        evidence,
        candidate=dataclasses.replace(evidence.candidate, data=data),
        dataset=dataclasses.replace(evidence.dataset, format="factory", synthetic=False, code=(code,)),
    )
    return Recorded(
        where=Path("run"),
        policy=dataclasses.replace(POLICY, allow_code=(code,)),
        evidence=evidence,
        statement=statement(evidence),
        endorsed=NOTHING,
        vouched="Nobody vouches.",
    )


def test_code_that_read_the_data_must_be_allowed_by_the_new_policy_too() -> None:
    code = CodeFile(name="mine.data", sha256="0" * 64)
    recorded = _read_by_code(code)
    assert rejudge(recorded, dataclasses.replace(recorded.policy, version=2)).verdict.findings
    with pytest.raises(InvalidInputError, match=r"the data were read by code that this policy does not allow: mine"):
        rejudge(recorded, POLICY)


def test_a_lock_on_another_policy_can_not_have_been_counted(run: RunDirectory) -> None:
    wants_lock = dataclasses.replace(stricter(), require_lock=True, rules=POLICY.rules)
    ran = check(run, wants_lock)
    assert ran.code == 3
    assert "no run was counted with a lock on this policy" in ran.stdout


def test_waivers_for_the_new_policy_are_read(run: RunDirectory) -> None:
    policy = dataclasses.replace(stricter(), waivers=WaiverTerms(max_days=36500, signed=False))
    waivers = waivers_file(Path(), waiver_lines(policy, rule="accuracy", ceiling="0.5", expires="2120-01-01"))
    ran = check(run, policy, "--waivers", str(waivers))
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "1 WAIVED" in ran.stdout


def test_a_run_that_got_nowhere_has_nothing_to_check(workshop: Workshop) -> None:  # noqa: F811
    run = RunDirectory.create(Path("runs"), policy=POLICY, candidate=coherent_evidence().candidate)
    ran = check(run, POLICY)
    assert (ran.code, "has no evidence.json" in ran.stderr) == (2, True)


# Releases


@pytest.mark.slow
def test_a_release_is_checked_by_its_signature(tmp_path: Path) -> None:
    release, public = GOLDEN / "release", tmp_path / "signer.pub"
    public.write_bytes(KEY.public.pem)
    policy = decode((release / "attestations" / "policy.json").read_text(encoding="utf-8"), Policy)
    new, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    new.write_text(render_policy(policy), encoding="utf-8")
    strict = dataclasses.replace(policy, audit=dataclasses.replace(policy.audit, noise_draws=7))
    other.write_text(render_policy(strict), encoding="utf-8")
    command = ("check", str(release), "--public-key", str(public), "--policy")
    ran = gatekeeper(*command, str(new), "--format", "github")
    assert ran.code == 0, ran.stderr
    assert "The release's signature vouches" in ran.stdout
    assert gatekeeper(*command, str(other)).code == 3
    assert gatekeeper("check", str(release), "--policy", str(new)).code == 2, "somebody must have signed it"


def test_options_of_the_other_kind_are_usage_errors(run: RunDirectory) -> None:
    assert check(run, POLICY, "--public-key", "release.pub").code == 2
