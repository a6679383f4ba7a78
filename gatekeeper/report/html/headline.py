"""The verdict in a sentence, and the few figures that a reader looks for first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.core.verdict import Approval, Finding, Refusal
from gatekeeper.report.content import Report, headline_of, is_rejudged, may_release
from gatekeeper.report.tables import measured, statistic


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of the run.

    Attributes:
        name: what it is.
        value: the figure, rounded towards failing.
        note: what it is compared with, or how it is to be read.
    """

    name: str
    value: str
    note: str


def verdict_sentence(report: Report) -> str:
    """What was decided and why, in a sentence or two."""
    findings, verdict = report.verdict.findings, report.verdict
    policy = f"policy {report.policy.name} v{report.policy.version}"
    # What a model that was judged again may be released by is the policy that it was certified under.
    barred = headline_of(report) if is_rejudged(report) else "The model may not be released"
    if isinstance(verdict, Approval) and not may_release(report):
        held = f"{_all(len(findings))} of {policy} passed."
        if verdict.waivers:
            held = (
                f"{_count(findings, 'passed')} of {len(findings)} checks of {policy} passed; violated, and excused "
                f"until a date: {_named(findings, 'waived')}."
            )
        return f"{headline_of(report)}: {held} No release follows from this."
    if isinstance(verdict, Approval) and not verdict.waivers:
        return f"The model may be released: {_all(len(findings))} of {policy} passed for this very file."
    if isinstance(verdict, Approval):
        waived = _named(findings, "waived")
        return (
            f"The model may be released on waivers: {_count(findings, 'passed')} of {len(findings)} checks of {policy} "
            f"passed; violated, and excused until a date: {waived}."
        )
    if isinstance(verdict, Refusal):
        return (
            f"{barred}: {_count(findings, 'failed')} of {len(findings)} checks of {policy} "
            f"failed: {_named(findings, 'failed')}.{_open(findings)}"
        )
    return (
        f"{barred}: {_count(findings, 'inconclusive')} of {len(findings)} checks of {policy} "
        f"could not be judged: {_named(findings, 'inconclusive')}. None failed, but what is open is no pass."
    )


def _open(findings: tuple[Finding, ...]) -> str:
    return f" Could not be judged: {_named(findings, 'inconclusive')}." if _count(findings, "inconclusive") else ""


def _all(count: int) -> str:
    return "the one check" if count == 1 else f"all {count} checks"


def _count(findings: tuple[Finding, ...], status: str) -> int:
    return sum(finding.status == status for finding in findings)


def _named(findings: tuple[Finding, ...], status: str) -> str:
    return ", ".join(finding.rule for finding in findings if finding.status == status)


def figures(report: Report) -> tuple[Figure, ...]:
    """ε, and of the rules on risk and on metrics the first that did not pass, or else the first."""
    guarantee, unit = report.facts.guarantee, report.facts.evidence.record.mechanism.unit
    found = {finding.rule: finding for finding in report.verdict.findings}
    shown = [
        Figure(
            name="Privacy loss",
            value=f"ε ≤ {round_up(guarantee.epsilon.high)}",
            note=f"for each {unit}, at δ ≤ {round_up(guarantee.delta)}",
        )
    ]
    shown.append(_of("Risk", _first_to_look_at(found[rule.id] for rule in report.policy.risk_rules)))
    shown.append(_of("Utility", _first_to_look_at(found[rule.id] for rule in report.policy.utility_rules)))
    return tuple(shown)


def _first_to_look_at(findings: Iterable[Finding]) -> Finding:
    return min(findings, key=lambda finding: finding.status == "passed")


def _of(name: str, finding: Finding) -> Figure:
    return Figure(
        name=f"{name}: {finding.rule}",
        value=measured(finding),
        note=f"{statistic(finding)}; demanded: {finding.comparator} {in_full(finding.limit)}",
    )
