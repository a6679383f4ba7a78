"""Whether one rule demands at least as much as another of the same id."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.metric import metric_title
from gatekeeper.core.order import incomparable, ordered, subset, switched
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.policy_change import PolicyChange
from gatekeeper.core.risk import Similarity
from gatekeeper.core.rounding import in_full, in_short

Rule = UtilityRule | RiskRule

_ANOTHER_MEASURE = "it measures something else; keep the rule, and add one of another id"
# Confidences that differ by less were written down as the same.
_ROUNDING = 1e-15

_OTHER_EVIDENCE = "bound and attack measure different things, and neither is always the larger"
_OTHER_ATTACKS = "a rule with named attacks ignores others, and one without reads whatever was run"


def compare_rules(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    """Every difference between the rules of two policies: those of the first in its order, then what is new."""
    old, new = ({rule.id: rule for rule in policy.rules} for policy in (before, after))
    for rule_id, rule in old.items():
        if rule_id not in new:
            yield PolicyChange(place=("rules", rule_id), kind="removed", before=demand_of(rule), after=None)
        else:
            yield from _compare(rule, new[rule_id], before.max_attempts, after.max_attempts)
    for rule_id, rule in new.items():
        if rule_id not in old:
            yield PolicyChange(place=("rules", rule_id), kind="added", before=None, after=demand_of(rule))
    kept = [[rule_id for rule_id in each if rule_id in old and rule_id in new] for each in (old, new)]
    if kept[0] != kept[1]:
        order = [", ".join(each) for each in kept]
        yield PolicyChange(place=("rules",), kind="described", before=order[0], after=order[1], reason="order only")


def demand_of(rule: Rule) -> str:
    """What a rule demands, in a few words."""
    if isinstance(rule, RiskRule):
        return f"{rule.adversary.title}: at most {in_full(rule.maximum)} of units, by {' and '.join(rule.evidence)}"
    title = metric_title(*rule.subject)
    if rule.max_drop is not None:
        return f"{title} at most {in_full(rule.max_drop)} below the non-private twin's"
    return f"{title} at least {in_full(rule.minimum or 0.0)}"


def _compare(before: Rule, after: Rule, attempts: int | None, attempts_after: int | None) -> Iterator[PolicyChange]:
    place = ("rules", before.id)
    if isinstance(before, RiskRule) and isinstance(after, RiskRule):
        yield from _risk(place, before, after)
        reads_limit = "attack" in before.evidence
    elif isinstance(before, UtilityRule) and isinstance(after, UtilityRule):
        yield from _utility(place, before, after)
        reads_limit = before.statistic != "estimate"
    else:
        yield from incomparable(place, demand_of(before), demand_of(after), reason=_ANOTHER_MEASURE)
        return
    if reads_limit:
        yield from _confidence(place, before, after, attempts, attempts_after)
    yield from switched((*place, "waivable"), before.waivable, after.waivable, strict=False)


def _utility(place: tuple[str, ...], before: UtilityRule, after: UtilityRule) -> Iterator[PolicyChange]:
    subjects = tuple(metric_title(*rule.subject) for rule in (before, after))
    yield from incomparable((*place, "metric"), *subjects, reason=_ANOTHER_MEASURE)
    if before.needs_twin != after.needs_twin:
        yield from incomparable(place, demand_of(before), demand_of(after), reason=_ANOTHER_MEASURE)
        return
    yield from ordered((*place, "min"), before.minimum, after.minimum, stricter="higher")
    yield from ordered((*place, "max_drop"), before.max_drop, after.max_drop, stricter="lower")
    if before.statistic != after.statistic:
        yield PolicyChange(
            place=(*place, "statistic"),
            kind="loosened" if after.statistic == "estimate" else "tightened",
            before=before.statistic,
            after=after.statistic,
        )
    yield from ordered((*place, "min_units"), before.min_units, after.min_units, stricter="higher")


def _risk(place: tuple[str, ...], before: RiskRule, after: RiskRule) -> Iterator[PolicyChange]:
    yield from incomparable(
        (*place, "adversary"),
        _adversary(before.adversary),
        _adversary(after.adversary),
        reason="other attacks are made on it; keep the rule, and add one of another id for the stronger adversary",
    )
    yield from _similarity((*place, "similarity"), before.similarity, after.similarity)
    yield from ordered((*place, "max"), before.maximum, after.maximum, stricter="lower")
    yield from ordered((*place, "worst", "max"), before.worst_max, after.worst_max, stricter="lower")
    yield from subset((*place, "evidence"), before.evidence, after.evidence, more="tightened", reason=_OTHER_EVIDENCE)
    yield from _attacks((*place, "attacks"), before, after)


def _attacks(place: tuple[str, ...], before: RiskRule, after: RiskRule) -> Iterator[PolicyChange]:
    """Of two lists the longer one reads more; of a list and none, neither."""
    old, new = before.attacks, after.attacks
    if "attack" in before.evidence and "attack" in after.evidence:
        yield from subset(place, old, new, more="tightened", reason=_OTHER_ATTACKS)
        yield from incomparable((*place[:-1], "source"), before.source, after.source, reason=_OTHER_ATTACKS)


def _adversary(adversary: Adversary) -> str:
    return f"{{observes: {adversary.observes}, knows: {adversary.knows}, prior: {adversary.prior}}}"


def _similarity(place: tuple[str, ...], before: Similarity | None, after: Similarity | None) -> Iterator[PolicyChange]:
    """A lower threshold counts more as a success, so it is stricter."""
    if before is None or after is None:
        return  # the adversaries differ, which is said already
    for key in ("measure", "above_null", "at_least"):
        old, new = getattr(before, key), getattr(after, key)
        if key == "measure" or (old is None) != (new is None):
            yield from incomparable((*place, key), old, new, reason=_ANOTHER_MEASURE)
        else:
            yield from ordered((*place, key), old, new, stricter="lower")
    if (before.at_least is None) == (after.at_least is None):
        yield from ordered((*place, "at_most"), before.at_most, after.at_most, stricter="lower")


def _confidence(
    place: tuple[str, ...], before: Rule, after: Rule, attempts: int | None, attempts_after: int | None
) -> Iterator[PolicyChange]:
    """The confidence that is left to an attempt: fewer attempts leave more to chance in each.

    The last attempt that the second policy allows is compared: there an unlimited number leaves the least to chance.
    """
    last = min(attempts or attempts_after or 1, attempts_after or attempts or 1)
    old = confidence_of_attempt(before.confidence, attempt=last, max_attempts=attempts)
    new = confidence_of_attempt(after.confidence, attempt=last, max_attempts=attempts_after)
    if abs(old - new) <= _ROUNDING:
        return
    shared = "" if attempts == attempts_after == 1 else f" at attempt {last}, {{}} of {{}}"
    values = []
    for rule, left, allowed in ((before, old, attempts), (after, new, attempts_after)):
        where = shared.format(in_short(rule.confidence), "any number" if allowed is None else allowed)
        values.append(f"{in_short(round(left, 9))}{where}" if shared else in_short(rule.confidence))
    yield PolicyChange(
        place=(*place, "confidence"),
        kind="tightened" if new > old else "loosened",
        before=values[0],
        after=values[1],
        reason=None if attempts == attempts_after else "max_attempts share the confidence, fewer of them get more each",
    )
