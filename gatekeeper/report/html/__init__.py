"""The report as one page for a browser and for paper: verdict first, no script, nothing loaded from anywhere."""

from gatekeeper.report.html.rendering import render_html

__all__ = ["render_html"]
