"""Facts to strings: one file or folder a format; nothing here prints or decides."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.report.certificate_schema import certificate_schema
from gatekeeper.report.content import Report, exit_code, verdict_word
from gatekeeper.report.extras import require_format
from gatekeeper.report.github import github_outputs, render_github
from gatekeeper.report.html import render_html
from gatekeeper.report.json_report import render_json, report_schema
from gatekeeper.report.junit import render_junit
from gatekeeper.report.markdown import render_markdown
from gatekeeper.report.openmetrics import render_openmetrics
from gatekeeper.report.registry import render_registry
from gatekeeper.report.sarif import render_sarif
from gatekeeper.report.text import render_text

_RENDERERS: dict[str, Callable[[Report], str]] = {
    "text": render_text,
    "json": render_json,
    "markdown": render_markdown,
    "junit": render_junit,
    "sarif": render_sarif,
    "github": render_github,
    "openmetrics": render_openmetrics,
    "html": render_html,
    "registry": render_registry,
}

FORMATS = tuple(_RENDERERS)


def render(report: Report, output_format: str) -> str:
    """The report in one of `FORMATS`."""
    return _RENDERERS[output_format](report)


__all__ = [
    "FORMATS",
    "Report",
    "certificate_schema",
    "exit_code",
    "github_outputs",
    "render",
    "render_json",
    "render_markdown",
    "render_text",
    "report_schema",
    "require_format",
    "verdict_word",
]
