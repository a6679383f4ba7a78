"""All pictures of a report, each drawn alone so that none depends on what was drawn before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatekeeper.report.content import Report
from gatekeeper.report.html.plots.risk_plot import risk_figure, risk_words
from gatekeeper.report.html.plots.signal_plot import signal_figure, signal_words
from gatekeeper.report.html.plots.style import STYLE
from gatekeeper.report.html.plots.svg import inline_svg
from gatekeeper.report.html.plots.utility_plot import utility_figure, utility_words

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Plots:
    """SVG elements, marked as ours; None where there is nothing to draw."""

    utility: Markup | None
    risk: Markup | None
    signal: Markup | None


def draw_plots(report: Report) -> Plots:
    """The pictures of a report."""
    return Plots(
        utility=_drawn(report, "plot-utility", "Metrics with limits and demands", utility_figure, utility_words),
        risk=_drawn(report, "plot-risk", "Bounds and attacks of each adversary", risk_figure, risk_words),
        signal=_drawn(report, "plot-signal", "Signal-to-noise ratio of one image", signal_figure, signal_words),
    )


def _drawn(
    report: Report, name: str, title: str, figure: Callable[[Report], Figure | None], words: Callable[[Report], str]
) -> Markup | None:
    import matplotlib
    from markupsafe import Markup

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own file says
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": name})
        drawn = figure(report)
        if drawn is None:
            return None
        return Markup(inline_svg(drawn, name=name, title=title, description=words(report)))
