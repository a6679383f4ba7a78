"""Waivers: what fails by no more than somebody answers for is waived in full sight; everything else fails closed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from gatekeeper.config import load_candidate, load_policy, load_waivers, waivers_schema
from gatekeeper.config.yaml_tree import parse
from gatekeeper.core.certificate import Facts
from gatekeeper.core.policy import Policy, RiskRule, WaiverTerms
from gatekeeper.core.risk import Count
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal
from gatekeeper.core.waiver import PresentedWaiver, Waiver, use_of
from gatekeeper.errors import ConfigError, InvalidInputError, InvalidValueError
from gatekeeper.gate import decide
from gatekeeper.pipeline import waiving
from gatekeeper.pipeline.trust import read_trust
from gatekeeper.pipeline.waiving import expiry_warnings, read_waivers, sign_waiver
from gatekeeper.report import Report, exit_code, render
from gatekeeper.signing.keys import generate
from tests.command_line import gatekeeper
from tests.config_files import problems_of
from tests.endorsements import (
    APPROVER,
    APPROVER_KEY,
    LOCK_KEY,
    MODEL,
    STRANGER,
    trust_file,
    waiver_lines,
    waivers_file,
)
from tests.facts import bound, measurement, outcome, sample_facts, sample_policy
from tests.test_cli import CERTIFY, Stage, here, stage  # noqa: F401  (fixtures)
from tests.test_config_schema import as_json

NOW = "2030-01-10T12:00:00Z"
WORSE = measurement(estimate=0.1, low=0.0, high=0.15)  # the drop may be 0.1


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiving, "utc_now", lambda: NOW)


def policy_of(*, signed: bool = True, max_days: int = 90) -> Policy:
    return dataclasses.replace(sample_policy(), waivers=WaiverTerms(max_days=max_days, signed=signed))


def facts_of(**changes: object) -> Facts:
    facts = sample_facts(**changes)  # type: ignore[arg-type]
    evidence = facts.evidence
    candidate = dataclasses.replace(evidence.candidate, name=MODEL)
    return dataclasses.replace(facts, evidence=dataclasses.replace(evidence, candidate=candidate))


def presented(policy: Policy, folder: Path, *lines: str, signed: bool = True) -> tuple[PresentedWaiver, ...]:
    """The waivers of a file, as certify reads them; each signed by the approver."""
    path = waivers_file(folder, *lines)
    for written in load_waivers(path) if signed else ():
        sign_waiver(path, written.waiver.id, key=APPROVER_KEY)
    return read_waivers(path, policy, model=MODEL, trust=read_trust(trust_file(folder)))


def decided(policy: Policy, facts: Facts, waivers: tuple[PresentedWaiver, ...]) -> Approval | Refusal | Inconclusive:
    return decide(policy, dataclasses.replace(facts, waivers=waivers))


def finding_of(verdict: Approval | Refusal | Inconclusive, rule: str) -> Finding:
    (found,) = [finding for finding in verdict.findings if finding.rule == rule]
    return found


# --- what a waiver does


def test_a_waived_violation_is_approved_and_shown_with_its_value(tmp_path: Path) -> None:
    policy, facts = policy_of(), facts_of(drop=WORSE)
    assert isinstance(decide(policy, facts), Refusal)
    waivers = presented(policy, tmp_path, waiver_lines(policy))
    verdict = decided(policy, facts, waivers)
    assert isinstance(verdict, Approval)
    finding = finding_of(verdict, "drop")
    assert (finding.status, finding.waiver, finding.measured, finding.limit) == ("waived", "W-1", 0.15, 0.1)
    assert finding.margin < 0
    assert finding.remedy
    assert "WAIVED by W-1 up to 0.2 until the end of 2030-02-01 (UTC): the twin is retrained" in finding.detail
    assert verdict.waivers == (use_of(waivers[0]),)
    assert verdict.waivers[0].signer == APPROVER_KEY.public.fingerprint
    assert exit_code(verdict) == 0


@pytest.mark.parametrize("output", ["text", "json"])
def test_no_report_hides_it(tmp_path: Path, output: str) -> None:
    policy, facts = policy_of(), facts_of(drop=WORSE)
    facts = dataclasses.replace(facts, waivers=presented(policy, tmp_path, waiver_lines(policy)))
    report = Report(gatekeeper_version="1", created=NOW, policy=policy, facts=facts, verdict=decide(policy, facts))
    text = render(report, output)
    assert "W-1" in text
    assert ("WAIVED" in text) if output == "text" else ('"status":"waived"' in text)
    assert APPROVER in text
    assert "0.15" in text


def test_a_waiver_changes_nothing_where_nothing_failed(tmp_path: Path) -> None:
    policy = policy_of()
    verdict = decided(policy, facts_of(), presented(policy, tmp_path, waiver_lines(policy)))
    assert verdict == decide(policy, facts_of())
    assert isinstance(verdict, Approval)
    assert verdict.waivers == ()


def test_every_violation_needs_its_own(tmp_path: Path) -> None:
    policy, facts = policy_of(), facts_of(drop=WORSE, accuracy=measurement(low=0.6))
    waivers = presented(policy, tmp_path, waiver_lines(policy))
    assert isinstance(decided(policy, facts, waivers), Refusal)
    other = waiver_lines(policy, id="W-2", rule="accuracy", ceiling="0.6")
    (tmp_path / "waivers.W-1.sigstore.json").unlink()
    verdict = decided(policy, facts, presented(policy, tmp_path, waiver_lines(policy), other))
    assert isinstance(verdict, Approval)
    assert [use.id for use in verdict.waivers] == ["W-2", "W-1"], "in the findings' order"


def test_the_worst_stratum_is_waived_by_its_own_name(tmp_path: Path) -> None:
    policy, facts = policy_of(), facts_of(attack=outcome(worst=Count(successes=3, trials=20)))
    lines = waiver_lines(policy, rule="reconstruction", ceiling="0.15")
    assert isinstance(decided(policy, facts, presented(policy, tmp_path, lines)), Refusal)
    (tmp_path / "waivers.W-1.sigstore.json").unlink()
    lines = waiver_lines(policy, rule="reconstruction/worst", ceiling="0.15")
    assert isinstance(decided(policy, facts, presented(policy, tmp_path, lines)), Approval)


# --- what no waiver does


def test_what_is_inconclusive_stays_so(tmp_path: Path) -> None:
    policy, thin = policy_of(), facts_of(drop=dataclasses.replace(WORSE, units=99))
    assert isinstance(decided(policy, thin, presented(policy, tmp_path, waiver_lines(policy))), Inconclusive)


def test_a_violation_in_spite_of_a_failed_control_is_not_excused(tmp_path: Path) -> None:
    """The bound is beyond the limit, and the attack is broken: how bad it is is not known."""
    policy = policy_of()
    broken = outcome(positive_control=Count(successes=0, trials=200))
    waivers = presented(policy, tmp_path, waiver_lines(policy, rule="reconstruction", ceiling="0.5"))
    verdict = decided(policy, facts_of(risk=bound(0.03), attack=broken), waivers)
    assert isinstance(verdict, Refusal)
    assert "the evidence is inconclusive" in finding_of(verdict, "reconstruction").detail
    assert isinstance(decided(policy, facts_of(risk=bound(0.03)), waivers), Approval), "but with a sound attack"


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        ("privacy-epsilon", facts_of(epsilon=1e9)),
        ("privacy-delta", facts_of(delta=1e-4)),
        ("own-code", None),
        ("policy-lock", None),
    ],
)
def test_accounting_code_and_locks_cannot_be_waived(tmp_path: Path, rule: str, facts: Facts | None) -> None:
    policy = dataclasses.replace(policy_of(), require_lock=rule == "policy-lock")
    if facts is None:
        facts = facts_of()
    if rule == "own-code":
        found = tuple(dataclasses.replace(each, bound=0.2) for each in facts.evidence.identifications)
        evidence = dataclasses.replace(facts.evidence, identifications=found)
        facts = dataclasses.replace(facts, evidence=evidence)
    waivers = presented(policy, tmp_path, waiver_lines(policy, rule=rule, ceiling="1.0e+12"))
    verdict = decided(policy, facts, waivers)
    assert isinstance(verdict, Refusal)
    assert finding_of(verdict, rule).status == "failed"
    assert "can't be waived" in finding_of(verdict, rule).detail


def test_a_rule_that_the_policy_marks_cannot_be_waived(tmp_path: Path) -> None:
    policy = policy_of()
    rules = tuple(dataclasses.replace(rule, waivable=rule.id != "drop") for rule in policy.rules)
    policy = dataclasses.replace(policy, rules=rules)
    verdict = decided(policy, facts_of(drop=WORSE), presented(policy, tmp_path, waiver_lines(policy)))
    assert isinstance(verdict, Refusal)
    assert "waivable: false" in finding_of(verdict, "drop").detail


def test_the_gate_itself_takes_no_waiver_that_the_policy_does_not_accept(tmp_path: Path) -> None:
    policy = policy_of()
    waivers = presented(policy, tmp_path, waiver_lines(policy))
    strict = sample_policy()
    verdict = decided(strict, facts_of(drop=WORSE), waivers)
    assert isinstance(verdict, Refusal)
    assert "accepts no waivers" in finding_of(verdict, "drop").detail
    unsigned = tuple(dataclasses.replace(each, signer=None, bundle=None) for each in waivers)
    verdict = decided(policy, facts_of(drop=WORSE), unsigned)
    assert "not signed" in finding_of(verdict, "drop").detail


# --- the corpus: each bad waiver, the exit code, and the cause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bad:
    """A waiver that must not help.

    Attributes:
        code: what certify exits with.
        says: a piece of the cause.
        changes: of the waiver.
        sign: signs it, or leaves it.
        trust: lines of the trust file.
        terms: of the policy.
    """

    code: int
    says: str
    changes: dict[str, str] = dataclasses.field(default_factory=dict)
    sign: Callable[[Path], object] = lambda path: sign_waiver(path, "W-1", key=APPROVER_KEY)
    trust: dict[str, str] = dataclasses.field(default_factory=dict)
    terms: WaiverTerms = dataclasses.field(default_factory=lambda: WaiverTerms(max_days=90))


def leave(path: Path) -> None:
    """Sign nothing."""


def altered_later(path: Path) -> None:
    sign_waiver(path, "W-1", key=APPROVER_KEY)
    path.write_text(path.read_text(encoding="utf-8").replace("ceiling: 0.2", "ceiling: 0.9"), encoding="utf-8")


def forged(path: Path) -> None:
    signature = sign_waiver(path, "W-1", key=APPROVER_KEY)
    plain = json.loads(signature.read_bytes())
    plain["dsseEnvelope"]["signatures"][0]["sig"] = (
        "MEUCIQ" + plain["dsseEnvelope"]["signatures"][0]["sig"][6:-4] + "AAA="
    )
    signature.write_text(json.dumps(plain), encoding="utf-8")


CORPUS: dict[str, Bad] = {
    "expired": Bad(code=1, says="expired at the end of 2030-01-09 (UTC)", changes={"expires": "2030-01-09"}),
    "beyond the policy's days": Bad(code=1, says="runs for 91 days more", changes={"expires": "2030-04-11"}),
    "2099": Bad(code=1, says="within 90 days", changes={"expires": "2099-12-31"}),
    "over its ceiling": Bad(code=1, says="measured is 0.15, worse than its ceiling 0.14", changes={"ceiling": "0.14"}),
    "another model": Bad(code=1, says="it is for model lesions, this is tiny", changes={"model": "lesions"}),
    "another policy": Bad(code=1, says="it is for the policy with digest 00000", changes={"policy": f'"{"0" * 64}"'}),
    "a rule that the policy doesn't have": Bad(
        code=2, says="is for 'drip', which policy sample doesn't have", changes={"rule": "drip"}
    ),
    "malformed date": Bad(code=2, says="expires must be a date such as", changes={"expires": "31.12.2030"}),
    "a date that does not exist": Bad(code=2, says="a date that exists", changes={"expires": "2030-02-30"}),
    "a time, not a date": Bad(code=2, says="expires must be a date", changes={"expires": "2030-02-01T00:00:00Z"}),
    "never": Bad(code=2, says="expires must be a date", changes={"expires": "never"}),
    "no ceiling": Bad(code=2, says="must be a number", changes={"ceiling": "nan"}),
    "no reason": Bad(code=2, says="reason", changes={"reason": '" "'}),
    "an id that leaves its folder": Bad(code=2, says="id must be letters", changes={"id": "../W-1"}, sign=leave),
    "unsigned": Bad(code=2, says="is not signed", sign=leave),
    "signed by the wrong role": Bad(
        code=2,
        says="its roles are policy; needed is approver",
        sign=lambda path: sign_waiver(path, "W-1", key=LOCK_KEY),
    ),
    "signed with a key that releases, too": Bad(
        code=2, says="whoever releases can't waive a rule", trust={"approver_roles": "[approver, release]"}
    ),
    "signed by a stranger": Bad(
        code=2, says="is not in the trust file", sign=lambda path: sign_waiver(path, "W-1", key=STRANGER)
    ),
    "signed with a revoked key": Bad(
        code=2, says="was revoked as of", trust={"approver": "revoked: {at: 2030-01-01T00:00:00Z, reason: lost}"}
    ),
    "signed with an expired key": Bad(
        code=2, says="was valid until 2030-01-01", trust={"approver": "valid_until: 2030-01-01T00:00:00Z"}
    ),
    "changed after signing": Bad(code=2, says="the signature is not on this waiver", sign=altered_later),
    "a forged signature": Bad(code=2, says="its signature does not fit", sign=forged),
    "approved by somebody else than signed": Bad(
        code=2, says="was signed with a key of 'Dr. Weiß'", changes={"approver": "Dr. Schwarz"}
    ),
}


def outcome_of(bad: Bad, folder: Path) -> tuple[int, str]:
    """What certify would exit with, and what it says of the waiver."""
    policy = dataclasses.replace(sample_policy(), waivers=bad.terms)
    path = waivers_file(folder, waiver_lines(policy, **bad.changes))
    try:
        bad.sign(path)
        waivers = read_waivers(path, policy, model=MODEL, trust=read_trust(trust_file(folder, **bad.trust)))
    except InvalidInputError as error:
        return error.exit_code, str(error)
    verdict = decided(policy, facts_of(drop=WORSE), waivers)
    return exit_code(verdict), finding_of(verdict, "drop").detail


@pytest.mark.parametrize("name", CORPUS)
def test_a_bad_waiver_fails_closed_and_says_why(name: str, tmp_path: Path) -> None:
    code, said = outcome_of(CORPUS[name], tmp_path)
    assert (code, CORPUS[name].says in said) == (CORPUS[name].code, True), said
    if code == 2:
        assert re.search(r"waivers\.yaml:\d+:\d+: ", said), "with its line"


def test_the_good_waiver_of_the_corpus_would_have_passed(tmp_path: Path) -> None:
    assert outcome_of(Bad(code=0, says=""), tmp_path)[0] == 0
    for terms in (WaiverTerms(max_days=22), WaiverTerms(max_days=90, signed=False)):
        folder = tmp_path / str(terms.max_days)
        folder.mkdir()
        sign = leave if not terms.signed else Bad.sign
        assert outcome_of(Bad(code=0, says="", terms=terms, sign=sign), folder)[0] == 0, "22 days, or unsigned"


def test_a_waiver_of_another_model_is_not_asked_for_its_signature(tmp_path: Path) -> None:
    """One file serves many models, and a bystander must not pay for another's waiver."""
    policy = policy_of()
    lines = (waiver_lines(policy), waiver_lines(policy, id="W-2", model="other"))
    path = waivers_file(tmp_path, *lines)
    sign_waiver(path, "W-1", key=APPROVER_KEY)
    waivers = read_waivers(path, policy, model=MODEL, trust=read_trust(trust_file(tmp_path)))
    assert isinstance(decided(policy, facts_of(drop=WORSE), waivers), Approval)


def test_a_policy_that_accepts_none_refuses_the_file(tmp_path: Path) -> None:
    path = waivers_file(tmp_path, waiver_lines(sample_policy()))
    with pytest.raises(InvalidInputError, match="accepts no waivers") as refused:
        read_waivers(path, sample_policy(), model=MODEL, trust=None)
    assert refused.value.exit_code == 2


def test_all_that_cannot_be_believed_is_told_at_once_with_lines(tmp_path: Path) -> None:
    policy = policy_of()
    path = waivers_file(tmp_path, waiver_lines(policy), waiver_lines(policy, id="W-2"))
    with pytest.raises(ConfigError) as refused:
        read_waivers(path, policy, model=MODEL, trust=read_trust(trust_file(tmp_path)))
    assert [problem.line for problem in refused.value.problems] == [4, 13]
    assert all("gatekeeper waiver sign" in (problem.hint or "") for problem in refused.value.problems)


def test_two_waivers_of_one_name_are_refused(tmp_path: Path) -> None:
    policy = policy_of()
    (problem,) = problems_of(load_waivers, waivers_file(tmp_path, waiver_lines(policy), waiver_lines(policy)))
    assert "'W-1'" in problem.message


# --- the last day


def test_a_waiver_holds_to_the_end_of_its_day_in_utc(tmp_path: Path) -> None:
    policy, facts = policy_of(), facts_of(drop=WORSE)
    (waiver,) = presented(policy, tmp_path, waiver_lines(policy))
    for time, approved in (("2030-02-01T23:59:59Z", True), ("2030-02-02T00:00:00Z", False)):
        verdict = decided(policy, facts, (dataclasses.replace(waiver, presented=time),))
        assert isinstance(verdict, Approval) == approved


@pytest.mark.parametrize(
    ("now", "says"), [("2030-01-17", None), ("2030-01-18", "14"), ("2030-01-25", "7"), ("2030-02-01", "7")]
)
def test_a_waiver_that_ends_soon_is_worth_a_warning(tmp_path: Path, now: str, says: str | None) -> None:
    (waiver,) = presented(policy_of(), tmp_path, waiver_lines(policy_of()))
    warnings = list(expiry_warnings((use_of(waiver),), now=f"{now}T12:00:00Z"))
    assert [f"within {says} days" in warning for warning in warnings] == ([] if says is None else [True])


# --- nouns


def test_a_finding_names_its_waiver_and_an_approval_all_of_them(tmp_path: Path) -> None:
    policy = policy_of()
    verdict = decided(policy, facts_of(drop=WORSE), presented(policy, tmp_path, waiver_lines(policy)))
    assert isinstance(verdict, Approval)
    with pytest.raises(InvalidValueError, match="name their waiver"):
        dataclasses.replace(finding_of(verdict, "drop"), waiver=None)
    with pytest.raises(InvalidValueError, match="names the waiver of each waived finding"):
        dataclasses.replace(verdict, waivers=())
    with pytest.raises(InvalidValueError, match="and no others"):
        dataclasses.replace(decide(policy, facts_of()), waivers=verdict.waivers)


@pytest.mark.parametrize("expires", ["2030-1-1", "", "2030-13-01", "20300101", "２０３０-01-01"])
def test_a_date_is_a_date(expires: str) -> None:
    with pytest.raises(InvalidValueError, match="date"):
        Waiver(
            id="W",
            rule="drop",
            model="m",
            policy_digest="0" * 64,
            ceiling=0.1,
            owner="o",
            approver="a",
            reason="r",
            expires=expires,
        )


def test_the_schema_takes_a_good_file_and_no_bad_dates(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(waivers_schema()))
    jsonschema.Draft202012Validator.check_schema(validator.schema)
    assert validator.is_valid(as_json(parse(waivers_file(tmp_path, waiver_lines(policy_of()))).root))
    for changes in ({"expires": "never"}, {"policy": "abc"}, {"ceiling": "high"}, {"id": "../x"}, {"more": "1"}):
        assert not validator.is_valid(as_json(parse(waivers_file(tmp_path, waiver_lines(policy_of(), **changes))).root))


def test_risk_rules_of_the_sample_can_be_waived() -> None:
    assert all(rule.waivable for rule in sample_policy().rules if isinstance(rule, RiskRule))


# --- the commands


def test_waiver_sign_signs_one_and_never_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = waivers_file(tmp_path, waiver_lines(policy_of()))
    generate(prefix=tmp_path / "approver", passphrase=b"secret")
    command = ("waiver", "sign", str(path), "--id", "W-1", "--key", str(tmp_path / "approver.key"))
    for code, said in ((0, "signed:"), (2, "has a signature already")):
        monkeypatch.setenv("GATEKEEPER_KEY_PASSPHRASE", "secret")
        ran = gatekeeper(*command)
        assert (ran.code, said in ran.stdout + ran.stderr) == (code, True)
    monkeypatch.setenv("GATEKEEPER_KEY_PASSPHRASE", "secret")
    ran = gatekeeper("waiver", "sign", str(path), "--id", "W-9", "--key", str(tmp_path / "approver.key"))
    assert (ran.code, "it has W-1" in ran.stderr) == (2, True)


def test_waiver_validate_tells_what_holds_and_what_has_expired(tmp_path: Path) -> None:
    policy = policy_of()
    path = waivers_file(tmp_path, waiver_lines(policy), waiver_lines(policy, id="W-2", expires="2030-01-09"))
    ran = gatekeeper("waiver", "validate", str(path))
    assert ran.code == 0
    assert "W-1 excuses drop of tiny up to 0.2 until the end of 2030-02-01 (UTC): 22 days left, unsigned" in ran.stdout
    assert "W-2" in ran.stdout
    assert "EXPIRED" in ran.stdout
    assert gatekeeper("waiver", "validate", str(waivers_file(tmp_path, waiver_lines(policy, expires="soon")))).code == 2
    assert json.loads(gatekeeper("waiver", "schema").stdout)["title"] == "gatekeeper waivers"


def test_certify_finds_a_bad_waiver_before_anything_is_spent(
    stage: Stage,  # noqa: F811
    here: Path,  # noqa: F811
) -> None:
    policy = (here / "policy.yaml").read_text(encoding="utf-8")
    (here / "policy.yaml").write_text(
        policy.replace("  rules:", "  waivers: {max_days: 90}\n  rules:"), encoding="utf-8"
    )
    loaded = load_policy(here / "policy.yaml")
    model = load_candidate(here / "candidate.yaml").name
    path = waivers_file(here, waiver_lines(loaded, model=model))
    ran = gatekeeper(*CERTIFY, "--no-sign", "--waivers", str(path), "--trust", str(trust_file(here)))
    assert (ran.code, stage.everything) == (2, [])
    assert "waivers.yaml:4:5: waiver W-1 is not signed" in ran.stderr
    sign_waiver(path, "W-1", key=APPROVER_KEY)
    ran = gatekeeper(*CERTIFY, "--no-sign", "--waivers", str(path), "--trust", str(trust_file(here)))
    assert stage.calls == ["produce", "judge"], ran.stderr
    assert f"--waivers {path}" in ran.stderr, "the command that signs names them"
