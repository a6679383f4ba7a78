"""Whether one policy is at least as strict as another, demand by demand.

The law behind every line: where all changes are `tightened`, `added` or `described`, facts that the second policy
approves are facts that the first one approves, or leaves open: an attack whose positive control reaches no more than a
rule allows could not have failed that rule, so a higher maximum may ask for more of a control than a lower one. A
change of which that can't be said is `loosened`, `removed` or `changed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gatekeeper.core.codec import digest
from gatekeeper.core.order import incomparable, number, ordered, subset, switched
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, WaiverTerms
from gatekeeper.core.policy_change import PolicyChange, PolicyComparison, PolicyVersion
from gatekeeper.core.rule_order import compare_rules
from gatekeeper.core.weights_only import WeightsSearch


def compare(before: Policy, after: Policy) -> PolicyComparison:
    """Every difference between two policies, in the order of a policy file."""
    return PolicyComparison(
        before=_version(before),
        after=_version(after),
        changes=(
            *_metadata(before, after),
            *_privacy(before.privacy, after.privacy),
            *compare_rules(before, after),
            *ordered(("max_attempts",), before.max_attempts, after.max_attempts, stricter="lower"),
            *_code(before, after),
            *switched(("require_lock",), before.require_lock, after.require_lock, strict=True),
            *_waivers(before, after),
            *_audit(before, after),
        ),
    )


def _version(policy: Policy) -> PolicyVersion:
    return PolicyVersion(name=policy.name, version=policy.version, sha256=digest(policy))


def _metadata(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    for key in ("name", "version", "owner", "description"):
        yield from _described(key, getattr(before, key), getattr(after, key))
    yield from _described("extends", *(", ".join(map(str, policy.parents)) or None for policy in (before, after)))


def _described(key: str, before: object, after: object) -> Iterator[PolicyChange]:
    if before != after:
        words = [None if value is None else str(value) for value in (before, after)]
        yield PolicyChange(place=(key,), kind="described", before=words[0], after=words[1])


def _privacy(before: PrivacyTerms, after: PrivacyTerms) -> Iterator[PolicyChange]:
    for key in ("unit", "adjacency"):
        reason = "the figures are about something else"
        yield from incomparable(("privacy", key), getattr(before, key), getattr(after, key), reason=reason)
    for key in ("epsilon", "delta", "total_epsilon"):
        old, new = (getattr(terms, f"max_{key}") for terms in (before, after))
        yield from ordered(("privacy", key, "max"), old, new, stricter="lower")


def _code(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    yield from subset(
        ("allow_code",), before.allow_code, after.allow_code, more="loosened", reason="other code may run than before"
    )


def _waivers(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    """A policy that says nothing of waivers accepts none, which is the strictest."""
    old, new = before.waivers, after.waivers
    if (old is None) != (new is None):
        kind: Literal["tightened", "loosened"] = "loosened" if old is None else "tightened"
        yield PolicyChange(place=("waivers",), kind=kind, before=_terms(old), after=_terms(new))
    if old is not None and new is not None:
        yield from ordered(("waivers", "max_days"), old.max_days, new.max_days, stricter="lower")
        yield from switched(("waivers", "signed"), old.signed, new.signed, strict=True)


def _terms(waivers: WaiverTerms | None) -> str | None:
    if waivers is None:
        return None
    return f"{{max_days: {waivers.max_days}, signed: {'true' if waivers.signed else 'false'}}}"


def _audit(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    old, new = before.audit, after.audit
    yield from ordered(("audit", "units"), old.units, new.units, stricter="higher")
    yield from _worst_units(before, after)
    yield from ordered(("audit", "noise_draws"), old.noise_draws, new.noise_draws, stricter="higher")
    yield from ordered(
        ("audit", "positive_control", "min"), old.min_positive_control, new.min_positive_control, stricter="higher"
    )
    yield from ordered(
        ("audit", "negative_control", "max"), old.max_negative_control, new.max_negative_control, stricter="lower"
    )
    # The threshold is the lower limit of a quantile: the surer, the lower, and a lower one counts more as a success.
    yield from ordered(("audit", "null_confidence"), old.null_confidence, new.null_confidence, stricter="higher")
    yield from _candidates(old, new)
    yield from _weights_only(old.weights_only, new.weights_only)


def _weights_only(old: WeightsSearch, new: WeightsSearch) -> Iterator[PolicyChange]:
    """More images are more tries, and each is compared with the best of more strangers."""
    place = ("audit", "weights_only")
    reason = "with more candidates both the tries and the threshold grow"
    yield from incomparable((*place, "candidates"), old.candidates, new.candidates, reason=reason)
    yield from ordered((*place, "starts"), old.starts, new.starts, stricter="higher")
    yield from ordered((*place, "iterations"), old.iterations, new.iterations, stricter="higher")
    yield from ordered(
        (*place, "positive_control", "min"), old.min_positive_control, new.min_positive_control, stricter="higher"
    )


def _worst_units(before: Policy, after: Policy) -> Iterator[PolicyChange]:
    """A larger stratum has units that stand out less, so neither size is stricter for a limit on its share."""
    old, new = before.audit.worst_units, after.audit.worst_units
    if old and any(rule.worst_max is not None for rule in before.risk_rules):
        reason = "a larger stratum dilutes its share, a smaller one covers less"
        yield from incomparable(("audit", "worst_units"), old, new, reason=reason)
    else:
        yield from ordered(("audit", "worst_units"), old, new, stricter="higher")


def _candidates(old: AuditTerms, new: AuditTerms) -> Iterator[PolicyChange]:
    """Fewer candidates are easier to pick from, so the limit on picking them is stricter."""
    place = ("audit", "candidates")
    if old.candidates is None or new.candidates is None:
        reason = "left out, they are as many as there are training units, which no policy knows"
        yield from incomparable(place, number(old.candidates), number(new.candidates), reason=reason)
    else:
        yield from ordered(place, old.candidates, new.candidates, stricter="lower")
