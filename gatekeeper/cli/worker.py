"""The child process of `certify`: `python -P -m gatekeeper.cli.worker TASK RUN PARENT [--quiet]`.

It never sees a key. Its parent, whose process number it is told, holds the run's lock; it dies with it. SIGTERM asks it
to stop: a training finishes its step and keeps what to go on from.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import click

from gatekeeper.cli.interrupts import interrupt_on_termination
from gatekeeper.cli.main import EXIT_INTERRUPTED, boundary
from gatekeeper.cli.progress import StderrProgress
from gatekeeper.cli.streams import settle_streams
from gatekeeper.errors import GatekeeperError, RunDirectoryError
from gatekeeper.pipeline.child import die_with_parent
from gatekeeper.rundir import Failure, RunDirectory


def work(task: str, path: Path, *, quiet: bool) -> None:
    """Do one task in a run directory; an error is left in the directory for the parent to report."""
    run = RunDirectory(path)
    try:
        if task == "forecast":
            _forecast(run)
        elif task == "plan":
            _plan(run)
        else:
            _produce(run, quiet=quiet)
    except GatekeeperError as error:
        run.write_failure(_failure(error))
        raise click.exceptions.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        # The parent says so, and how to go on.
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from error
    finally:
        run.remove_twin()


def _forecast(run: RunDirectory) -> None:
    from gatekeeper.pipeline.planning import forecast

    run.write_forecast(forecast(run))


def _plan(run: RunDirectory) -> None:
    from gatekeeper.pipeline.production import plan

    plan(run)


def _produce(run: RunDirectory, *, quiet: bool) -> None:
    from gatekeeper.pipeline.production import produce

    try:
        with StderrProgress(quiet=quiet) as progress:
            produce(run, progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunDirectoryError(f"can't be written: {error.strerror}", where=str(run.path)) from error


def _failure(error: GatekeeperError) -> Failure:
    return Failure(
        code=error.code, message=error.message, where=error.where, hint=error.hint, exit_code=error.exit_code
    )


def _main(task: str, path: str, parent: str, *flags: str) -> int:
    die_with_parent(int(parent))
    interrupt_on_termination()
    # Every file of a run is its owner's alone, the model too, whoever writes it.
    os.umask(0o077)
    code = boundary(lambda: work(task, Path(path), quiet="--quiet" in flags))
    settle_streams()
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
