"""Runs gatekeeper's commands in the test's own process, where a process of their own is not the point."""

from __future__ import annotations

import dataclasses
import sys

from click.testing import CliRunner

from gatekeeper.cli.main import app, boundary


@dataclasses.dataclass
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def gatekeeper(*arguments: str) -> Ran:
    """Run a command in this process, through the boundary."""
    runner = CliRunner()
    with runner.isolation() as streams:
        code = boundary(lambda: app(list(arguments), standalone_mode=False))
        sys.stdout.flush()
        sys.stderr.flush()
        return Ran(code, streams[0].getvalue().decode(), streams[1].getvalue().decode())
