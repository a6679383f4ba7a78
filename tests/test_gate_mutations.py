"""The decision, mutated: each kind of rule at its threshold, an ulp beside it, missing, and thin."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gatekeeper.core.adversary import (
    ALL_STEPS,
    ALL_STEPS_SPECTRAL,
    ONE_STEP,
    PAPER_ATTACKS,
    RELAXED,
    WORST_CASE,
    Adversary,
)
from gatekeeper.core.certificate import Facts
from gatekeeper.core.identification import CONTRADICTION_CONFIDENCE
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import Count
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate import decide
from gatekeeper.report import exit_code
from tests.facts import SIMILARITY, identification, sample_policy, statement
from tests.policy_facts import facts_for, lock_on, spent, with_attack, with_bound, with_utility

APPROVED, REFUSED, INCONCLUSIVE = 0, 1, 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of rule.

    Attributes:
        policy: has a rule of that kind.
        finding: the finding's name.
        at: facts of which that finding's figure is this number, or as near to it on the safe side as it can be.
        limit: its limit; figures above it fail, or below it where `least`.
        least: whether the limit is a least value.
        missing: facts without the figure.
        thin: facts on too few units for it, or None where no figure rests on units.
    """

    policy: Policy
    finding: str
    at: Callable[[float], Facts]
    limit: float
    least: bool = False
    missing: Facts | None = None
    thin: Facts | None = None

    def code(self, facts: Facts) -> tuple[int, str]:
        """The exit code, and the status of this finding."""
        verdict = decide(self.policy, facts)
        (found,) = [finding for finding in verdict.findings if finding.rule == self.finding]
        others = {finding.status for finding in verdict.findings if not finding.rule.startswith(self.finding)}
        assert others <= {"passed"} or self.finding.endswith("/worst"), "only this finding is touched"
        return exit_code(verdict), found.status


def utility(**changes: Any) -> Case:
    policy = sample_policy()
    drops = "max_drop" in changes
    fields = {"minimum": None, "statistic": "upper_confidence_bound"} if drops else {}
    first = dataclasses.replace(policy.utility_rules[0], **{**fields, **changes})
    policy = dataclasses.replace(policy, rules=(first, *policy.risk_rules))
    facts = facts_for(policy)

    def at(value: float) -> Facts:
        if first.statistic == "estimate":
            return with_utility(facts, first, low=-1.0, estimate=value, high=1.0)
        ends = {"estimate": 0.0, "high": value} if drops else {"low": value}
        return with_utility(facts, first, **ends)

    limit = first.max_drop if first.max_drop is not None else first.minimum
    assert limit is not None
    return Case(
        policy=policy,
        finding=first.id,
        at=at,
        limit=limit,
        least=not drops,
        missing=with_utility(facts, first, drop=True),
        thin=with_utility(facts, first, units=first.min_units - 1),
    )


def risk(adversary: Adversary, *evidence: str, **changes: Any) -> Policy:
    policy = sample_policy()
    rule = RiskRule(
        id="risk",
        adversary=adversary,
        similarity=SIMILARITY if adversary.knows == "nothing" else None,
        maximum=0.02,
        confidence=0.95,
        worst_max=None,
        evidence=evidence,  # type: ignore[arg-type]
    )
    return dataclasses.replace(policy, rules=(policy.utility_rules[0], dataclasses.replace(rule, **changes)))


def by_bound(adversary: Adversary, *evidence: str) -> Case:
    policy = risk(adversary, *(evidence or ("bound",)))
    (rule,), facts = policy.risk_rules, facts_for(policy)
    thin = with_attack(facts, rule, sample=Count(successes=0, trials=199)) if evidence else None
    return Case(
        policy=policy,
        finding="risk",
        at=lambda value: with_bound(facts, rule, value),
        limit=rule.maximum,
        missing=with_bound(facts, rule, None),
        thin=thin,
    )


def by_attack(adversary: Adversary, **changes: Any) -> Case:
    """An upper limit can't be any number, so the rule's maximum is set to one that is reached."""
    reached = Count(successes=1, trials=200).upper(confidence=0.95)
    policy = risk(adversary, "attack", maximum=reached, **changes)
    (rule,), facts = policy.risk_rules, facts_for(policy)

    def at(value: float) -> Facts:
        """A success more or fewer where the value is beyond the limit or within it."""
        successes = 1 + (value > reached) - (value < reached)
        return with_attack(facts, rule, sample=Count(successes=successes, trials=200))

    return Case(
        policy=policy,
        finding="risk",
        at=at,
        limit=reached,
        missing=with_attack(facts, rule, drop=True),
        thin=with_attack(facts, rule, sample=Count(successes=0, trials=199)),
    )


def worst() -> Case:
    policy = risk(ONE_STEP, "attack", worst_max=0.1)
    (rule,), facts = policy.risk_rules, facts_for(policy)

    def at(value: float) -> Facts:
        successes = 2 + (value > 0.1) - (value < 0.1)
        return with_attack(facts, rule, worst=Count(successes=successes, trials=20))

    return Case(
        policy=policy,
        finding="risk/worst",
        at=at,
        limit=0.1,
        missing=with_attack(facts, rule, drop=True),
        thin=with_attack(facts, rule, worst=Count(successes=0, trials=19)),
    )


def budget(name: str) -> Case:
    policy = sample_policy()
    policy = dataclasses.replace(policy, privacy=dataclasses.replace(policy.privacy, max_total_epsilon=2e6))
    facts = facts_for(policy)
    delta = policy.privacy.max_delta
    cases: dict[str, tuple[float, Callable[[float], Facts]]] = {
        "privacy-epsilon": (1e6, lambda v: dataclasses.replace(facts, guarantee=spent(v, delta=delta))),
        "privacy-delta": (1e-5, lambda v: dataclasses.replace(facts, guarantee=spent(1.0, delta=v))),
        "privacy-total-epsilon": (2e6, lambda v: dataclasses.replace(facts, total=spent(v, delta=delta))),
    }
    limit, at = cases[name]
    return Case(policy=policy, finding=name, at=at, limit=limit)


def own_code() -> Case:
    policy = sample_policy()
    facts = facts_for(policy)
    run = facts.evidence.record.mechanism

    picked = identification(run, successes=190)
    surely = picked[0].identified.lower(confidence=CONTRADICTION_CONFIDENCE)

    def at(value: float) -> Facts:
        """The limit is a multiple of 1e-4: the next one above what is surely picked, or the last one below."""
        bound = surely if value <= surely else math.floor(surely * 1e4) / 1e4
        return with_identifications(tuple(dataclasses.replace(each, bound=bound) for each in picked))

    def with_identifications(found: Any) -> Facts:
        return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, identifications=found))

    return Case(policy=policy, finding="own-code", at=at, limit=surely, missing=with_identifications(()))


CASES: dict[str, Case] = {
    "least value, by its limit": utility(minimum=0.7),
    "least value, by its estimate": utility(minimum=0.7, statistic="estimate"),
    "drop, by its limit": utility(max_drop=0.1),
    "drop, by its estimate": utility(max_drop=0.1, statistic="estimate"),
    "bound, one step": by_bound(ONE_STEP),
    "bound, all steps": by_bound(ALL_STEPS),
    "bound and attack, one step": by_bound(ONE_STEP, "bound", "attack"),
    "model figure and attack, with prior": by_bound(ALL_STEPS_SPECTRAL, "bound", "attack"),
    "bound, relaxed": by_bound(RELAXED),
    "bound, worst case": by_bound(WORST_CASE),
    "attack, one step": by_attack(ONE_STEP),
    "attack, all steps with prior": by_attack(ALL_STEPS_SPECTRAL),
    "attacks of the paper": by_attack(ONE_STEP, attacks=PAPER_ATTACKS, source="production-step"),
    "worst stratum": worst(),
    "ε": budget("privacy-epsilon"),
    "δ": budget("privacy-delta"),
    "total ε": budget("privacy-total-epsilon"),
    "own code": own_code(),
}


@pytest.mark.parametrize("name", CASES)
def test_at_the_threshold_and_within_it_the_rule_passes(name: str) -> None:
    case = CASES[name]
    inside = math.nextafter(case.limit, math.inf if case.least else -math.inf)
    assert case.code(case.at(case.limit)) == (APPROVED, "passed")
    assert case.code(case.at(inside)) == (APPROVED, "passed")


@pytest.mark.parametrize("name", CASES)
def test_one_unit_in_the_last_place_beyond_it_the_rule_fails(name: str) -> None:
    case = CASES[name]
    beyond = math.nextafter(case.limit, -math.inf if case.least else math.inf)
    assert case.code(case.at(beyond)) == (REFUSED, "failed")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.missing is not None])
def test_without_its_figure_the_rule_is_inconclusive(name: str) -> None:
    case = CASES[name]
    assert case.missing is not None
    assert case.code(case.missing) == (INCONCLUSIVE, "inconclusive")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.thin is not None])
def test_on_too_few_units_the_rule_is_inconclusive(name: str) -> None:
    case = CASES[name]
    assert case.thin is not None
    assert case.code(case.thin) == (INCONCLUSIVE, "inconclusive")


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if not name.startswith(("attack", "worst", "own"))]
)
def test_nan_is_no_figure(name: str) -> None:
    """It can't be born, but for a metric that is undefined: that is inconclusive."""
    case = CASES[name]
    rule = next((rule for rule in case.policy.utility_rules if rule.id == case.finding), None)
    if rule is None:
        with pytest.raises(InvalidValueError):
            case.at(math.nan)
    else:
        undefined = with_utility(facts_for(case.policy), rule, low=math.nan, estimate=math.nan, high=math.nan)
        assert case.code(undefined) == (INCONCLUSIVE, "inconclusive")


@pytest.mark.parametrize("field", ["minimum", "maximum", "worst_max", "confidence"])
def test_nan_is_no_limit(field: str) -> None:
    for rule in sample_policy().rules:
        if hasattr(rule, field):
            with pytest.raises(InvalidValueError):
                dataclasses.replace(rule, **{field: math.nan})


def test_the_last_attempt_passes_and_one_more_does_not() -> None:
    policy = dataclasses.replace(
        sample_policy(), audit=dataclasses.replace(sample_policy().audit, units=400), max_attempts=2
    )
    facts = facts_for(policy)
    for attempts, code in ((1, APPROVED), (2, APPROVED), (3, REFUSED)):
        past = statement(facts.evidence, attempts=attempts)
        assert exit_code(decide(policy, dataclasses.replace(facts, ledger=past))) == code


def test_a_policy_that_wants_a_lock_passes_with_one_on_itself_alone() -> None:
    policy = dataclasses.replace(sample_policy(), require_lock=True)
    facts = facts_for(policy)
    assert exit_code(decide(policy, facts)) == APPROVED
    without = dataclasses.replace(facts, lock=None, ledger=dataclasses.replace(facts.ledger, lock=None))
    verdict = decide(policy, without)
    assert exit_code(verdict) == REFUSED
    assert [f.detail for f in verdict.findings if f.status == "failed"] == ["not locked before the run"]
    other = lock_on(sample_policy())
    swapped = dataclasses.replace(facts, lock=other, ledger=dataclasses.replace(facts.ledger, lock=other.note))
    with pytest.raises(InvalidValueError, match="the lock is on the policy with digest"):
        decide(policy, swapped)


def test_a_lock_that_the_ledger_never_saw_is_no_fact() -> None:
    facts = facts_for(sample_policy())
    with pytest.raises(InvalidValueError, match="no lock on its policy"):
        dataclasses.replace(facts, lock=lock_on(sample_policy()))


def test_every_kind_of_finding_is_mutated() -> None:
    """A kind of rule that is added later is missed here."""
    covered = {case.finding for case in CASES.values()}
    implied = {f.rule for case in CASES.values() for f in decide(case.policy, case.at(case.limit)).findings}
    assert {name for name in implied if name.startswith("privacy-") or name == "own-code"} <= covered
    assert implied - covered == {"attempts", "drop", "reconstruction", "reconstruction/worst"}
    kinds = {type(rule) for case in CASES.values() for rule in case.policy.rules}
    assert kinds == {UtilityRule, RiskRule}
