"""Facts that satisfy any policy exactly well enough, to be spoilt one figure at a time."""

from __future__ import annotations

import dataclasses
import hashlib

from gatekeeper.core.adversary import PLAYS, SOURCE_OF, AttackName
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.certificate import Evidence, Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import AttackOutcome, AttackReport, Count, RiskBound
from gatekeeper.core.utility import Measurement, UtilityReport
from tests.facts import TAU, outcome, sample_facts, statement

ALWAYS: tuple[AttackName, ...] = ("analytic", "denoised")
LOCKER = hashlib.sha256(b"a key").hexdigest()


def facts_for(policy: Policy) -> Facts:
    """What a run at a policy's ceilings might have measured: every rule passes."""
    facts = sample_facts()
    evidence = _evidence(policy, facts.evidence)
    lock = lock_on(policy) if policy.require_lock else None
    ledger = dataclasses.replace(statement(evidence), lock=None if lock is None else lock.note)
    return dataclasses.replace(
        facts,
        evidence=evidence,
        guarantee=spent(policy.privacy.max_epsilon, delta=policy.privacy.max_delta),
        total=spent(policy.privacy.max_total_epsilon or 1.0, delta=policy.privacy.max_delta),
        bounds=tuple(_bound(rule) for rule in policy.risk_rules if "bound" in rule.evidence),
        ledger=ledger,
        lock=lock,
    )


def lock_on(policy: Policy) -> PolicyLock:
    """A lock on a policy, as if its signature had been verified."""
    return PolicyLock(
        policy_digest=digest(policy), locker=LOCKER, claimed="2029-12-31T00:00:00Z", bundle='{"bundle":"of a lock"}\n'
    )


def spent(epsilon: float, *, delta: float) -> Guarantee:
    """A guarantee whose upper end is `epsilon`."""
    return Guarantee(
        epsilon=Interval(low=0.0, estimate=epsilon, high=epsilon),
        delta=delta,
        accountant="gaussian",
        theorem="a theorem",
    )


def _evidence(policy: Policy, evidence: Evidence) -> Evidence:
    units, unit = policy.audit.units, policy.privacy.unit
    mechanism = dataclasses.replace(evidence.record.mechanism, unit=unit)
    rules = [rule for rule in policy.risk_rules if "attack" in rule.evidence]
    return dataclasses.replace(
        evidence,
        dataset=dataclasses.replace(
            evidence.dataset,
            unit=unit,
            train_units=units,
            train_images=units,
            test_units=1000,
            test_groups=1000,
            test_images=1000,
            max_images_per_unit=1,
        ),
        record=dataclasses.replace(evidence.record, mechanism=mechanism),
        utility=_utility(policy),
        attacks=AttackReport(
            nulls=tuple(
                dataclasses.replace(null, similarity=similarity)
                for similarity in dict.fromkeys(rule.similarity for rule in rules)
                if similarity is not None
                for null in evidence.attacks.nulls
            ),
            outcomes=tuple(_outcome(policy, rule, attack) for rule in rules for attack in attacks_of(rule)),
            spectrum=evidence.attacks.spectrum,
        ),
    )


def attacks_of(rule: RiskRule) -> tuple[AttackName, ...]:
    """The attacks that a rule names, or the one that every run makes on its adversary."""
    return rule.attacks or tuple(name for name in ALWAYS if rule.adversary in PLAYS[name])


def _outcome(policy: Policy, rule: RiskRule, attack: AttackName) -> AttackOutcome:
    audit = policy.audit
    return outcome(
        attack=attack,
        source=SOURCE_OF[attack],
        adversary=rule.adversary,
        similarity=rule.similarity,
        sample=Count(successes=0, trials=audit.units),
        worst=Count(successes=0, trials=audit.worst_units),
        positive_control=Count(successes=audit.units, trials=audit.units),
        negative_control=Count(successes=0, trials=100),
        noise_draws=audit.noise_draws,
    )


def _bound(rule: RiskRule, value: float = 1e-9) -> RiskBound:
    return RiskBound(
        adversary=rule.adversary,
        quantity="P",
        similarity=rule.similarity,
        threshold=None if rule.similarity is None else TAU,
        value=value,
        proven_against="a class of attacks",
        read_out="a read-out",
        participations=1,
    )


def _utility(policy: Policy) -> UtilityReport:
    measured = [_measurement(policy, rule) for rule in policy.utility_rules if not rule.needs_twin]
    drops = [_measurement(policy, rule) for rule in policy.utility_rules if rule.needs_twin]
    return UtilityReport(measurements=tuple(measured), baseline=tuple(measured) if drops else (), drops=tuple(drops))


def _measurement(policy: Policy, rule: UtilityRule) -> Measurement:
    """Comfortably on the passing side."""
    good = 0.0 if rule.needs_twin else 1.0
    return Measurement(
        metric=rule.metric,
        class_name=rule.class_name,
        estimate=good,
        low=good,
        high=good,
        confidence=confidence_of_attempt(rule.confidence, attempt=1, max_attempts=policy.max_attempts),
        units=1000,
        method="exact",
    )


# One figure spoilt


def with_utility(facts: Facts, rule: UtilityRule, **changes: object) -> Facts:
    """Other values of the metric that a rule reads; `drop=True` leaves it out."""
    utility = facts.evidence.utility
    name = "drops" if rule.needs_twin else "measurements"

    def altered(measurement: Measurement) -> tuple[Measurement, ...]:
        if measurement.subject != rule.subject:
            return (measurement,)
        return () if changes.get("drop") else (dataclasses.replace(measurement, **changes),)  # type: ignore[arg-type]

    kept = tuple(each for measurement in getattr(utility, name) for each in altered(measurement))
    utility = dataclasses.replace(utility, **{name: kept})  # type: ignore[arg-type]
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, utility=utility))


def with_attack(facts: Facts, rule: RiskRule, **changes: object) -> Facts:
    """Other outcomes of the attacks that a rule reads; `drop=True` leaves them out."""
    attacks = facts.evidence.attacks
    outcomes = tuple(
        dataclasses.replace(each, **changes) if each.adversary == rule.adversary else each  # type: ignore[arg-type]
        for each in attacks.outcomes
        if not (changes.get("drop") and each.adversary == rule.adversary)
    )
    attacks = dataclasses.replace(attacks, outcomes=outcomes)
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, attacks=attacks))


def with_bound(facts: Facts, rule: RiskRule, value: float | None) -> Facts:
    """Another bound on a rule's adversary, or none."""
    others = tuple(bound for bound in facts.bounds if bound.adversary != rule.adversary)
    return dataclasses.replace(facts, bounds=others if value is None else (*others, _bound(rule, value)))
