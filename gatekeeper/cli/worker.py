"""The child process of `certify`: `python -m gatekeeper.cli.worker TASK RUN [--quiet]`. It never sees a key."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gatekeeper.cli.main import boundary
from gatekeeper.cli.progress import StderrProgress
from gatekeeper.errors import GatekeeperError
from gatekeeper.rundir import Failure, RunDirectory


def work(task: str, path: Path, *, quiet: bool) -> None:
    """Do one task in a run directory; an error is left in the directory for the parent to report."""
    run = RunDirectory(path)
    try:
        if task == "forecast":
            _forecast(run)
        else:
            _produce(run, quiet=quiet)
    except GatekeeperError as error:
        run.write_failure(_failure(error))
        raise click.exceptions.Exit(error.exit_code) from error


def _forecast(run: RunDirectory) -> None:
    from gatekeeper.pipeline.planning import forecast

    run.write_forecast(forecast(run))


def _produce(run: RunDirectory, *, quiet: bool) -> None:
    from gatekeeper.pipeline.production import produce

    with run.lock(), StderrProgress(quiet=quiet) as progress:
        produce(run, progress)


def _failure(error: GatekeeperError) -> Failure:
    return Failure(
        code=error.code, message=error.message, where=error.where, hint=error.hint, exit_code=error.exit_code
    )


if __name__ == "__main__":
    sys.exit(boundary(lambda: work(sys.argv[1], Path(sys.argv[2]), quiet="--quiet" in sys.argv[3:])))
