"""Each metric with its limits, the twin's, and what the policy demands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import UtilityRule
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.report.content import Report
from gatekeeper.report.html.plots.style import DEMANDED, INK, MEASURED, ROW, WIDTH, legend_above, set_rows
from gatekeeper.report.visible import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def defined(measurements: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    """Those that have a value."""
    return tuple(each for each in measurements if not math.isnan(each.estimate))


def utility_figure(report: Report) -> Figure | None:
    """Metrics above, drops against the twin below; None where nothing was measured."""
    from matplotlib.figure import Figure

    utility = report.facts.evidence.utility
    metrics, drops = defined(utility.measurements), defined(utility.drops)
    if not metrics:
        return None
    rows = [len(metrics), *([len(drops)] if drops else [])]
    figure = Figure(figsize=(WIDTH, ROW * sum(rows) + 0.95 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=[count + 1 for count in rows])[:, 0]
    rules = [rule for rule in report.policy.rules_at(report.facts.ledger.attempts) if isinstance(rule, UtilityRule)]
    _draw(axes[0], metrics, {_key(rule): rule.minimum for rule in rules if rule.minimum is not None})
    twins = {(each.subject, each.confidence): each.estimate for each in defined(utility.baseline)}
    places = [(twins[key], row) for row, key in enumerate((m.subject, m.confidence) for m in metrics) if key in twins]
    if places:
        axes[0].plot(*zip(*places, strict=True), "o", markerfacecolor="white", markeredgecolor=INK, label="twin")
    legend_above(figure, axes[0])
    axes[0].set_xlabel("metric on the test units")
    if drops:
        _draw(axes[1], drops, {_key(rule): rule.max_drop for rule in rules if rule.max_drop is not None})
        axes[1].set_xlabel("drop against the non-private twin")
    return figure


def _key(rule: UtilityRule) -> tuple[object, float]:
    return rule.subject, rule.confidence


def _draw(axes: Axes, shown: tuple[Measurement, ...], demands: dict[tuple[object, float], float]) -> None:
    set_rows(axes, [row_name(each, shown) for each in shown])
    rows = range(len(shown))
    axes.hlines(
        rows, [each.low for each in shown], [each.high for each in shown], color=MEASURED, linewidth=4, alpha=0.4
    )
    axes.plot([each.estimate for each in shown], rows, "o", color=MEASURED, label="estimate, one-sided limits")
    found = [(demands.get((each.subject, each.confidence)), row) for row, each in enumerate(shown)]
    limits = [(limit, row) for limit, row in found if limit is not None]
    if limits:
        axes.plot(*zip(*limits, strict=True), "|", color=DEMANDED, markersize=15, markeredgewidth=2, label="demanded")
    axes.margins(x=0.06)


def row_name(measurement: Measurement, among: tuple[Measurement, ...]) -> str:
    """The metric, with its confidence where it stands there at several."""
    name = shortened(metric_title(*measurement.subject), most=32)
    alike = sum(each.subject == measurement.subject for each in among)
    return name if alike == 1 else f"{name} ({measurement.confidence:g})"


def utility_words(report: Report) -> str:
    """What the picture shows, in words."""
    utility = report.facts.evidence.utility
    said = [_said(each) for each in defined(utility.measurements)]
    said += [f"drop of {_said(each)}" for each in defined(utility.drops)]
    said += [
        f"demanded of {shortened(rule.id)}: {'at least' if rule.minimum is not None else 'a drop of at most'} "
        f"{in_full(rule.minimum if rule.minimum is not None else rule.max_drop or 0.0)}"
        for rule in report.policy.utility_rules
    ]
    return "; ".join(said) + "."


def _said(each: Measurement) -> str:
    return (
        f"{shortened(metric_title(*each.subject))} {each.estimate:.4f}, limits {round_down(each.low)} and "
        f"{round_up(each.high)} at confidence {each.confidence:g}"
    )
