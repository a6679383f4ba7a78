"""What a run may spend, how often one may try, and whether its code leaks more than it spends."""

from __future__ import annotations

import math

from gatekeeper.core.certificate import Facts
from gatekeeper.core.identification import CONTRADICTION_CONFIDENCE, Identification
from gatekeeper.core.policy import Policy
from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.core.verdict import Finding
from gatekeeper.gate.reading import NOT_A_NUMBER, margin_of, status_of


def budget_findings(policy: Policy, facts: Facts) -> list[Finding]:
    """The findings that every policy has, and those on the ledger where the policy limits it."""
    return [
        _epsilon(policy, facts),
        _delta(policy, facts),
        *_past(policy, facts),
        *([_lock(facts)] if policy.require_lock else []),
        _own_code(policy, facts),
    ]


def _epsilon(policy: Policy, facts: Facts) -> Finding:
    measured, limit = facts.guarantee.epsilon.high, policy.privacy.max_epsilon
    status = status_of(measured=measured, limit=limit, comparator="≤")
    return Finding(
        rule="privacy-epsilon",
        statement=f"ε of this run is at most {in_full(limit)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=margin_of(measured=measured, limit=limit, comparator="≤"),
        statistic="proven upper bound",
        confidence=None,
        sample_size=None,
        detail=f"accountant {facts.guarantee.accountant}, δ = {in_full(facts.guarantee.delta)}",
        remedy=None if status == "passed" else "lower training.epsilon in the candidate",
    )


def _delta(policy: Policy, facts: Facts) -> Finding:
    units = facts.evidence.dataset.train_units
    measured, limit = facts.guarantee.delta, policy.privacy.max_delta
    below_units = measured * units < 1
    status = status_of(measured=measured, limit=limit, comparator="≤") if below_units else "failed"
    return Finding(
        rule="privacy-delta",
        statement=f"δ is at most {in_full(limit)} and below 1/units",
        status=status,
        comparator="≤",
        measured=measured,
        limit=min(limit, 1 / units),
        margin=margin_of(measured=measured, limit=min(limit, 1 / units), comparator="≤"),
        statistic="parameter",
        confidence=None,
        sample_size=units,
        detail=f"{units} units: 1/units = {1 / units:.3g}",
        remedy=None if status == "passed" else "lower training.delta in the candidate",
    )


def _past(policy: Policy, facts: Facts) -> list[Finding]:
    """What the ledger says of the units, where the policy limits it."""
    findings = []
    if policy.privacy.max_total_epsilon is not None:
        findings.append(_total_epsilon(policy.privacy.max_total_epsilon, facts))
    if policy.max_attempts is not None:
        findings.append(_attempts(policy.max_attempts, facts))
    return findings


def _total_epsilon(limit: float, facts: Facts) -> Finding:
    measured = facts.total.epsilon.high
    status = status_of(measured=measured, limit=limit, comparator="≤")
    unsettled = sum(not spend.settled for spend in facts.ledger.spends)
    return Finding(
        rule="privacy-total-epsilon",
        statement=f"ε of all runs on these units is at most {in_full(limit)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=margin_of(measured=measured, limit=limit, comparator="≤"),
        statistic="composed upper bound",
        confidence=None,
        sample_size=None,
        detail=f"proven for parameters fixed beforehand; {len(facts.ledger.spends)} private runs on the units that "
        f"spent the most, of which {unsettled} never reported their end and count in full; accountant "
        f"{facts.total.accountant}, δ = {in_full(facts.total.delta)}",
        remedy=None if status == "passed" else "nothing on these units: what was spent stays spent",
    )


def _attempts(limit: int, facts: Facts) -> Finding:
    measured = float(facts.ledger.attempts)
    status = status_of(measured=measured, limit=float(limit), comparator="≤")
    return Finding(
        rule="attempts",
        statement=f"this policy was tried on these units at most {limit} times",
        status=status,
        comparator="≤",
        measured=measured,
        limit=float(limit),
        margin=margin_of(measured=measured, limit=float(limit), comparator="≤"),
        statistic="count",
        confidence=None,
        sample_size=None,
        detail="from the ledger; refused and interrupted runs count",
        remedy=None if status == "passed" else "other units, or another policy",
    )


def _lock(facts: Facts) -> Finding:
    """Whether somebody else had signed the policy when the run was counted; which policy is the gate's own question."""
    measured, lock = float(facts.lock is not None), facts.lock
    return Finding(
        rule="policy-lock",
        statement="the policy was locked before the run",
        status="failed" if lock is None else "passed",
        comparator="≥",
        measured=measured,
        limit=1.0,
        margin=measured - 1.0,
        statistic="count",
        confidence=None,
        sample_size=None,
        detail="not locked before the run"
        if lock is None
        else f"locked by key {lock.locker}, by its own clock at {lock.claimed}; the ledger counted the run with it",
        remedy=None if lock is not None else "lock the policy (`gatekeeper policy lock`), then certify with the lock",
    )


def _own_code(policy: Policy, facts: Facts) -> Finding:
    """Whether an attack on the code that trained picks the target more often than any attack on its mechanism can.

    Beyond the limit is no refusal but a contradiction (`core.coherence`): the mechanism that was accounted for is not
    the one that ran.
    """
    found = facts.evidence.identifications
    measured = max((each.identified.lower(confidence=CONTRADICTION_CONFIDENCE) for each in found), default=NOT_A_NUMBER)
    limit = min((math.ceil(each.bound * 1e4) / 1e4 for each in found), default=NOT_A_NUMBER)
    doubt = None
    if not found:
        doubt = "no candidates were matched: there are too few units"
    elif any(each.positive_control.rate < policy.audit.min_positive_control for each in found):
        doubt = "positive control: with the noise off the attack does not pick the target"
    status = "inconclusive" if doubt else status_of(measured=measured, limit=limit, comparator="≤")
    return Finding(
        rule="own-code",
        statement="no attack on the run's own step surely beats the limit of its mechanism",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=margin_of(measured=measured, limit=limit, comparator="≤"),
        statistic="lower confidence bound of targets picked among candidates",
        confidence=CONTRADICTION_CONFIDENCE if found else None,
        sample_size=min((each.identified.trials for each in found), default=None),
        detail=doubt or "; ".join(_picked(each) for each in found),
        remedy=None if status == "passed" else "train on more units, or find out why the control failed",
    )


def _picked(found: Identification) -> str:
    picked, mechanism = found.identified, found.mechanism
    return (
        f"attack {found.attack} picked {picked.successes} of {picked.trials} targets among {found.candidates}, at "
        f"σ = {mechanism.noise_multiplier:.4g} in {mechanism.steps} steps, where no attack on the mechanism picks more "
        f"than {round_up(found.bound, digits=3)}"
    )
