"""Rules on reconstruction: the larger of what was proven and of what each attack may have achieved."""

from __future__ import annotations

from gatekeeper.core.certificate import Facts
from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.risk import AttackOutcome, RiskBound
from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.core.rule_names import worst_name
from gatekeeper.core.verdict import Finding
from gatekeeper.gate.controls import find_bound, weakness
from gatekeeper.gate.reading import NOT_A_NUMBER, margin_of, status_of


def risk_findings(rule: RiskRule, policy: Policy, facts: Facts) -> list[Finding]:
    """The finding of a rule on reconstruction, and one on the worst stratum where the rule limits it."""
    bound, outcomes = find_bound(rule, facts), _find_outcomes(rule, facts)
    doubt = _doubt(rule, policy, facts, bound=bound, outcomes=outcomes)
    values = []
    if "bound" in rule.evidence and bound is not None:
        values.append(bound.value)
    values += [outcome.sample.upper(confidence=rule.confidence) for outcome in outcomes]
    measured = max(values, default=NOT_A_NUMBER)
    status = status_of(measured=measured, limit=rule.maximum, comparator="≤")
    if doubt is not None and not _violated(rule, bound=bound, outcomes=outcomes):
        status = "inconclusive"
    main = Finding(
        rule=rule.id,
        statement=f"{rule.adversary.title}: at most {in_full(rule.maximum)} of units {_achievement(rule)}",
        status=status,
        comparator="≤",
        measured=measured,
        limit=rule.maximum,
        margin=margin_of(measured=measured, limit=rule.maximum, comparator="≤"),
        statistic=_statistic(rule),
        confidence=rule.confidence if "attack" in rule.evidence else None,
        sample_size=min((outcome.sample.trials for outcome in outcomes), default=None),
        detail=doubt or _risk_detail(rule, bound=bound, outcomes=outcomes),
        remedy=None if status == "passed" else _risk_remedy(rule, doubt),
    )
    return [main] if rule.worst_max is None else [main, _worst(rule, outcomes, doubt=doubt)]


def doubt_of(rule: RiskRule, policy: Policy, facts: Facts) -> str | None:
    """Why the evidence on a rule can't support a pass, or None."""
    return _doubt(rule, policy, facts, bound=find_bound(rule, facts), outcomes=_find_outcomes(rule, facts))


def _achievement(rule: RiskRule) -> str:
    return "reconstructed" if rule.adversary.knows == "nothing" else "identified among the candidates"


def _statistic(rule: RiskRule) -> str:
    if rule.evidence == ("attack",):
        return "upper confidence bound"
    closed_form = rule.adversary.closed_form
    return closed_form if "attack" not in rule.evidence else f"larger of {closed_form} and upper confidence bound"


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
        where = "" if rule.source is None else f" ({rule.source})"
        return f"no {which} was run for {rule.adversary.title}{where}"
    doubts = (_doubt_of_attack(rule, policy, facts, outcome) for outcome in outcomes)
    return next((doubt for doubt in doubts if doubt is not None), None)


def _doubt_of_attack(rule: RiskRule, policy: Policy, facts: Facts, outcome: AttackOutcome) -> str | None:
    nulls = facts.evidence.attacks.nulls
    supported = (
        null.threshold
        for null in nulls
        if null.similarity == rule.similarity and null.is_of(outcome.adversary, candidates=outcome.candidates)
    )
    if outcome.threshold not in supported:
        return f"the attack used τ = {outcome.threshold!r}, which no null calibration supports"
    return weakness(rule, policy.audit, facts, outcome)


def _risk_detail(rule: RiskRule, *, bound: RiskBound | None, outcomes: tuple[AttackOutcome, ...]) -> str:
    parts = []
    if "bound" in rule.evidence and bound is not None:
        figure = f"{rule.adversary.closed_form} {round_up(bound.value, digits=3)}"
        parts.append(f"{figure} ({bound.quantity}, against {bound.proven_against})")
    for outcome in outcomes:
        upper = outcome.sample.upper(confidence=rule.confidence)
        similarity = f"median similarity {outcome.median_similarity:.3f} against τ = {outcome.threshold:.3f}"
        counts = f"{outcome.sample.successes} of {outcome.sample.trials} units"
        limit = f"upper limit {round_up(upper, digits=3)}"
        parts.append(f"attack {outcome.title} ({outcome.source}): {counts}, {limit}, {similarity}")
    return "; ".join(parts)


def _risk_remedy(rule: RiskRule, doubt: str | None) -> str:
    if doubt is not None and doubt.startswith("no "):
        return "run the attack: name it in the rule's attacks, for an adversary that it plays"
    if doubt is not None:
        return "audit more units, or find out why the control failed; nothing can be concluded until then"
    if not rule.adversary.has_bound:
        return "more noise: lower training.epsilon; fewer epochs, or a smaller network, may memorise less"
    if rule.adversary.observes == "one-step":
        return "more noise a step: lower training.epsilon, or spread it over more epochs; larger images need less"
    return "more noise: lower training.epsilon; larger images need less"


def _worst(rule: RiskRule, outcomes: tuple[AttackOutcome, ...], *, doubt: str | None) -> Finding:
    """The worst-k stratum: an observed share of those units, never a bound on the population."""
    limit = rule.worst_max if rule.worst_max is not None else NOT_A_NUMBER
    measured = max((o.worst.rate for o in outcomes if o.worst.trials), default=NOT_A_NUMBER)
    status = status_of(measured=measured, limit=limit, comparator="≤")
    if doubt is not None and status == "passed":
        status = "inconclusive"
    trials = min((outcome.worst.trials for outcome in outcomes), default=0)
    return Finding(
        rule=worst_name(rule.id),
        statement=f"{rule.adversary.title}: at most {in_full(limit)} of the worst stratum reconstructed",
        status=status,
        comparator="≤",
        measured=measured,
        limit=limit,
        margin=margin_of(measured=measured, limit=limit, comparator="≤"),
        statistic="observed share",
        confidence=None,
        sample_size=trials,
        detail=f"{trials} units that stand out most (farthest from the mean image, rarest class); speaks of those "
        "units only",
        remedy=None if status == "passed" else _risk_remedy(rule, doubt),
    )
