"""From facts to the page: the template, and what keeps other people's text from marking it up."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from gatekeeper.report.content import Report
from gatekeeper.report.extras import require_format
from gatekeeper.report.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render_html(report: Report) -> str:
    """The report as one HTML file, the same byte for byte wherever the same versions made it.

    Raises:
        InvalidInputError: what draws it isn't installed.
    """
    require_format("html")
    from gatekeeper.report.html.page import page_of
    from gatekeeper.report.html.plots import draw_plots

    page = page_of(report)
    return _environment().get_template("report.html").render(page=page, plots=draw_plots(report)) + "\n"


@cache
def _environment() -> Environment:
    """Everything is escaped but the pictures, which are ours; an unknown name in a template is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("gatekeeper.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """What a template prints: text with nothing unseen in it; markup of our own as it is."""
    from markupsafe import Markup

    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value)
