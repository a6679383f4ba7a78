"""Facts to strings: one file a format; nothing here prints or decides."""

from __future__ import annotations

from gatekeeper.report.certificate_schema import certificate_schema
from gatekeeper.report.content import Report, exit_code, verdict_word
from gatekeeper.report.json_report import render_json, report_schema
from gatekeeper.report.text import render_text

FORMATS = ("text", "json")


def render(report: Report, output_format: str) -> str:
    """The report in one of `FORMATS`."""
    return render_json(report) if output_format == "json" else render_text(report)


__all__ = [
    "FORMATS",
    "Report",
    "certificate_schema",
    "exit_code",
    "render",
    "render_json",
    "render_text",
    "report_schema",
    "verdict_word",
]
