"""The child process of `certify`: `python -P -m gatekeeper.cli.worker TASK RUN PARENT --device=DEVICE [--quiet]`.

It never sees a key. Its parent, whose process number it is told, holds the run's lock; it dies with it. SIGTERM asks it
to stop: a training finishes its step and keeps what to go on from.

The task `assist` is for all but the first of several processes: it is told the run by the first one's child.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import cast

import click

from gatekeeper.cli.interrupts import interrupt_on_termination
from gatekeeper.cli.main import EXIT_INTERRUPTED, boundary
from gatekeeper.cli.progress import StderrProgress
from gatekeeper.cli.streams import settle_streams
from gatekeeper.core.device import DeviceChoice
from gatekeeper.errors import GatekeeperError, ProcessLostError, RunDirectoryError
from gatekeeper.pipeline.child import die_with_parent
from gatekeeper.rundir import Failure, RunDirectory


def work(task: str, path: Path, *, quiet: bool, device: DeviceChoice) -> None:
    """Do one task in a run directory; an error is left in the directory for the parent to report."""
    run = RunDirectory(path)
    try:
        if task == "forecast":
            _forecast(run, quiet=quiet, device=device)
        elif task == "describe":
            _describe(run, device)
        elif task == "annex":
            _annex(run)
        elif task in ("plan", "plan-beyond"):
            _plan(run, quiet=quiet, beyond=task == "plan-beyond")
        else:
            _produce(run, quiet=quiet, device=device, twin=task == "produce-twin")
    except ProcessLostError:
        # No failure of this run's: it can be gone on with, as after any other death.
        raise
    except GatekeeperError as error:
        run.write_failure(_failure(error))
        raise click.exceptions.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        # The parent says so, and how to go on.
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from error
    finally:
        run.remove_twin()


def _assist(device: DeviceChoice) -> None:
    from gatekeeper.pipeline.assistance import assist

    try:
        assist(device=device, on_run=lambda path: print(path, flush=True))
    except KeyboardInterrupt as error:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from error


def _forecast(run: RunDirectory, *, quiet: bool, device: DeviceChoice) -> None:
    from gatekeeper.pipeline.forecasting import forecast

    with StderrProgress(quiet=quiet) as progress:
        run.write_forecast(forecast(run, progress, device=device))


def _describe(run: RunDirectory, device: DeviceChoice) -> None:
    from gatekeeper.pipeline.describing import describe

    describe(run, device=device)


def _plan(run: RunDirectory, *, quiet: bool, beyond: bool) -> None:
    from gatekeeper.pipeline.production import plan

    with StderrProgress(quiet=quiet) as progress:
        plan(
            run,
            progress,
            beyond=beyond,
            on_note=lambda note: None if quiet else print(f"data: {note}", file=sys.stderr),
        )


def _annex(run: RunDirectory) -> None:
    from gatekeeper.pipeline.annex import draw_annex

    draw_annex(run)


def _produce(run: RunDirectory, *, quiet: bool, device: DeviceChoice, twin: bool) -> None:
    from gatekeeper.pipeline.non_private import produce_alone
    from gatekeeper.pipeline.production import produce

    try:
        with StderrProgress(quiet=quiet) as progress:
            (produce_alone if twin else produce)(run, progress, device=device)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunDirectoryError(f"can't be written: {error.strerror}", where=str(run.path)) from error


def _failure(error: GatekeeperError) -> Failure:
    return Failure(
        code=error.code, message=error.message, where=error.where, hint=error.hint, exit_code=error.exit_code
    )


def _main(task: str, path: str, parent: str, device: str, *flags: str) -> int:
    die_with_parent(int(parent))
    # Every file of a run is its owner's alone, the model too, whoever writes it.
    os.umask(0o077)
    wanted = cast("DeviceChoice", device.removeprefix("--device="))
    if task == "assist":
        # Nothing is kept here: outside of the training SIGTERM ends it at once, also where it waits for others.
        code = boundary(lambda: _assist(wanted))
    else:
        interrupt_on_termination()
        code = boundary(lambda: work(task, Path(path), quiet="--quiet" in flags, device=wanted))
    settle_streams()
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
