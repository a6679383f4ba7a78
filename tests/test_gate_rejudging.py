"""Evidence judged by another policy than it was measured under: it passes nothing that it does not answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.adversary import ALL_STEPS, WEIGHTS_ONLY
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import encode
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, UtilityRule, WaiverTerms
from gatekeeper.core.risk import Count, Similarity
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal
from gatekeeper.core.weights_only import WeightsSearch
from gatekeeper.gate import decide, decide_again
from tests.facts import bound, measurement, outcome, sample_facts, sample_policy, statement

RECORDED = sample_policy()
MAIN, WORST = "reconstruction", "reconstruction/worst"


def changed(rule: str | None = None, /, **changes: Any) -> Policy:
    """The recorded policy with other terms, or with another rule."""
    if rule is None:
        return dataclasses.replace(RECORDED, **changes)
    return dataclasses.replace(
        RECORDED, rules=tuple(dataclasses.replace(r, **changes) if r.id == rule else r for r in RECORDED.rules)
    )


def audited(**changes: Any) -> Policy:
    return changed(audit=dataclasses.replace(RECORDED.audit, **changes))


def again(policy: Policy, facts: Facts | None = None, *, recorded: Policy = RECORDED) -> dict[str, Finding]:
    """Findings by name; what can't be judged is no pass of the whole either."""
    verdict = decide_again(policy, facts or sample_facts(), recorded=recorded)
    assert isinstance(verdict, Approval) == all(f.status in ("passed", "waived") for f in verdict.findings)
    return {finding.rule: finding for finding in verdict.findings}


def is_open(*rules: str, policy: Policy, facts: Facts | None = None, recorded: Policy = RECORDED) -> None:
    """These findings, and no others, are inconclusive."""
    found = again(policy, facts, recorded=recorded)
    assert {name for name, finding in found.items() if finding.status == "inconclusive"} == set(rules)


RUNS = [
    sample_facts(),
    sample_facts(epsilon=1e9),
    sample_facts(accuracy=measurement(low=0.1)),
    sample_facts(without=("drop",)),
    sample_facts(attack=outcome(sample=Count(successes=9, trials=200))),
    sample_facts(past=statement(sample_facts().evidence, attempts=3)),
]


@pytest.mark.parametrize("facts", RUNS)
def test_by_the_same_policy_the_verdict_is_the_same(facts: Facts) -> None:
    assert encode(decide_again(RECORDED, facts, recorded=RECORDED)) == encode(decide(RECORDED, facts))


@settings(max_examples=15)
@given(
    facts=st.sampled_from(RUNS),
    minimum=st.floats(0.5, 0.9),
    maximum=st.floats(0.016, 0.5),
    epsilon=st.sampled_from([1e4, 1e6, 1e9]),
    units=st.sampled_from([200, 201]),
    draws=st.integers(2, 4),
    worst=st.integers(19, 21),
    confidence=st.sampled_from([0.9, 0.95]),
    attempts=st.sampled_from([1, 2]),
    lock=st.booleans(),
)
def test_nothing_passes_that_the_gate_would_not_pass(
    facts: Facts,
    minimum: float,
    maximum: float,
    epsilon: float,
    units: int,
    draws: int,
    worst: int,
    confidence: float,
    attempts: int,
    lock: bool,
) -> None:
    audit = dataclasses.replace(RECORDED.audit, units=2 * units, noise_draws=draws, worst_units=worst)
    rules = tuple(
        dataclasses.replace(rule, minimum=minimum, confidence=confidence)
        if isinstance(rule, UtilityRule) and rule.minimum is not None
        else dataclasses.replace(rule, maximum=maximum)
        if isinstance(rule, RiskRule)
        else rule
        for rule in RECORDED.rules
    )
    policy = dataclasses.replace(
        RECORDED,
        rules=rules,
        audit=audit,
        require_lock=lock,
        max_attempts=attempts,
        privacy=dataclasses.replace(RECORDED.privacy, max_epsilon=epsilon),
    )
    plainly = {finding.rule: finding for finding in decide(policy, facts).findings}
    for name, finding in again(policy, facts).items():
        if finding.status == "passed":
            assert plainly[name].status == "passed"
            assert plainly[name] == finding or name == "attempts", "of attempts it says whose they are"
        if finding.status == "failed":
            assert plainly[name].status == "failed"
    asks_otherwise = lock or draws != 3 or worst != 20
    assert not (asks_otherwise and isinstance(decide_again(policy, facts, recorded=RECORDED), Approval))


def test_limits_are_judged_anew() -> None:
    assert again(changed("accuracy", minimum=0.81))["accuracy"].status == "failed"
    assert again(changed("accuracy", minimum=0.8))["accuracy"].status == "passed"
    assert again(changed(MAIN, maximum=0.016))[MAIN].status == "passed"
    assert again(changed(MAIN, maximum=0.3), sample_facts(risk=bound(0.2)))[MAIN].status == "passed"
    assert again(changed(MAIN, confidence=0.9))[MAIN].status == "passed", "counts hold at every confidence"
    assert again(audited(max_negative_control=0.001))[MAIN].status == "passed"
    assert again(audited(min_positive_control=0.99))["own-code"].status == "passed"


def test_a_ceiling_that_the_run_exceeds_refuses_it() -> None:
    facts = _with_epsilon(1e5)
    assert isinstance(decide_again(changed(privacy=_privacy(9e4)), facts, recorded=RECORDED), Refusal)


def test_a_ceiling_below_what_the_candidate_asks_for_is_open_though_the_spend_is_below_it() -> None:
    is_open("privacy-epsilon", policy=changed(privacy=_privacy(1.5e5)), facts=_with_epsilon(2e5))


@pytest.mark.parametrize("privacy", [{"max_epsilon": 1e7}, {"max_epsilon": 1e4}, {"max_delta": 2e-5}])
def test_what_the_candidate_leaves_to_the_policy_is_another_training(privacy: dict[str, float]) -> None:
    facts = sample_facts(attack=outcome(sample=Count(successes=200, trials=200)))
    verdict = decide_again(changed(privacy=dataclasses.replace(RECORDED.privacy, **privacy)), facts, recorded=RECORDED)
    assert isinstance(verdict, Inconclusive)
    assert {finding.status for finding in verdict.findings} == {"inconclusive"}
    assert all("another training" in finding.detail for finding in verdict.findings)


# Each of these is measured under the policy's terms.
ASKED_OTHERWISE: list[tuple[Policy, tuple[str, ...]]] = [
    (audited(null_confidence=0.99), (MAIN, WORST)),
    (audited(units=240), (MAIN, WORST)),
    (audited(noise_draws=2), (MAIN, WORST)),
    (audited(noise_draws=4), (MAIN, WORST)),
    (audited(worst_units=10), (WORST,)),
    (audited(worst_units=30), (MAIN, WORST)),
    (changed(require_lock=True), ("policy-lock",)),
    (changed("accuracy", confidence=0.99), ("accuracy",)),
    (changed("accuracy", metric="mcc"), ("accuracy",)),
    (changed("drop", confidence=0.99), ("drop",)),
    (changed("accuracy", min_units=1000), ("accuracy",)),
    (changed(MAIN, similarity=Similarity(above_null=0.9)), (MAIN, WORST)),
    (changed(MAIN, similarity=Similarity(above_null=None, at_least=0.5)), (MAIN, WORST)),
    (changed(MAIN, attacks=("analytic", "imprint-bins")), (MAIN, WORST)),
    (changed(MAIN, attacks=("inversion",), source="production-step"), (MAIN, WORST)),
    (changed(MAIN, adversary=ALL_STEPS), (MAIN, WORST)),
    (changed(MAIN, adversary=WEIGHTS_ONLY, attacks=("stationarity",), evidence=("attack",)), (MAIN, WORST)),
    (changed(max_attempts=None), ("accuracy", "drop")),
]


@pytest.mark.parametrize(("policy", "rules"), ASKED_OTHERWISE)
def test_what_the_evidence_does_not_hold_is_open(policy: Policy, rules: tuple[str, ...]) -> None:
    is_open(*rules, policy=policy)


def test_a_failure_under_other_terms_is_open_too() -> None:
    facts = sample_facts(attack=outcome(sample=Count(successes=50, trials=200)))
    assert again(RECORDED, facts)[MAIN].status == "failed"
    is_open(MAIN, WORST, policy=audited(noise_draws=1), facts=facts)


def test_more_units_than_asked_for_are_read() -> None:
    assert (
        again(dataclasses.replace(audited(units=150), rules=changed(MAIN, maximum=0.03).rules))[MAIN].status == "passed"
    )


def test_attempts_are_read_as_of_the_recorded_policy_and_too_many_are_open() -> None:
    """Confidence is shared as this policy shares it: what was measured at 0.95 is not what is then asked for."""
    facts = sample_facts(past=statement(sample_facts().evidence, attempts=3))
    lenient = changed(MAIN, maximum=0.05)
    found = again(dataclasses.replace(lenient, max_attempts=2), facts)
    assert found["attempts"].status == found["accuracy"].status == "inconclusive"
    found = again(dataclasses.replace(lenient, max_attempts=5), facts)
    assert found["attempts"].status == "passed"
    assert found[MAIN].confidence == pytest.approx(0.99)


def test_attempts_are_called_those_of_the_recorded_policy() -> None:
    """What was counted is another policy's tries; of this one nobody was asked."""
    found = again(changed("accuracy", minimum=0.71))["attempts"]
    assert (found.status, "this policy was tried on these units at most" in found.statement) == ("passed", False)
    assert "no ledger was asked" in found.detail


def test_a_policy_that_was_tried_before_leaves_no_attempt_or_less_confidence() -> None:
    policy = changed("accuracy", minimum=0.71)
    verdict = decide_again(policy, sample_facts(), recorded=RECORDED, tried=0)
    assert isinstance(verdict, Approval)
    verdict = decide_again(policy, sample_facts(), recorded=RECORDED, tried=1)
    assert {each.rule for each in verdict.findings if each.status != "passed"} == {"attempts"}
    endless = dataclasses.replace(RECORDED, max_attempts=None, rules=changed(MAIN, maximum=0.05).rules)
    later = dataclasses.replace(endless, version=2)
    facts = sample_facts(accuracy=dataclasses.replace(measurement(), confidence=0.975))
    assert again(later, facts, recorded=endless)["accuracy"].status == "passed"
    verdict = decide_again(later, facts, recorded=endless, tried=1)
    read = {each.rule: each for each in verdict.findings}
    for rule in ("accuracy", MAIN):
        assert (read[rule].status, "tried 1 times" in read[rule].detail) == ("inconclusive", True)


def test_a_total_that_another_run_would_pass_is_open_and_one_that_was_passed_is_refused() -> None:
    def total(limit: float, *, then: float | None) -> Finding:
        policy = changed(privacy=dataclasses.replace(RECORDED.privacy, max_total_epsilon=limit))
        verdict = decide_again(policy, sample_facts(), recorded=RECORDED, tried=0, next_total=then)
        (found,) = [each for each in verdict.findings if each.rule == "privacy-total-epsilon"]
        assert isinstance(verdict, Approval) == (found.status == "passed")
        return found

    assert total(1e6, then=None).status == total(1e6, then=1e6).status == "passed"
    assert total(1e6, then=1.1e6).status == "inconclusive"
    assert "1.1e+06" in total(1e6, then=1.1e6).detail
    spent = Guarantee(
        epsilon=Interval(low=1.0, estimate=2e6, high=2e6), delta=1e-6, accountant="an accountant", theorem="a theorem"
    )
    policy = changed(privacy=dataclasses.replace(RECORDED.privacy, max_total_epsilon=1e6))
    facts = sample_facts(total=spent)
    assert isinstance(decide_again(policy, facts, recorded=RECORDED, tried=0, next_total=3e6), Refusal)


@pytest.mark.parametrize("name", ["candidates", "starts", "iterations"])
def test_another_search_in_the_released_weights_is_open(name: str) -> None:
    rule = dataclasses.replace(
        RECORDED.risk_rules[0], adversary=WEIGHTS_ONLY, attacks=("stationarity",), evidence=("attack",), worst_max=None
    )
    first = changed(rules=(*RECORDED.utility_rules, rule))
    search = dataclasses.replace(WeightsSearch(), **{name: 7})
    second = dataclasses.replace(first, audit=dataclasses.replace(first.audit, weights_only=search))
    assert f"{name} = " in again(second, recorded=first)[MAIN].detail


def test_a_fixed_threshold_needs_no_null_of_the_policys_confidence() -> None:
    fixed = Similarity(above_null=None, at_least=0.8)
    facts = sample_facts(attack=outcome(similarity=fixed), risk=dataclasses.replace(bound(), similarity=fixed))
    null = dataclasses.replace(facts.evidence.attacks.nulls[0], similarity=fixed)
    attacks = dataclasses.replace(facts.evidence.attacks, nulls=(null,))
    facts = dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, attacks=attacks))
    recorded = changed(MAIN, similarity=fixed)
    policy = dataclasses.replace(recorded, audit=dataclasses.replace(recorded.audit, null_confidence=0.99))
    assert again(policy, facts, recorded=recorded)[MAIN].status == "passed"


def test_every_demand_of_a_policy_is_judged_anew_or_known_to_be_measured() -> None:
    """Whoever adds a demand says here which it is; what is measured needs a case above, and a gap in the gate."""
    demands = {
        Policy: {
            "judged": {"rules", "max_attempts", "waivers", "require_lock", "privacy", "audit"},
            "refused": {"allow_code"},
            "described": {"name", "version", "owner", "description", "parents"},
        },
        PrivacyTerms: {
            "judged": {"max_total_epsilon", "max_epsilon", "max_delta"},
            "refused": {"unit", "adjacency"},
        },
        AuditTerms: {
            "judged": {"min_positive_control", "max_negative_control", "candidates"},
            "measured": {"units", "worst_units", "noise_draws", "null_confidence", "weights_only"},
        },
        WeightsSearch: {"judged": {"min_positive_control"}, "measured": {"candidates", "starts", "iterations"}},
        UtilityRule: {
            "judged": {"id", "minimum", "max_drop", "statistic", "min_units", "waivable"},
            "measured": {"metric", "class_name", "confidence"},
        },
        RiskRule: {
            "judged": {"id", "maximum", "confidence", "worst_max", "waivable"},
            "measured": {"adversary", "similarity", "evidence", "attacks", "source"},
        },
        WaiverTerms: {"judged": {"max_days", "signed"}},
    }
    for noun, kinds in demands.items():
        assert {field.name for field in dataclasses.fields(noun)} == set().union(*kinds.values()), noun.__name__


def _privacy(epsilon: float) -> PrivacyTerms:
    return dataclasses.replace(RECORDED.privacy, max_epsilon=epsilon)


def _with_epsilon(asked: float) -> Facts:
    """A candidate that asks for a budget of its own; the run spent 10⁵."""
    facts = sample_facts()
    training = dataclasses.replace(facts.evidence.candidate.training, epsilon=asked)
    candidate = dataclasses.replace(facts.evidence.candidate, training=training)
    plan = dataclasses.replace(
        facts.evidence.plan, budget=dataclasses.replace(facts.evidence.plan.budget, epsilon=asked)
    )
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, candidate=candidate, plan=plan))
