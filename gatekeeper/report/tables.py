"""The tables of every report for people, as text in cells; formats draw them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import RiskRule
from gatekeeper.core.risk import AttackOutcome, NullCalibration, RiskBound
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report, not_measured

MARKS = {"passed": "PASS", "failed": "FAIL", "inconclusive": "OPEN", "waived": "WAIVED"}

_DICE = (
    "dice: each independent unit's own over all its images, then the plain mean over units; where no class is named, "
    "of the unit's mean over its classes but the background. n: units with the class, in mask or prediction; others "
    "are left out"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableText:
    """A table.

    Attributes:
        title: what it shows.
        columns: their names.
        numeric: the names of those whose cells are numbers.
        rows: a cell for each column.
        caption: how to read it, or None.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[str, ...] = ()
    caption: str | None = None


def rule_table(findings: tuple[Finding, ...]) -> TableText:
    """Each finding with what was measured, what was demanded, and the margin."""
    return TableText(
        title="Rules, in the policy's order",
        columns=("", "rule", "demand", "measured", "limit", "margin", "n"),
        numeric=("measured", "limit", "margin", "n"),
        rows=tuple(
            (
                MARKS[finding.status],
                finding.rule,
                f"{finding.statement} ({statistic(finding)})",
                measured(finding),
                f"{finding.comparator} {in_full(finding.limit)}",
                margin(finding),
                "–" if finding.sample_size is None else str(finding.sample_size),
            )
            for finding in findings
        ),
    )


def statistic(finding: Finding) -> str:
    """What was measured, and at which confidence; never rounded up to certainty."""
    if finding.confidence is None:
        return finding.statistic
    return f"{finding.statistic}, {round_down(finding.confidence)}"


def measured(finding: Finding) -> str:
    """The measured value, rounded towards failing."""
    if math.isnan(finding.measured):
        return "not measured"
    return round_up(finding.measured) if finding.comparator == "≤" else round_down(finding.measured)


def margin(finding: Finding) -> str:
    """How far it is on the passing side, rounded down."""
    return "–" if math.isnan(finding.margin) else round_down(finding.margin, digits=3)


def adversary_table(report: Report) -> TableText:
    """The matrix of adversaries, gated or not: bound, attack and how each is to be read."""
    confidence = max(
        rule.confidence for rule in report.policy.rules_at(report.facts.ledger.attempts) if isinstance(rule, RiskRule)
    )
    outcomes, nulls = report.facts.evidence.attacks.outcomes, report.facts.evidence.attacks.nulls
    rows: list[tuple[str, ...]] = []
    for bound in report.facts.bounds:
        model = "" if bound.adversary.prior == "none" else " (model)"
        names = (bound.adversary.title, _success(bound, nulls), f"{round_up(bound.value, digits=3)}{model}")
        for outcome in _matching(bound, outcomes) or (None,):
            rows.append((*names, *_attack_cells(outcome, confidence)))
            names = ("", "", "")
    for outcome in outcomes:
        if not any(_matching(bound, (outcome,)) for bound in report.facts.bounds):
            success = f"{outcome.similarity.measure} ≥ {outcome.threshold:.3f}"
            rows.append((outcome.adversary.title, success, "none", *_attack_cells(outcome, confidence)))
    for adversary, reason in not_measured(outcomes):
        rows.append((adversary.title, reason, "none", *_attack_cells(None, confidence)))
    return TableText(
        title="Adversaries, gated or not: the share of units reconstructed or identified",
        columns=("adversary", "success", "bound", "attack", "upper limit", "worst stratum", "controls +/−"),
        rows=tuple(rows),
        caption="bound: one noise draw; (model): of Gaussian images, no bound, attacks on real images may exceed it; "
        "attack: any of several draws (with prior: the draw with most; the weights: one training), with its one-sided "
        f"Clopper–Pearson upper limit at {round_down(confidence)}; worst stratum: observed share, no population bound; "
        "strangers: others' images that would pass; guesses: noise of this level alone, read with the prior; worst "
        "case and relaxed: identification among candidates",
    )


def _matching(bound: RiskBound, outcomes: tuple[AttackOutcome, ...]) -> tuple[AttackOutcome, ...]:
    return tuple(
        outcome
        for outcome in outcomes
        if (outcome.adversary, outcome.similarity) == (bound.adversary, bound.similarity)
    )


def _success(bound: RiskBound, nulls: tuple[NullCalibration, ...]) -> str:
    if bound.threshold is None or bound.prior_success is not None:
        return f"picks the target, by chance {round_up(bound.prior_success or 0.0, digits=3)}"
    null = next((null for null in nulls if null.similarity == bound.similarity and null.is_of(bound.adversary)), None)
    guesses = "" if null is None or null.guesser is None else f", {100 * null.guesses_passing:.2g} % of guesses"
    strangers = "" if null is None else f" ({100 * null.strangers_passing:.2g} % of strangers{guesses})"
    return f"NCC ≥ {bound.threshold!r}{strangers}"


def _attack_cells(outcome: AttackOutcome | None, confidence: float) -> tuple[str, str, str, str]:
    if outcome is None:
        return ("–", "–", "–", "–")
    # The best of several images counts, so each is compared with the best of as many strangers'.
    among = "" if outcome.candidates == 1 else f" (best of {outcome.candidates}, τ {outcome.threshold:.3f})"
    return (
        f"{outcome.attack} {outcome.sample.successes}/{outcome.sample.trials}{among}",
        round_up(outcome.sample.upper(confidence=confidence), digits=3),
        f"{outcome.worst.successes}/{outcome.worst.trials}",
        f"{round_down(outcome.positive_control.rate, digits=3)} / {round_up(outcome.negative_control.rate, digits=3)}",
    )


def utility_table(report: Report) -> TableText:
    """Every metric with its limits, the twin's, and the drop."""
    utility = report.facts.evidence.utility
    return TableText(
        title="How well the exported file does on the test units",
        columns=("metric", "model", "limits", "confidence", "n", "twin", "drop", "upper limit of drop"),
        rows=tuple(
            _utility_cells(each, _same(each, utility.baseline), _same(each, utility.drops))
            for each in utility.measurements
        ),
        caption=_DICE if report.facts.evidence.dataset.task == "segmentation" else None,
    )


def _utility_cells(found: Measurement, twin: Measurement | None, drop: Measurement | None) -> tuple[str, ...]:
    return (
        metric_title(*found.subject),
        f"{found.estimate:.4f}",
        f"{round_down(found.low)} … {round_up(found.high)}",
        f"{found.confidence:g}",
        str(found.units),
        "–" if twin is None else f"{twin.estimate:.4f}",
        "–" if drop is None else f"{drop.estimate:+.4f}",
        "–" if drop is None else round_up(drop.high),
    )


def _same(measurement: Measurement, among: tuple[Measurement, ...]) -> Measurement | None:
    for other in among:
        if (other.subject, other.confidence) == (measurement.subject, measurement.confidence):
            return other
    return None
