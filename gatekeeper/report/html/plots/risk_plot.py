"""Each adversary's bound and what attacks achieved, against what the policy demands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.policy import RiskRule
from gatekeeper.core.risk import AttackOutcome, RiskBound, Similarity
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report.content import Report
from gatekeeper.report.html.plots.style import BOUND, DEMANDED, MEASURED, ROW, WIDTH, legend_above, set_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Below it the axis is linear, down to 0, which most attacks end at.
_LINEAR = 1e-3
_TICKS = (0.0, 1e-3, 1e-2, 0.1, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskRow:
    """A row of the picture: one adversary by one definition of success.

    Attributes:
        name: the adversary, and the definition where it has several.
        adversary: the adversary itself.
        bound: its bound or model figure, or None.
        outcomes: the attacks that played it.
        limits: the largest share that rules allow it.
    """

    name: str
    adversary: Adversary
    bound: float | None
    outcomes: tuple[AttackOutcome, ...]
    limits: tuple[float, ...]


def risk_rows(report: Report) -> tuple[RiskRow, ...]:
    """The whole matrix: whatever has a bound, an attack or a rule."""
    facts, rules = report.facts, report.policy.risk_rules
    outcomes = facts.evidence.attacks.outcomes
    bounds = {(bound.adversary, bound.similarity): bound for bound in facts.bounds}
    keys = dict.fromkeys(
        (
            *bounds,
            *((each.adversary, each.similarity) for each in outcomes),
            *((rule.adversary, rule.similarity) for rule in rules),
        )
    )
    return tuple(_row(key, tuple(keys), bounds, outcomes, rules) for key in keys)


_Key = tuple[Adversary, Similarity | None]


def _row(
    key: _Key,
    keys: tuple[_Key, ...],
    bounds: dict[_Key, RiskBound],
    outcomes: tuple[AttackOutcome, ...],
    rules: tuple[RiskRule, ...],
) -> RiskRow:
    adversary, similarity = key
    alone = sum(other == adversary for other, _ in keys) == 1
    bound = bounds.get(key)
    return RiskRow(
        name=adversary.title if alone or similarity is None else f"{adversary.title}, {_defined_by(similarity)}",
        adversary=adversary,
        bound=None if bound is None else bound.value,
        outcomes=tuple(each for each in outcomes if (each.adversary, each.similarity) == key),
        limits=tuple(rule.maximum for rule in rules if (rule.adversary, rule.similarity) == key),
    )


def _defined_by(similarity: Similarity) -> str:
    if similarity.at_least is not None:
        return f"{similarity.measure} ≥ {in_full(similarity.at_least)}"
    capped = "" if similarity.at_most is None else f", τ ≤ {in_full(similarity.at_most)}"
    return f"{similarity.measure} above {in_full(similarity.above_null or 0.0)}{capped}"


def attack_confidence(report: Report) -> float:
    """The confidence of upper limits in the tables, so in the picture: the highest of the risk rules'."""
    rules = report.policy.rules_at(report.facts.ledger.attempts)
    return max(rule.confidence for rule in rules if isinstance(rule, RiskRule))


def risk_figure(report: Report) -> Figure:
    """Shares from 0 to 1, on a logarithmic axis that ends linearly."""
    from matplotlib.figure import Figure

    rows, confidence = risk_rows(report), attack_confidence(report)
    figure = Figure(figsize=(WIDTH, ROW * len(rows) + 1.0), layout="constrained")
    axes = figure.subplots()
    set_rows(axes, [row.name for row in rows])
    attacks = [(y, each.sample) for y, row in enumerate(rows) for each in row.outcomes]
    if attacks:
        axes.hlines(
            [y for y, _ in attacks],
            [sample.rate for _, sample in attacks],
            [sample.upper(confidence=confidence) for _, sample in attacks],
            color=MEASURED,
            linewidth=5,
            alpha=0.4,
            label="attack: observed to upper limit",
        )
        axes.plot([sample.rate for _, sample in attacks], [y for y, _ in attacks], "o", color=MEASURED, markersize=4)
    for proven, label, fill in ((True, "bound", "full"), (False, "model figure, no proof", "none")):
        found = [(row.bound, y) for y, row in enumerate(rows) if row.bound is not None and _is_bound(row) == proven]
        if found:
            axes.plot(*zip(*found, strict=True), "D", color=BOUND, fillstyle=fill, markersize=5.5, label=label)
    limits = [(limit, y) for y, row in enumerate(rows) for limit in row.limits]
    axes.plot(*zip(*limits, strict=True), "|", color=DEMANDED, markersize=15, markeredgewidth=2, label="most allowed")
    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.6)
    axes.set_xlim(-2e-4, 1.25)
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_xlabel("share of units reconstructed, or probability of picking the target")
    legend_above(figure, axes)
    return figure


def _is_bound(row: RiskRow) -> bool:
    return row.adversary.closed_form == "bound"


def risk_words(report: Report) -> str:
    """What the picture shows, in words."""
    confidence = attack_confidence(report)
    return "; ".join(_said(row, confidence) for row in risk_rows(report)) + "."


def _said(row: RiskRow, confidence: float) -> str:
    parts = [row.name]
    if row.bound is not None:
        parts.append(f"{row.adversary.closed_form} {round_up(row.bound, digits=3)}")
    parts += [
        f"attack {each.attack} {each.sample.successes} of {each.sample.trials}, upper limit "
        f"{round_up(each.sample.upper(confidence=confidence), digits=3)} at confidence {round_down(confidence)}"
        for each in row.outcomes
    ]
    parts += [f"most allowed {in_full(limit)}" for limit in row.limits]
    return ", ".join(parts)
