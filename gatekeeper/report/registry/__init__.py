"""The report as an entry of the DP Deployments Registry (OpenDP and NIST): a draft that its schema accepts."""

from gatekeeper.report.registry.entry import render_registry

__all__ = ["render_registry"]
