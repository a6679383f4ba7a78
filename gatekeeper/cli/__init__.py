"""The command line. `main` is the only place that turns an error into an exit code."""

from gatekeeper.cli.main import main

__all__ = ["main"]
