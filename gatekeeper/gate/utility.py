"""Rules on how well the model does."""

from __future__ import annotations

import math
from typing import Literal

from gatekeeper.core.certificate import Facts
from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import UtilityRule
from gatekeeper.core.rounding import in_full
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Finding
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate.reading import NOT_A_NUMBER, margin_of, status_of


def utility_finding(rule: UtilityRule, facts: Facts) -> Finding:
    """The finding of a rule on a metric or its drop."""
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
    status = status_of(measured=measured, limit=limit, comparator=comparator) if enough else "inconclusive"
    return Finding(
        rule=rule.id,
        statement=f"{what} {in_full(limit)}",
        status=status,
        comparator=comparator,
        measured=measured,
        limit=limit,
        margin=margin_of(measured=measured, limit=limit, comparator=comparator),
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
