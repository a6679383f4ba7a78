"""What reports for people say around their tables, in order: sentences that each format sets in its own way."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.core.rounding import in_full
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
    privacy_sentence,
    provenance_sentence,
    trusted,
    twin_sentence,
    unit_sentence,
    waiver_sentences,
)
from gatekeeper.report.tables import MARKS, margin, measured, statistic


def summary(report: Report) -> str:
    """How many checks there were, and how they ended."""
    findings = report.verdict.findings
    counts = {status: sum(f.status == status for f in findings) for status in MARKS}
    text = f"{len(findings)} checks, {counts['passed']} passed, {counts['failed']} failed, "
    text += f"{counts['inconclusive']} inconclusive"
    return f"{text}, {counts['waived']} WAIVED" if counts["waived"] else text


def subject(report: Report) -> str:
    """What was judged, by what, when."""
    return (
        f"candidate {report.facts.evidence.candidate.name} · policy {report.policy.name} v{report.policy.version} · "
        f"{report.created} · gatekeeper {report.gatekeeper_version}"
    )


def outcome(finding: Finding) -> str:
    """A finding in one sentence: what was demanded, and what came out."""
    mark = MARKS[finding.status] if finding.waiver is None else f"{MARKS[finding.status]} by {finding.waiver}"
    return (
        f"{mark}: {finding.statement} ({statistic(finding)}): {measured(finding)} against {finding.comparator} "
        f"{in_full(finding.limit)}, margin {margin(finding)}"
    )


def behind(finding: Finding) -> str:
    """What a reader needs to understand a finding, and its remedy."""
    return finding.detail if finding.remedy is None else f"{finding.detail} → {finding.remedy}"


def message(finding: Finding) -> str:
    """Both in one paragraph."""
    return f"{outcome(finding)}; {behind(finding)}"


def paragraphs(report: Report) -> Iterator[tuple[str, str]]:
    """What stands behind the tables: each a title of one word, and its sentences."""
    facts, dataset = report.facts, report.facts.evidence.dataset
    synthetic = " (SYNTHETIC images)" if dataset.synthetic else ""
    yield "Privacy", f"{privacy_sentence(facts)} {epsilon_meaning(facts.guarantee.epsilon.high)}"
    yield "Numbers", arithmetic_sentence(facts)
    yield "Ledger", ledger_sentence(report)
    yield "Lock", lock_sentence(facts)
    yield from (("Waiver", sentence) for sentence in waiver_sentences(report))
    yield (
        "Data",
        f"{dataset.name}{synthetic}: {dataset.train_units} training and {dataset.test_units} test units "
        f"({dataset.unit}), {dataset.train_images} and {dataset.test_images} images of "
        f"{'×'.join(map(str, dataset.image_shape))}, {len(dataset.classes)} classes",
    )
    yield "Model", model_sentence(facts)
    for title, sentence in (
        ("Clipping", adaptation_sentence(facts)),
        ("Resumed", interruption_sentence(facts)),
        ("Twin", twin_sentence(facts)),
        ("Origin", provenance_sentence(facts)),
        ("Unit", unit_sentence(facts)),
    ):
        if sentence is not None:
            yield title, sentence


def lists(report: Report) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is checked again, what is believed, and what is not claimed."""
    yield "Recomputed by `gatekeeper verify`", RECOMPUTED
    yield "Taken on the signer's word", trusted(report.facts)
    yield "What this does not say", NON_CLAIMS
