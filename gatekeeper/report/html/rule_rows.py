"""The rules as the page shows them: what each demanded, what came out, on which evidence, and who excused it."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.rounding import in_full
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report
from gatekeeper.report.tables import MARKS, margin, measured, statistic

# What a condition that every policy implies rests on, and the section that shows it.
_IMPLIED = {
    "privacy-epsilon": ("accountant", "privacy"),
    "privacy-delta": ("accountant", "privacy"),
    "privacy-total-epsilon": ("ledger", "ledger"),
    "attempts": ("ledger", "ledger"),
    "policy-lock": ("lock", "ledger"),
    "own-code": ("candidate matching", "own-code"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """A number as people read it, and with every digit.

    Attributes:
        text: rounded towards failing.
        exact: every digit, as the JSON report has it.
    """

    text: str
    exact: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleRow:
    """A finding.

    Attributes:
        status, rule, statement, statistic, detail, remedy, waiver: as `Finding` has them, statistic with confidence.
        mark: the status in one word.
        comparator: `≤` or `≥`.
        measured, limit, margin: the numbers.
        units: how many units it rests on, or `–`.
        evidence: what it rests on.
        section: the id of the section that shows the evidence.
    """

    status: str
    mark: str
    rule: str
    statement: str
    comparator: str
    measured: Number
    limit: Number
    margin: Number
    statistic: str
    units: str
    evidence: str
    section: str
    waiver: str | None
    detail: str
    remedy: str | None


def rule_rows(report: Report) -> tuple[RuleRow, ...]:
    """One for each finding, in the verdict's order."""
    return tuple(_row(finding, report.policy) for finding in report.verdict.findings)


def _row(finding: Finding, policy: Policy) -> RuleRow:
    evidence, section = _evidence(finding.rule, policy)
    return RuleRow(
        status=finding.status,
        mark=MARKS[finding.status],
        rule=finding.rule,
        statement=finding.statement,
        comparator=finding.comparator,
        measured=Number(text=measured(finding), exact=repr(finding.measured)),
        limit=Number(text=in_full(finding.limit), exact=repr(finding.limit)),
        margin=Number(text=margin(finding), exact=repr(finding.margin)),
        statistic=statistic(finding),
        units="–" if finding.sample_size is None else str(finding.sample_size),
        evidence=evidence,
        section=section,
        waiver=finding.waiver,
        detail=finding.detail,
        remedy=finding.remedy,
    )


def _evidence(name: str, policy: Policy) -> tuple[str, str]:
    rules = {rule.id: rule for rule in policy.rules}
    rule = rules.get(name) or rules.get(name.removesuffix("/worst"))
    if rule is None:
        return _IMPLIED[name]
    if not isinstance(rule, RiskRule):
        return "test units and twin" if rule.needs_twin else "test units", "utility"
    if name != rule.id:
        return "attack", "adversaries"
    return " and ".join(rule.evidence), "adversaries"
