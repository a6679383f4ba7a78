"""The gate: policy and facts in, verdict out. Pure, and standard library only.

It looks at every rule, in the policy's order, and never stops at the first that fails: whoever is refused
needs all the reasons. What can't be judged (a control that failed, too few units, a number that is not
one) is inconclusive, never passed. Tightening any limit never turns a refusal into an approval.
"""

from __future__ import annotations

import math
from typing import Literal

from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.identification import CONTRADICTION_CONFIDENCE, Identification
from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import AuditTerms, Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import AttackOutcome, RiskBound
from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal, Status, Verdict
from gatekeeper.errors import InvalidValueError

NOT_A_NUMBER = math.nan

# Of the controls, whatever a rule's own: a stricter rule must not make a control laxer.
_CONTROL_CONFIDENCE = 0.95

# An attack is called broken only where chance is out of the question.
_BROKEN_CONFIDENCE = 1 - 1e-6


def decide(policy: Policy, facts: Facts) -> Verdict:
    """Judge the facts of a run by a policy.

    Args:
        policy: what must hold.
        facts: what was proven and measured.

    Returns:
        `Refusal` if any rule is violated, else `Inconclusive` if any could not be judged, else `Approval`
        of the file whose digest the facts hold.

    Raises:
        InvalidValueError: the facts are about another unit of privacy or adjacency than the policy's.
    """
    _check_subject(policy, facts)
    findings = [_epsilon(policy, facts), _delta(policy, facts), *_past(policy, facts), _own_code(policy, facts)]
    for rule in policy.rules_at(facts.ledger.attempts):
        findings += [_utility(rule, facts)] if isinstance(rule, UtilityRule) else _risk(rule, policy, facts)
    statuses = {finding.status for finding in findings}
    everything, policy_digest = tuple(findings), digest(policy)
    if "failed" in statuses:
        return Refusal(policy_digest=policy_digest, findings=everything)
    if "inconclusive" in statuses:
        return Inconclusive(policy_digest=policy_digest, findings=everything)
    return Approval(model_digest=facts.evidence.model.sha256, policy_digest=policy_digest, findings=everything)


def _check_subject(policy: Policy, facts: Facts) -> None:
    mechanism = facts.evidence.record.mechanism
    for name, demanded, given in (
        ("unit of privacy", policy.privacy.unit, mechanism.unit),
        ("unit of the data", policy.privacy.unit, facts.evidence.dataset.unit),
        ("adjacency", policy.privacy.adjacency, mechanism.adjacency),
    ):
        if demanded != given:
            raise InvalidValueError(f"the policy's {name} is {demanded!r}, the run's is {given!r}")


def _status(*, measured: float, limit: float, comparator: Literal["≤", "≥"]) -> Status:
    """NaN compares false either way, so it is asked about first."""
    if math.isnan(measured):
        return "inconclusive"
    holds = measured <= limit if comparator == "≤" else measured >= limit
    return "passed" if holds else "failed"


def _margin(*, measured: float, limit: float, comparator: Literal["≤", "≥"]) -> float:
    """How far `measured` is on the passing side."""
    return limit - measured if comparator == "≤" else measured - limit


def _epsilon(policy: Policy, facts: Facts) -> Finding:
    measured, limit = facts.guarantee.epsilon.high, policy.privacy.max_epsilon
    status = _status(measured=measured, limit=limit, comparator="≤")
    return Finding(
        rule="privacy-epsilon",
        statement=f"ε of this run is at most {in_full(limit)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=_margin(measured=measured, limit=limit, comparator="≤"),
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
    status = _status(measured=measured, limit=limit, comparator="≤") if below_units else "failed"
    return Finding(
        rule="privacy-delta",
        statement=f"δ is at most {in_full(limit)} and below 1/units",
        status=status,
        comparator="≤",
        measured=measured,
        limit=min(limit, 1 / units),
        margin=_margin(measured=measured, limit=min(limit, 1 / units), comparator="≤"),
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


def _own_code(policy: Policy, facts: Facts) -> Finding:
    """Whether the code that trained leaks no more than its mechanism, as far as an attack on it can tell.

    Beyond the limit is no refusal but a contradiction (`core.coherence`): the mechanism that was accounted for is not
    the one that ran.
    """
    found = facts.evidence.identifications
    measured = max((each.identified.lower(confidence=CONTRADICTION_CONFIDENCE) for each in found), default=NOT_A_NUMBER)
    limit = min((each.bound for each in found), default=NOT_A_NUMBER)
    doubt = None
    if not found:
        doubt = "no candidates were matched: there are too few units"
    elif any(each.positive_control.rate < policy.audit.min_positive_control for each in found):
        doubt = "positive control: with the noise off the attack does not pick the target"
    status = "inconclusive" if doubt else _status(measured=measured, limit=limit, comparator="≤")
    return Finding(
        rule="own-code",
        statement="the run's own code leaks no more than its mechanism",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=_margin(measured=measured, limit=limit, comparator="≤"),
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


def _total_epsilon(limit: float, facts: Facts) -> Finding:
    measured = facts.total.epsilon.high
    status = _status(measured=measured, limit=limit, comparator="≤")
    unsettled = sum(not spend.settled for spend in facts.ledger.spends)
    return Finding(
        rule="privacy-total-epsilon",
        statement=f"ε of all runs on these units is at most {in_full(limit)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=_margin(measured=measured, limit=limit, comparator="≤"),
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
    status = _status(measured=measured, limit=float(limit), comparator="≤")
    return Finding(
        rule="attempts",
        statement=f"this policy was tried on these units at most {limit} times",
        status=status,
        comparator="≤",
        measured=measured,
        limit=float(limit),
        margin=_margin(measured=measured, limit=float(limit), comparator="≤"),
        statistic="count",
        confidence=None,
        sample_size=None,
        detail="from the ledger; refused and interrupted runs count",
        remedy=None if status == "passed" else "other units, or another policy",
    )


def _utility(rule: UtilityRule, facts: Facts) -> Finding:
    report = facts.evidence.utility
    comparator: Literal["≤", "≥"] = "≤" if rule.needs_twin else "≥"
    limit = rule.max_drop if rule.max_drop is not None else rule.minimum
    if limit is None:
        raise InvalidValueError(f"rule {rule.id} has no limit")
    title = metric_title(*rule.subject)
    what = f"{title} falls below the non-private twin's by at most" if rule.needs_twin else f"{title} is at least"
    found = _find_measurement(rule, report.drops if rule.needs_twin else report.measurements)
    measured = NOT_A_NUMBER if found is None else _read(rule, found)
    enough = found is not None and found.units >= rule.min_units
    status = _status(measured=measured, limit=limit, comparator=comparator) if enough else "inconclusive"
    return Finding(
        rule=rule.id,
        statement=f"{what} {in_full(limit)}",
        status=status,
        comparator=comparator,
        measured=measured,
        limit=limit,
        margin=_margin(measured=measured, limit=limit, comparator=comparator),
        statistic=rule.statistic.replace("_", " "),
        confidence=None if rule.statistic == "estimate" else rule.confidence,
        sample_size=None if found is None else found.units,
        detail=_utility_detail(rule, found),
        remedy=None if status == "passed" else _utility_remedy(rule, enough=enough),
    )


def _find_measurement(rule: UtilityRule, among: tuple[Measurement, ...]) -> Measurement | None:
    for measurement in among:
        if measurement.subject == rule.subject and measurement.confidence == rule.confidence:
            return measurement
    return None


def _read(rule: UtilityRule, measurement: Measurement) -> float:
    """The end of the interval that the rule reads."""
    if rule.statistic == "estimate":
        return measurement.estimate
    return measurement.low if rule.statistic == "lower_confidence_bound" else measurement.high


def _utility_detail(rule: UtilityRule, found: Measurement | None) -> str:
    if found is None:
        return f"{metric_title(*rule.subject)} was not measured at confidence {rule.confidence:g}"
    if found.units < rule.min_units:
        return f"{found.units} test units; the rule asks for at least {rule.min_units}"
    if math.isnan(found.estimate):
        return f"{metric_title(*rule.subject)} is undefined on these test units (a class is missing)"
    return f"estimate {found.estimate:.4f}, {found.method}"


def _utility_remedy(rule: UtilityRule, *, enough: bool) -> str:
    if not enough:
        return f"test on at least {rule.min_units} units of every class"
    return "train better (more epochs, views or width), raise training.epsilon, or test on more units"


def _risk(rule: RiskRule, policy: Policy, facts: Facts) -> list[Finding]:
    bound, outcomes = _find_bound(rule, facts), _find_outcomes(rule, facts)
    doubt = _doubt(rule, policy, facts, bound=bound, outcomes=outcomes)
    values = []
    if "bound" in rule.evidence and bound is not None:
        values.append(bound.value)
    values += [outcome.sample.upper(confidence=rule.confidence) for outcome in outcomes]
    measured = max(values, default=NOT_A_NUMBER)
    status = _status(measured=measured, limit=rule.maximum, comparator="≤")
    if doubt is not None and not _violated(rule, bound=bound, outcomes=outcomes):
        status = "inconclusive"
    main = Finding(
        rule=rule.id,
        statement=f"{rule.adversary.title}: at most {in_full(rule.maximum)} of units {_achievement(rule)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=rule.maximum,
        margin=_margin(measured=measured, limit=rule.maximum, comparator="≤"),
        statistic="larger of bound and upper confidence bound" if len(rule.evidence) > 1 else _only(rule),
        confidence=rule.confidence if "attack" in rule.evidence else None,
        sample_size=min((outcome.sample.trials for outcome in outcomes), default=None),
        detail=doubt or _risk_detail(rule, bound=bound, outcomes=outcomes),
        remedy=None if status == "passed" else _risk_remedy(rule, doubt),
    )
    return [main] if rule.worst_max is None else [main, _worst(rule, outcomes, doubt=doubt)]


def _achievement(rule: RiskRule) -> str:
    return "reconstructed" if rule.adversary.knows == "nothing" else "identified among the candidates"


def _only(rule: RiskRule) -> str:
    return "bound" if rule.evidence == ("bound",) else "upper confidence bound"


def _find_bound(rule: RiskRule, facts: Facts) -> RiskBound | None:
    for bound in facts.bounds:
        if bound.adversary == rule.adversary and bound.similarity == rule.similarity:
            return bound
    return None


def _find_outcomes(rule: RiskRule, facts: Facts) -> tuple[AttackOutcome, ...]:
    """The attacks that the rule reads: each has to pass (an intersection–union test needs no correction)."""
    return tuple(
        outcome
        for outcome in facts.evidence.attacks.outcomes
        if "attack" in rule.evidence
        and (outcome.adversary, outcome.similarity) == (rule.adversary, rule.similarity)
        and (rule.attacks is None or outcome.attack in rule.attacks)
        and (rule.source is None or outcome.source == rule.source)
    )


def _violated(rule: RiskRule, *, bound: RiskBound | None, outcomes: tuple[AttackOutcome, ...]) -> bool:
    """Whether the evidence shows a violation that no failed control can excuse.

    The bound exceeds the maximum, or an attack really reconstructed more units than the maximum allows.
    """
    by_bound = "bound" in rule.evidence and bound is not None and bound.value > rule.maximum
    return by_bound or any(outcome.sample.rate > rule.maximum for outcome in outcomes)


def _doubt(
    rule: RiskRule, policy: Policy, facts: Facts, *, bound: RiskBound | None, outcomes: tuple[AttackOutcome, ...]
) -> str | None:
    """Why the evidence can't support a pass, or None."""
    if "bound" in rule.evidence and bound is None:
        return f"no bound was computed for {rule.adversary.title}"
    if "attack" not in rule.evidence:
        return None
    ran = {outcome.attack for outcome in outcomes}
    missing = sorted(set(rule.attacks or ()) - ran)
    if missing or not ran:
        which = f"attack {', '.join(missing)}" if missing else "attack"
        where = "" if rule.source is None else f" on the run's own code ({rule.source})"
        return f"no {which} was run for {rule.adversary.title}{where}"
    doubts = (_doubt_of_attack(rule, policy, facts, outcome) for outcome in outcomes)
    return next((doubt for doubt in doubts if doubt is not None), None)


def _doubt_of_attack(rule: RiskRule, policy: Policy, facts: Facts, outcome: AttackOutcome) -> str | None:
    nulls = facts.evidence.attacks.nulls
    supported = {n.threshold for n in nulls if (n.similarity, n.candidates) == (rule.similarity, outcome.candidates)}
    if outcome.threshold not in supported:
        return f"the attack used τ = {outcome.threshold!r}, which no null calibration supports"
    return _weak_attack(rule, policy.audit, facts, outcome)


def _weak_attack(rule: RiskRule, audit: AuditTerms, facts: Facts, outcome: AttackOutcome) -> str | None:
    """Why this attack's silence proves nothing, or None."""
    train_units = facts.evidence.dataset.train_units
    if outcome.sample.trials < min(audit.units, train_units) or outcome.noise_draws < audit.noise_draws:
        covered = f"{outcome.sample.trials} units in {outcome.noise_draws} draws"
        return f"the attack covered {covered}, less than the policy asks"
    if outcome.worst.trials < min(audit.worst_units, train_units):
        return f"the attack covered {outcome.worst.trials} units of the worst stratum, less than the policy asks"
    positive, negative = outcome.positive_control, outcome.negative_control
    if not positive.trials or positive.rate < audit.min_positive_control:
        return (
            f"positive control: with the noise off the attack reconstructed {positive.successes} of "
            f"{positive.trials} units, below {audit.min_positive_control:g}: a broken attack is not a safe model"
        )
    # The lower limit: a few dozen held-out units exceed a small share by chance, and that is no broken threshold.
    if not negative.trials or negative.lower(confidence=_CONTROL_CONFIDENCE) > audit.max_negative_control:
        return (
            f"negative control: {negative.successes} of {negative.trials} units that took no part count as "
            f"reconstructed, surely above {audit.max_negative_control:g}: the threshold can't tell"
        )
    expected = _expected_at_least(rule, facts, outcome)
    if outcome.sample.upper(confidence=_BROKEN_CONFIDENCE) < expected:
        return (
            f"the attack reconstructed {outcome.sample.successes} of {outcome.sample.trials} units, where its read-out "
            f"is known to reach at least {expected:.3f}: a broken attack is not a safe model"
        )
    best = upper_limit(successes=0, trials=outcome.sample.trials, confidence=rule.confidence)
    if best > rule.maximum:
        return (
            f"{outcome.sample.trials} units are too few: even with no success the upper limit is {best:.4f}, "
            f"above {rule.maximum:g}"
        )
    return None


def _expected_at_least(rule: RiskRule, facts: Facts, outcome: AttackOutcome) -> float:
    """The share that attack A reaches by its closed form, which bounds a unit of m images by m times one image's."""
    bound = _find_bound(rule, facts)
    if bound is None or outcome.attack != "analytic":
        return 0.0
    return bound.value * 0.99 / facts.evidence.dataset.max_images_per_unit


def _risk_detail(rule: RiskRule, *, bound: RiskBound | None, outcomes: tuple[AttackOutcome, ...]) -> str:
    parts = []
    if "bound" in rule.evidence and bound is not None:
        parts.append(f"bound {round_up(bound.value, digits=3)} ({bound.quantity}, against {bound.proven_against})")
    for outcome in outcomes:
        upper = outcome.sample.upper(confidence=rule.confidence)
        similarity = f"median similarity {outcome.median_similarity:.3f} against τ = {outcome.threshold:.3f}"
        counts = f"{outcome.sample.successes} of {outcome.sample.trials} units"
        limit = f"upper limit {round_up(upper, digits=3)}"
        parts.append(f"attack {outcome.title} ({outcome.source}): {counts}, {limit}, {similarity}")
    return "; ".join(parts)


def _risk_remedy(rule: RiskRule, doubt: str | None) -> str:
    if doubt is not None:
        return "audit more units, or find out why the control failed; nothing can be concluded until then"
    if rule.adversary.observes == "one-step":
        return "more noise a step: lower training.epsilon, or spread it over more epochs; larger images need less"
    return "more noise: lower training.epsilon; larger images need less"


def _worst(rule: RiskRule, outcomes: tuple[AttackOutcome, ...], *, doubt: str | None) -> Finding:
    """The worst-k stratum: an observed share of those units, never a bound on the population."""
    limit = rule.worst_max if rule.worst_max is not None else NOT_A_NUMBER
    measured = max((o.worst.rate for o in outcomes if o.worst.trials), default=NOT_A_NUMBER)
    status = _status(measured=measured, limit=limit, comparator="≤")
    if doubt is not None and status == "passed":
        status = "inconclusive"
    trials = min((outcome.worst.trials for outcome in outcomes), default=0)
    return Finding(
        rule=f"{rule.id}/worst",
        statement=f"{rule.adversary.title}: at most {in_full(limit)} of the worst stratum reconstructed",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=_margin(measured=measured, limit=limit, comparator="≤"),
        statistic="observed share",
        confidence=None,
        sample_size=trials,
        detail=f"{trials} units that stand out most (farthest from the mean image, rarest class); speaks of those "
        "units only",
        remedy=None if status == "passed" else _risk_remedy(rule, doubt),
    )
