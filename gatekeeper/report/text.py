"""The report for a terminal: verdict first, then every rule, then what stands behind them."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report, headline_of, verdict_word
from gatekeeper.report.printed import printed
from gatekeeper.report.sections import lists, paragraphs, subject, summary
from gatekeeper.report.tables import TableText, adversary_table, rule_table, utility_table

_COLOURS = {"approved": "bold green", "refused": "bold red", "inconclusive": "bold yellow"}
_MARK_COLOURS = {"PASS": "green", "FAIL": "red", "OPEN": "yellow", "WAIVED": "magenta"}


def render_text(report: Report, *, width: int = 100, colour: bool = False) -> str:
    """The report as text.

    Args:
        report: what to render.
        width: columns, at least 60.
        colour: whether to use ANSI colours.
    """
    return printed(_parts(report), width=width, colour=colour)


def _parts(report: Report) -> list[RenderableType]:
    parts: list[RenderableType] = [
        _headline(report),
        Text(subject(report)),
        *(Text(notice.text) for notice in report.notices),
        Text(""),
        _drawn(rule_table(report.verdict.findings)),
        *_remedies(report.verdict.findings),
        Text(""),
        _drawn(adversary_table(report)),
        Text(""),
        _drawn(utility_table(report)),
        Text(""),
        *(Text(f"{title:<8} {sentences}") for title, sentences in paragraphs(report)),
    ]
    for title, items in lists(report):
        parts += [Text(""), Text(title), *(Text(f"  · {item}") for item in items)]
    return parts


def _headline(report: Report) -> Text:
    word = verdict_word(report.verdict)
    return Text(f"{headline_of(report)}   ", style=_COLOURS[word]).append(summary(report), style="not bold default")


def _drawn(table: TableText) -> Table:
    drawn = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    for name in table.columns:
        drawn.add_column(name, justify="right" if name in table.numeric else "left")
    for row in table.rows:
        drawn.add_row(
            *(Text(cell, style=_MARK_COLOURS.get(cell, "") if not index else "") for index, cell in enumerate(row))
        )
    if table.caption is not None:
        drawn.caption, drawn.caption_justify = table.caption, "left"
    return drawn


def _remedies(findings: tuple[Finding, ...]) -> list[Text]:
    lines = []
    for finding in findings:
        lines.append(Text(f"  {finding.rule}: {finding.detail}"))
        if finding.remedy is not None:
            lines.append(Text(f"    → {finding.remedy}"))
    return [Text("Behind each rule"), *lines]
