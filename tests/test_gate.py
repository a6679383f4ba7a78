from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.adversary import ONE_STEP_SPECTRAL
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import AttackOutcome, Count
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate import decide
from tests.facts import bound, measurement, outcome, sample_facts, sample_policy, statement


def _finding(policy: Policy, facts: Facts, rule: str) -> Finding:
    (found,) = [finding for finding in decide(policy, facts).findings if finding.rule == rule]
    return found


def test_good_facts_are_approved_and_the_approval_names_the_file_and_the_policy() -> None:
    verdict = decide(sample_policy(), sample_facts())
    assert isinstance(verdict, Approval)
    assert verdict.model_digest == sample_facts().evidence.model.sha256
    assert verdict.policy_digest == digest(sample_policy())


def test_every_rule_is_reported_in_the_policys_order() -> None:
    findings = decide(sample_policy(), sample_facts(epsilon=1e9, accuracy=measurement(low=0.1))).findings
    assert [finding.rule for finding in findings] == [
        "privacy-epsilon",
        "privacy-delta",
        "attempts",
        "own-code",
        "accuracy",
        "drop",
        "reconstruction",
        "reconstruction/worst",
    ]


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        (sample_facts(epsilon=math.nextafter(1e6, math.inf)), "privacy-epsilon"),
        (sample_facts(delta=math.nextafter(1e-5, 1)), "privacy-delta"),
        (sample_facts(accuracy=measurement(low=math.nextafter(0.7, 0))), "accuracy"),
        (sample_facts(drop=measurement(estimate=0.0, low=-0.1, high=math.nextafter(0.1, 1))), "drop"),
        (sample_facts(risk=bound(math.nextafter(0.02, 1))), "reconstruction"),
        (sample_facts(attack=outcome(sample=Count(successes=1, trials=200))), "reconstruction"),
        (sample_facts(attack=outcome(worst=Count(successes=3, trials=20))), "reconstruction/worst"),
    ],
)
def test_one_violation_is_enough_to_refuse_and_says_how_to_mend_it(facts: Facts, rule: str) -> None:
    verdict = decide(sample_policy(), facts)
    assert isinstance(verdict, Refusal)
    failed = [finding for finding in verdict.findings if finding.status == "failed"]
    assert [finding.rule for finding in failed] == [rule]
    assert failed[0].margin < 0
    assert failed[0].remedy


@pytest.mark.parametrize(
    "facts",
    [
        sample_facts(epsilon=1e6),
        sample_facts(delta=1e-5),
        sample_facts(accuracy=measurement(low=0.7)),
        sample_facts(drop=measurement(estimate=0.0, low=-0.1, high=0.1)),
        sample_facts(risk=bound(0.02)),
        sample_facts(attack=outcome(worst=Count(successes=2, trials=20))),
    ],
)
def test_exactly_at_the_limit_passes(facts: Facts) -> None:
    assert isinstance(decide(sample_policy(), facts), Approval)


@pytest.mark.parametrize(
    ("facts", "fragment"),
    [
        (sample_facts(without=("accuracy",)), "was not measured"),
        (sample_facts(accuracy=measurement(units=99)), "at least 100"),
        (sample_facts(accuracy=measurement(estimate=math.nan, low=math.nan, high=math.nan)), "undefined"),
        (sample_facts(without=("drop",)), "was not measured"),
        (sample_facts(without=("attack",)), "no attack was run"),
        (sample_facts(without=("bound",)), "no bound was computed"),
        (sample_facts(attack=outcome(positive_control=Count(successes=179, trials=200))), "positive control"),
        (sample_facts(attack=outcome(positive_control=Count(successes=0, trials=0))), "positive control"),
        (sample_facts(attack=outcome(negative_control=Count(successes=11, trials=100))), "negative control"),
        (sample_facts(attack=outcome(negative_control=Count(successes=0, trials=0))), "negative control"),
        (sample_facts(attack=outcome(sample=Count(successes=0, trials=199))), "less than the policy asks"),
        (sample_facts(attack=outcome(noise_draws=2)), "less than the policy asks"),
        (sample_facts(attack=outcome(worst=Count(successes=0, trials=19))), "less than the policy asks"),
        (sample_facts(attack=outcome(threshold=0.99)), "no null calibration supports"),
    ],
)
def test_what_cannot_be_judged_is_inconclusive_never_passed(facts: Facts, fragment: str) -> None:
    verdict = decide(sample_policy(), facts)
    assert isinstance(verdict, Inconclusive)
    assert any(fragment in finding.detail for finding in verdict.findings if finding.status == "inconclusive")


def test_a_violation_outweighs_what_is_inconclusive() -> None:
    facts = sample_facts(epsilon=1e9, without=("accuracy",))
    verdict = decide(sample_policy(), facts)
    assert isinstance(verdict, Refusal)
    assert {finding.status for finding in verdict.findings} == {"passed", "failed", "inconclusive"}


def test_a_failed_control_does_not_excuse_units_that_were_reconstructed() -> None:
    broken = outcome(sample=Count(successes=100, trials=200), negative_control=Count(successes=50, trials=100))
    assert isinstance(decide(sample_policy(), sample_facts(attack=broken)), Refusal)


def test_delta_must_be_below_one_over_units() -> None:
    policy = sample_policy()
    loose = dataclasses.replace(policy, privacy=dataclasses.replace(policy.privacy, max_delta=0.1))
    assert _finding(loose, sample_facts(delta=1 / 240), "privacy-delta").status == "failed"
    assert _finding(loose, sample_facts(delta=1 / 241), "privacy-delta").status == "passed"


def test_the_rule_reads_the_larger_of_bound_and_attack() -> None:
    by_attack = _finding(sample_policy(), sample_facts(risk=bound(1e-9)), "reconstruction")
    assert by_attack.measured == pytest.approx(outcome().sample.upper(confidence=0.95))
    by_bound = _finding(sample_policy(), sample_facts(risk=bound(0.019)), "reconstruction")
    assert by_bound.measured == 0.019


def test_facts_about_another_unit_are_no_facts_of_this_policy() -> None:
    policy = sample_policy()
    other = dataclasses.replace(policy, privacy=dataclasses.replace(policy.privacy, unit="patient"))
    with pytest.raises(InvalidValueError, match="the run's is"):
        decide(other, sample_facts())


def test_an_attack_that_falls_short_of_its_own_read_out_is_broken_and_passes_nothing() -> None:
    policy = sample_policy()
    (rule,) = policy.risk_rules
    by_attack = dataclasses.replace(rule, evidence=("attack",))
    policy = dataclasses.replace(policy, rules=(*policy.utility_rules, by_attack))
    weak = sample_facts(risk=bound(1.0), attack=outcome(sample=Count(successes=0, trials=200)))
    verdict = decide(policy, weak)
    assert isinstance(verdict, Inconclusive)
    assert any("a broken attack is not a safe model" in finding.detail for finding in verdict.findings)


def test_a_stricter_confidence_does_not_make_the_negative_control_laxer() -> None:
    policy = sample_policy()
    (rule,) = policy.risk_rules
    stricter = dataclasses.replace(policy, rules=(*policy.utility_rules, dataclasses.replace(rule, confidence=0.98)))
    control = Count(successes=10, trials=100)
    assert control.lower(confidence=0.95) > 0.05 > control.lower(confidence=0.98)
    facts = sample_facts(attack=outcome(negative_control=control))
    assert isinstance(decide(policy, facts), Inconclusive)
    assert isinstance(decide(stricter, facts), Inconclusive)


RANK = {Refusal: 0, Inconclusive: 1, Approval: 2}


def _tightened(policy: Policy, factor: float) -> Policy:
    rules: list[UtilityRule | RiskRule] = []
    for rule in policy.rules:
        if isinstance(rule, RiskRule):
            worst = None if rule.worst_max is None else rule.worst_max * factor
            rules.append(dataclasses.replace(rule, maximum=max(rule.maximum * factor, 0.0151), worst_max=worst))
        elif rule.max_drop is not None:
            rules.append(dataclasses.replace(rule, max_drop=rule.max_drop * factor))
        else:
            rules.append(dataclasses.replace(rule, minimum=1 - (1 - (rule.minimum or 0)) * factor))
    privacy = dataclasses.replace(policy.privacy, max_epsilon=policy.privacy.max_epsilon * factor)
    return dataclasses.replace(policy, rules=tuple(rules), privacy=privacy)


@given(
    st.floats(0.05, 1),
    st.floats(1e3, 1e8),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 20),
    st.integers(0, 200),
)
def test_tightening_never_turns_a_refusal_into_an_approval(
    factor: float, epsilon: float, low: float, risk: float, worst: int, successes: int
) -> None:
    facts = sample_facts(
        epsilon=epsilon,
        accuracy=measurement(estimate=low, low=low, high=1.0),
        risk=bound(risk),
        attack=outcome(sample=Count(successes=successes, trials=200), worst=Count(successes=worst, trials=20)),
    )
    loose, tight = decide(sample_policy(), facts), decide(_tightened(sample_policy(), factor), facts)
    assert RANK[type(tight)] <= RANK[type(loose)]
    assert len(tight.findings) == len(loose.findings)


# --- the past


def _total(epsilon: float) -> Guarantee:
    return Guarantee(
        epsilon=Interval(low=0.0, estimate=epsilon, high=epsilon),
        delta=1e-6,
        accountant="gaussian",
        theorem="a theorem",
    )


def _with_cap(limit: float) -> Policy:
    policy = sample_policy()
    return dataclasses.replace(policy, privacy=dataclasses.replace(policy.privacy, max_total_epsilon=limit))


@pytest.mark.parametrize(("total", "verdict"), [(2e6, Approval), (2.000001e6, Refusal), (math.inf, Refusal)])
def test_the_total_of_all_runs_is_held_to_its_cap(total: float, verdict: type) -> None:
    found = decide(_with_cap(2e6), sample_facts(total=_total(total)))
    assert isinstance(found, verdict)
    (finding,) = [finding for finding in found.findings if finding.rule == "privacy-total-epsilon"]
    assert finding.measured == total


def test_without_a_cap_the_total_is_no_finding() -> None:
    found = decide(sample_policy(), sample_facts(total=_total(1e30)))
    assert isinstance(found, Approval)


def test_one_attempt_too_many_is_refused() -> None:
    facts = sample_facts()
    again = sample_facts(past=statement(facts.evidence, attempts=2))
    assert isinstance(decide(sample_policy(), facts), Approval)
    found = decide(sample_policy(), again)
    assert isinstance(found, Refusal)
    assert [finding.rule for finding in found.findings if finding.status == "failed"] == ["attempts"]


def test_each_attempt_is_read_with_the_confidence_that_is_left_to_it() -> None:
    endless = dataclasses.replace(sample_policy(), max_attempts=None)
    risks = []
    for attempt in (1, 2, 3):
        facts = sample_facts(past=statement(sample_facts().evidence, attempts=attempt))
        risks.append(next(f for f in decide(endless, facts).findings if f.rule == "reconstruction"))
    assert [round(risk.confidence or 0, 9) for risk in risks] == [
        0.975,
        round(1 - 0.05 / 6, 9),
        round(1 - 0.05 / 12, 9),
    ]
    measured = [risk.measured for risk in risks]
    assert measured == sorted(measured)
    assert len(set(measured)) == 3, "the same counts, a higher limit at each attempt"


def test_the_shares_of_all_attempts_add_up_to_no_more_than_the_confidence_leaves() -> None:
    endless = sum(1 - confidence_of_attempt(0.9, attempt=j, max_attempts=None) for j in range(1, 10_000))
    limited = sum(1 - confidence_of_attempt(0.9, attempt=j, max_attempts=7) for j in range(1, 8))
    assert 0.0999 < endless <= 0.1
    assert limited == pytest.approx(0.1)


def _dice_policy(class_name: str | None, *, drop: bool = False) -> Policy:
    rules = tuple(
        dataclasses.replace(rule, metric="dice", class_name=class_name)
        for rule in sample_policy().utility_rules
        if rule.needs_twin == drop
    )
    return dataclasses.replace(sample_policy(), rules=(*rules, *sample_policy().risk_rules))


def test_a_rule_reads_the_dice_of_its_class_and_no_other() -> None:
    liver = dataclasses.replace(measurement(low=0.9, estimate=0.92), metric="dice", class_name="liver")
    facts = sample_facts(accuracy=liver)
    finding = _finding(_dice_policy("liver"), facts, "accuracy")
    assert (finding.status, finding.measured) == ("passed", 0.9)
    assert finding.statement.startswith("dice of liver is at least")
    for other in ("lesion", None):
        finding = _finding(_dice_policy(other), facts, "accuracy")
        assert finding.status == "inconclusive"
        assert "was not measured" in finding.detail


def test_a_drop_of_dice_is_judged_by_its_upper_limit() -> None:
    worse = Measurement(
        metric="dice", estimate=0.05, low=0.0, high=0.11, confidence=0.95, units=150, method="m", class_name="liver"
    )
    finding = _finding(_dice_policy("liver", drop=True), sample_facts(drop=worse), "drop")
    assert (finding.status, finding.measured) == ("failed", 0.11)
    assert "dice of liver falls below the non-private twin's by at most" in finding.statement


def test_dice_on_too_few_units_with_the_class_is_inconclusive() -> None:
    rare = dataclasses.replace(measurement(units=99), metric="dice", class_name="lesion")
    finding = _finding(_dice_policy("lesion"), sample_facts(accuracy=rare), "accuracy")
    assert (finding.status, finding.sample_size) == ("inconclusive", 99)
    undefined = dataclasses.replace(
        measurement(estimate=math.nan, low=math.nan, high=math.nan), metric="dice", class_name="lesion"
    )
    finding = _finding(_dice_policy("lesion"), sample_facts(accuracy=undefined), "accuracy")
    assert finding.status == "inconclusive"
    assert "undefined" in finding.detail


def test_only_dice_has_classes() -> None:
    with pytest.raises(InvalidValueError, match="class goes with the metric dice"):
        dataclasses.replace(sample_policy().utility_rules[0], class_name="liver")


def _attacked(*outcomes: AttackOutcome) -> Facts:
    facts = sample_facts()
    attacks = dataclasses.replace(facts.evidence.attacks, outcomes=outcomes)
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, attacks=attacks))


def _rule(**changes: Any) -> Policy:
    policy = sample_policy()
    rules = tuple(dataclasses.replace(r, **changes) if isinstance(r, RiskRule) else r for r in policy.rules)
    return dataclasses.replace(policy, rules=rules)


def test_of_several_attacks_each_has_to_pass() -> None:
    stronger = outcome(attack="inversion", source="production-step", sample=Count(successes=30, trials=200))
    assert _finding(sample_policy(), _attacked(outcome(), stronger), "reconstruction").status == "failed"
    worse = outcome(attack="inversion", source="production-step", worst=Count(successes=20, trials=20))
    assert _finding(sample_policy(), _attacked(outcome(), worse), "reconstruction/worst").status == "failed"
    broken = outcome(attack="inversion", source="production-step", positive_control=Count(successes=3, trials=200))
    assert _finding(sample_policy(), _attacked(outcome(), broken), "reconstruction").status == "inconclusive"


def test_a_rule_reads_the_attacks_that_it_names_and_wants_them_all() -> None:
    stronger = outcome(attack="inversion", source="production-step", sample=Count(successes=30, trials=200))
    facts = _attacked(outcome(), stronger)
    assert _finding(_rule(attacks=("analytic",)), facts, "reconstruction").status == "passed"
    assert _finding(_rule(attacks=("inversion",)), facts, "reconstruction").status == "failed"
    missing = _finding(_rule(attacks=("analytic", "imprint-bins")), facts, "reconstruction")
    assert missing.status == "inconclusive"
    assert "no attack imprint-bins was run" in missing.detail


def test_a_rule_may_want_attacks_on_the_runs_own_code() -> None:
    policy = _rule(attacks=("inversion",), source="production-step")
    assert _finding(policy, _attacked(outcome()), "reconstruction").status == "inconclusive"
    inverted = outcome(attack="inversion", source="production-step")
    assert _finding(policy, _attacked(outcome(), inverted), "reconstruction").status == "passed"


def test_an_attack_that_could_not_have_failed_the_rule_shows_nothing() -> None:
    few = outcome(
        attack="imprint-bins", source="production-step", positive_control=Count(successes=4, trials=4), candidates=64
    )
    null = dataclasses.replace(sample_facts().evidence.attacks.nulls[0], candidates=64)
    facts = _attacked(few)
    attacks = dataclasses.replace(facts.evidence.attacks, nulls=(*facts.evidence.attacks.nulls, null))
    facts = dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, attacks=attacks))
    finding = _finding(_rule(attacks=("imprint-bins",), evidence=("attack",)), facts, "reconstruction")
    assert finding.status == "inconclusive"
    assert "could not have failed it" in finding.detail


def test_an_attack_with_several_candidates_needs_a_null_of_as_many() -> None:
    many = outcome(attack="imprint-trap", source="production-step", candidates=64)
    finding = _finding(sample_policy(), _attacked(many), "reconstruction")
    assert finding.status == "inconclusive"
    assert "no null calibration supports" in finding.detail


def test_code_that_nobody_attacked_is_inconclusive() -> None:
    finding = _finding(sample_policy(), sample_facts(without=("identification",)), "own-code")
    assert (finding.status, finding.sample_size) == ("inconclusive", None)
    facts = sample_facts()
    blind = dataclasses.replace(facts.evidence.identifications[0], positive_control=Count(successes=1, trials=8))
    facts = dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, identifications=(blind,)))
    assert "positive control" in _finding(sample_policy(), facts, "own-code").detail


def test_what_an_attack_on_the_code_achieved_is_said_with_its_limit() -> None:
    finding = _finding(sample_policy(), sample_facts(), "own-code")
    assert finding.status == "passed"
    assert finding.measured < 0.5 < finding.limit
    assert "picked 160 of 400 targets among 16" in finding.detail


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adversary": ONE_STEP_SPECTRAL, "evidence": ("bound",), "worst_max": None}, "a model of images and no proof"),
        ({"source": "production-step"}, "name the attacks .production-step. that it reads"),
        ({"source": "production-step", "attacks": ("analytic",)}, "analytic is simulated, not production-step"),
        ({"source": "simulated", "attacks": ("inversion",)}, "inversion is production-step, not simulated"),
        ({"attacks": ("denoised",)}, "with prior, not realistic, one step"),
    ],
)
def test_a_rule_that_no_evidence_could_support_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        _rule(**changes)
