"""The report in GitHub Flavored Markdown: for merge requests, job summaries and files."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report, headline_of
from gatekeeper.report.markdown_text import escape, table
from gatekeeper.report.sections import lists, paragraphs, subject, summary
from gatekeeper.report.tables import MARKS, TableText, adversary_table, rule_table, utility_table


def render_markdown(report: Report) -> str:
    """The report as Markdown; names and texts of others mark up nothing in it."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {headline_of(report)}: {escape(report.facts.evidence.candidate.name)}"
    yield ""
    yield f"**{escape(summary(report))}**"
    yield ""
    yield escape(subject(report))
    for notice in report.notices:
        yield from ("", f"> **{escape(notice.text)}**")
    yield from _table(rule_table(report.verdict.findings))
    yield from ("", "### Behind each rule", "")
    for finding in report.verdict.findings:
        yield from _behind(finding)
    yield from _table(adversary_table(report))
    yield from _table(utility_table(report))
    yield from ("", "## Behind the figures", "")
    yield from (f"- **{title}**: {escape(sentences)}" for title, sentences in paragraphs(report))
    for title, items in lists(report):
        yield from ("", f"## {escape(title)}", "")
        yield from (f"- {escape(item)}" for item in items)


def _behind(finding: Finding) -> Iterator[str]:
    yield f"- {MARKS[finding.status]} **{escape(finding.rule)}**: {escape(finding.detail)}"
    if finding.remedy is not None:
        yield f"  - → {escape(finding.remedy)}"


def _table(drawn: TableText) -> Iterator[str]:
    yield from ("", f"## {escape(drawn.title)}", "")
    yield from table(drawn.columns, drawn.rows, numeric=drawn.numeric)
    if drawn.caption is not None:
        yield from ("", escape(drawn.caption))
