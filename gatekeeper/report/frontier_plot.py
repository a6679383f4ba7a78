"""A frontier as a picture: accuracy above, risk below, against ε and against the signal-to-noise ratio.

The SVG is the same, byte for byte, wherever the same versions drew it: no date, no random names.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from importlib import util
from typing import TYPE_CHECKING, Any

from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import FrontierPoint
from gatekeeper.core.utility import Measurement
from gatekeeper.errors import InvalidInputError
from gatekeeper.report.frontier_columns import case_title, find, risk_at, risk_cases, title, utility_subjects

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_FORMATS = ("png", "svg")

_STYLE: Any = {"svg.hashsalt": "gatekeeper", "font.family": "DejaVu Sans", "font.size": 9.0}
_MARKERS = "osv^Dp*Xh<>"
_METADATA = {"svg": {"Date": None, "Creator": "gatekeeper"}, "png": {"Software": "gatekeeper"}}

_Coordinate = Callable[[FrontierPoint], float | None]


def require_matplotlib() -> None:
    """Refuse early where nothing can be drawn.

    Raises:
        InvalidInputError: matplotlib isn't installed here.
    """
    if util.find_spec("matplotlib") is None:
        raise InvalidInputError(
            "the frontier can't be drawn: matplotlib is not installed",
            where="frontier.png, frontier.svg",
            hint='pip install "gatekeeper[plot]", or leave the pictures out with --no-plot',
        )


def render_frontier_plots(frontier: Frontier) -> dict[str, bytes]:
    """The picture in each of `PLOT_FORMATS`, by format."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(12.0, 8.0), layout="constrained")
        _draw(figure, frontier)
        return {name: _saved(figure, name) for name in PLOT_FORMATS}


def _saved(figure: Figure, output_format: str) -> bytes:
    output = io.BytesIO()
    figure.savefig(output, format=output_format, dpi=150, metadata=_METADATA[output_format])
    return output.getvalue()


def _draw(figure: Figure, frontier: Frontier) -> None:
    above, below = figure.subplots(2, 2, sharey="row")
    for column, (name, coordinate) in enumerate(
        (("ε that was asked for", _epsilon), ("SNR = k/(Nσ²), all steps", _snr_all_steps))
    ):
        _draw_utility(above[column], frontier, coordinate)
        _draw_risks(below[column], frontier, coordinate)
        for axes in (above[column], below[column]):
            _finish(axes, name)
        if coordinate is _epsilon:
            for axes in (above[column], below[column]):
                axes.axvline(frontier.max_epsilon, color="black", linestyle=":", linewidth=1.0)
    above[0].set_ylabel("metric, with one-sided limits; dashed: non-private")
    below[0].set_ylabel("share of units; dotted vertical line: ceiling on ε")
    synthetic = ", SYNTHETIC images" if frontier.synthetic else ""
    heading = figure.suptitle(f"{frontier.candidate} on {frontier.data}{synthetic}, policy {frontier.policy}")
    handles, names = (one + other for one, other in zip(*(_legend(axes[0]) for axes in (above, below)), strict=True))
    legend = figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=7)
    for text in (heading, *legend.get_texts()):
        text.set_parse_math(False)  # a name with two dollar signs is no formula


def _legend(axes: Axes) -> tuple[list[Any], list[str]]:
    handles, names = axes.get_legend_handles_labels()
    return list(handles), list(names)


def _epsilon(point: FrontierPoint) -> float | None:
    return point.epsilon if point.is_private else None


def _snr_all_steps(point: FrontierPoint) -> float | None:
    snr = None if point.setting is None else point.setting.snr_all_steps
    return snr if snr else None  # a logarithm has no place for 0


def _finish(axes: Axes, name: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(name)
    axes.grid(visible=True, alpha=0.3)


def _draw_utility(axes: Axes, frontier: Frontier, coordinate: _Coordinate) -> None:
    for number, subject in enumerate(utility_subjects(frontier)):
        colour, marker, name = f"C{number % 10}", _MARKERS[number % len(_MARKERS)], title(subject)
        found = [(coordinate(point), find(subject, point.utility)) for point in frontier.points]
        shown = [(x, each) for x, each in found if x is not None and each is not None and _is_defined(each)]
        if shown:
            axes.errorbar(
                [x for x, _ in shown],
                [each.estimate for _, each in shown],
                yerr=(
                    [each.estimate - each.low for _, each in shown],
                    [each.high - each.estimate for _, each in shown],
                ),
                color=colour,
                marker=marker,
                linestyle="none",
                capsize=3,
                label=name,
            )
        for point in frontier.points:
            twin = None if point.is_private else find(subject, point.utility)
            if twin is not None and _is_defined(twin):
                axes.axhline(twin.estimate, color=colour, linestyle="--", linewidth=1.0)


def _is_defined(measurement: Measurement) -> bool:
    return not math.isnan(measurement.estimate)


def _draw_risks(axes: Axes, frontier: Frontier, coordinate: _Coordinate) -> None:
    cases = risk_cases(frontier)
    for number, case in enumerate(cases):
        colour, marker, name = f"C{number % 10}", _MARKERS[number % len(_MARKERS)], case_title(case, cases)
        found = [(coordinate(point), risk_at(point, case)) for point in frontier.points]
        known = [(x, risk) for x, risk in found if x is not None and risk is not None]
        bounds = [(x, risk.bound) for x, risk in known if risk.bound is not None]
        if bounds:
            axes.plot(
                *zip(*bounds, strict=True),
                color=colour,
                marker=marker,
                markersize=4 + 2 * (len(cases) - number),  # hollow and of falling size, so that no point hides another
                fillstyle="none",
                linestyle="none",
                label=f"{name}: {case[0].closed_form}",
            )
        attacks = [(x, each) for x, risk in known for each in risk.attacks]
        if attacks:
            axes.vlines(
                [x for x, _ in attacks],
                [each.sample.rate for _, each in attacks],
                [each.upper for _, each in attacks],
                color=colour,
                linewidth=5,
                alpha=0.35,
                label=f"{name}: attacks, from observed to upper limit",
            )
    axes.set_ylim(-0.06, 1.06)
