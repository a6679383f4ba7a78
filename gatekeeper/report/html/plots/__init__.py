"""The pictures of the page, drawn as SVG that stands in it: no number is in a picture that no table has."""

from gatekeeper.report.html.plots.drawing import Plots, draw_plots

__all__ = ["Plots", "draw_plots"]
