"""How pictures look: the page's own ink, one colour for what was measured and one for what was demanded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, HAIRLINE = "#1b2530", "#55606c", "#d5dbe1"
MEASURED, BOUND, DEMANDED = "#1f5a8a", "#1b2530", "#a3262b"

WIDTH = 7.4  # inches; the page scales it
ROW = 0.36

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, which can be read out, searched and copied
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "axes.unicode_minus": False,
}


def set_rows(axes: Axes, names: list[str]) -> None:
    """One row for each name, the first on top, each on a hairline."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    for number in range(len(names)):
        axes.axhline(number, color=HAIRLINE, linewidth=0.8, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def legend_above(figure: Figure, axes: Axes) -> None:
    """The legend in one line above everything, where there is anything to explain."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            list(handles), list(names), loc="outside upper left", ncols=5, columnspacing=1.4, handletextpad=0.6
        )
