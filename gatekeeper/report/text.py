"""The report for a terminal: verdict first, then every rule, then what stands behind them."""

from __future__ import annotations

import io
import math

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import RiskRule
from gatekeeper.core.risk import AttackOutcome, NullCalibration, RiskBound
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import (
    NON_CLAIMS,
    RECOMPUTED,
    Report,
    adaptation_sentence,
    arithmetic_sentence,
    epsilon_meaning,
    interruption_sentence,
    ledger_sentence,
    lock_sentence,
    model_sentence,
    not_measured,
    privacy_sentence,
    provenance_sentence,
    trusted,
    twin_sentence,
    verdict_word,
    waiver_sentences,
)

_COLOURS = {"approved": "bold green", "refused": "bold red", "inconclusive": "bold yellow"}
_DICE = (
    "dice: each independent unit's own over all its images, then the plain mean over units; where no class is named, "
    "of the unit's mean over its classes but the background. n: units with the class, in mask or prediction; others "
    "are left out"
)
_MARKS = {
    "passed": ("PASS", "green"),
    "failed": ("FAIL", "red"),
    "inconclusive": ("OPEN", "yellow"),
    "waived": ("WAIVED", "magenta"),
}


def render_text(report: Report, *, width: int = 100, colour: bool = False) -> str:
    """The report as text.

    Args:
        report: what to render.
        width: columns, at least 60.
        colour: whether to use ANSI colours.
    """
    output = io.StringIO()
    console = Console(
        file=output, width=width, force_terminal=colour, no_color=not colour, highlight=False, markup=False, emoji=False
    )
    for part in _parts(report):
        console.print(part)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def _parts(report: Report) -> list[RenderableType]:
    facts = report.facts
    dataset = facts.evidence.dataset
    synthetic = " (SYNTHETIC images)" if dataset.synthetic else ""
    parts: list[RenderableType] = [
        _headline(report),
        Text(
            f"candidate {facts.evidence.candidate.name} · policy {report.policy.name} v{report.policy.version} · "
            f"{report.created} · gatekeeper {report.gatekeeper_version}"
        ),
        Text(""),
        rule_table(report.verdict.findings),
        *_remedies(report.verdict.findings),
        Text(""),
        adversary_table(report),
        Text(""),
        utility_table(report),
        Text(""),
        Text(f"Privacy  {privacy_sentence(facts)} {epsilon_meaning(facts.guarantee.epsilon.high)}"),
        Text(f"Numbers  {arithmetic_sentence(facts)}"),
        Text(f"Ledger   {ledger_sentence(facts)}"),
        Text(f"Lock     {lock_sentence(facts)}"),
        *(Text(f"Waiver   {sentence}") for sentence in waiver_sentences(report)),
        Text(
            f"Data     {dataset.name}{synthetic}: {dataset.train_units} training and {dataset.test_units} test units "
            f"({dataset.unit}), {dataset.train_images} and {dataset.test_images} images of "
            f"{'×'.join(map(str, dataset.image_shape))}, {len(dataset.classes)} classes"
        ),
        Text(f"Model    {model_sentence(facts)}"),
    ]
    adaptation = adaptation_sentence(facts)
    if adaptation is not None:
        parts.append(Text(f"Clipping {adaptation}"))
    interruption = interruption_sentence(facts)
    if interruption is not None:
        parts.append(Text(f"Resumed  {interruption}"))
    twin = twin_sentence(facts)
    if twin is not None:
        parts.append(Text(f"Twin     {twin}"))
    provenance = provenance_sentence(facts)
    if provenance is not None:
        parts.append(Text(f"Origin   {provenance}"))
    parts += [Text(""), *_list("Recomputed by `gatekeeper verify`", RECOMPUTED)]
    parts += [Text(""), *_list("Taken on the signer's word", trusted(facts))]
    parts += [Text(""), *_list("What this does not say", NON_CLAIMS)]
    return parts


def _headline(report: Report) -> Text:
    word = verdict_word(report.verdict)
    findings = report.verdict.findings
    counts = {status: sum(f.status == status for f in findings) for status in _MARKS}
    summary = f"{len(findings)} checks, {counts['passed']} passed, {counts['failed']} failed, "
    summary += f"{counts['inconclusive']} inconclusive"
    if counts["waived"]:
        summary += f", {counts['waived']} WAIVED"
    return Text(f"{word.upper()}   ", style=_COLOURS[word]).append(summary, style="not bold default")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, expand=False)


def rule_table(findings: tuple[Finding, ...]) -> Table:
    """Each finding with what was measured, what was demanded, and the margin."""
    table = _table("Rules, in the policy's order")
    for name in ("", "rule", "demand", "measured", "limit", "margin", "n"):
        table.add_column(name, justify="right" if name in {"measured", "limit", "margin", "n"} else "left")
    for finding in findings:
        mark, colour = _MARKS[finding.status]
        table.add_row(
            Text(mark, style=colour),
            Text(finding.rule),
            Text(f"{finding.statement} ({_statistic(finding)})"),
            _safe(finding.measured, comparator=finding.comparator),
            f"{finding.comparator} {in_full(finding.limit)}",
            "–" if math.isnan(finding.margin) else f"{round_down(finding.margin, digits=3)}",
            "–" if finding.sample_size is None else str(finding.sample_size),
        )
    return table


def _statistic(finding: Finding) -> str:
    if finding.confidence is None:
        return finding.statistic
    return f"{finding.statistic}, {round_down(finding.confidence)}"


def _safe(value: float, *, comparator: str) -> str:
    """A measured value rounded towards failing."""
    if math.isnan(value):
        return "not measured"
    return round_up(value) if comparator == "≤" else round_down(value)


def _remedies(findings: tuple[Finding, ...]) -> list[Text]:
    lines = []
    for finding in findings:
        lines.append(Text(f"  {finding.rule}: {finding.detail}"))
        if finding.remedy is not None:
            lines.append(Text(f"    → {finding.remedy}"))
    return [Text("Behind each rule"), *lines]


def adversary_table(report: Report) -> Table:
    """The matrix of adversaries, gated or not: bound, attack and how each is to be read."""
    table = _table("Adversaries, gated or not: the share of units reconstructed or identified")
    for name in ("adversary", "success", "bound", "attack", "upper limit", "worst stratum", "controls +/−"):
        table.add_column(name)
    confidence = max(
        rule.confidence for rule in report.policy.rules_at(report.facts.ledger.attempts) if isinstance(rule, RiskRule)
    )
    outcomes, nulls = report.facts.evidence.attacks.outcomes, report.facts.evidence.attacks.nulls
    for bound in report.facts.bounds:
        model = "" if bound.adversary.prior == "none" else " (model)"
        value = f"{round_up(bound.value, digits=3)}{model}"
        names = (Text(bound.adversary.title), Text(_success(bound, nulls)), value)
        for outcome in _matching(bound, outcomes) or (None,):
            table.add_row(*names, *_attack_cells(outcome, confidence))
            names = (Text(""), Text(""), "")
    for outcome in outcomes:
        if not any(_matching(bound, (outcome,)) for bound in report.facts.bounds):
            success = f"{outcome.similarity.measure} ≥ {outcome.threshold:.3f}"
            table.add_row(Text(outcome.adversary.title), success, "none", *_attack_cells(outcome, confidence))
    for adversary, reason in not_measured(outcomes):
        table.add_row(Text(adversary.title), Text(reason), "none", *_attack_cells(None, confidence))
    table.caption = (
        "bound: one noise draw; (model): of Gaussian images, no bound, attacks on real images may exceed it; attack: "
        "any of several draws (the weights: one training), with its one-sided Clopper–Pearson upper limit at "
        f"{round_down(confidence)}; worst stratum: observed share, no population bound; strangers: others' images that "
        "would pass; guesses: noise of this level alone, read with the prior; worst case and relaxed: "
        "identification among candidates"
    )
    table.caption_justify = "left"
    return table


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


def utility_table(report: Report) -> Table:
    """Every metric with its limits, the twin's, and the drop."""
    utility = report.facts.evidence.utility
    table = _table("How well the exported file does on the test units")
    for name in ("metric", "model", "limits", "confidence", "n", "twin", "drop", "upper limit of drop"):
        table.add_column(name)
    for measurement in utility.measurements:
        twin = _same(measurement, utility.baseline)
        drop = _same(measurement, utility.drops)
        table.add_row(
            Text(metric_title(*measurement.subject)),
            f"{measurement.estimate:.4f}",
            f"{round_down(measurement.low)} … {round_up(measurement.high)}",
            f"{measurement.confidence:g}",
            str(measurement.units),
            "–" if twin is None else f"{twin.estimate:.4f}",
            "–" if drop is None else f"{drop.estimate:+.4f}",
            "–" if drop is None else round_up(drop.high),
        )
    if report.facts.evidence.dataset.task == "segmentation":
        table.caption = _DICE
        table.caption_justify = "left"
    return table


def _same(measurement: Measurement, among: tuple[Measurement, ...]) -> Measurement | None:
    for other in among:
        if (other.subject, other.confidence) == (measurement.subject, measurement.confidence):
            return other
    return None


def _list(title: str, items: tuple[str, ...]) -> list[Text]:
    return [Text(title), *(Text(f"  · {item}") for item in items)]
