"""Runs the private part in a child process that has no key, no passphrase and no secret of the environment.

The child gets a short list of harmless variables and no standard input; it writes what it found into the
run directory, and the parent reads it there. Data, networks and attacks are the child's; the key is the
parent's, which opens it only for an approval.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Literal

from gatekeeper.errors import InternalError, PrivatePartError
from gatekeeper.rundir import RunDirectory

Task = Literal["produce", "forecast"]

_WORKER = "gatekeeper.cli.worker"

# What a Python process needs to start, find its packages, and draw progress. Nothing else is handed down.
_ALLOWED = frozenset(
    {
        "PATH", "HOME", "TMPDIR", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR",
        "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES",
    }
)  # fmt: skip


# Threads that spin while they wait make two processes on the same cores ten times slower, not twice.
_DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE"}


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that the child may see."""
    allowed = {name: value for name, value in environment.items() if name in _ALLOWED or name.startswith("LC_")}
    return {**_DEFAULTS, **allowed}


def run_private_part(run: RunDirectory, task: Task, *, quiet: bool = False) -> None:
    """Run one task in a child process; its results lie in the run directory afterwards.

    Args:
        run: where policy and candidate lie, and results go.
        task: `produce` the evidence, or `forecast` the run.
        quiet: whether to draw no progress.

    Raises:
        PrivatePartError: the child reported an error, with its own message and exit code.
        InternalError: the child died without a word.
    """
    command = [sys.executable, "-m", _WORKER, task, str(run.path), *(["--quiet"] if quiet else [])]
    with subprocess.Popen(command, env=harmless(os.environ), stdin=subprocess.DEVNULL) as child:
        try:
            code = child.wait()
        except BaseException:
            # Interrupted: the child must not go on training unseen.
            child.terminate()
            child.wait()
            raise
    if code == 0:
        return
    failure = run.read_failure()
    if failure is not None:
        raise PrivatePartError(
            code=failure.code,
            message=failure.message,
            where=failure.where,
            hint=failure.hint,
            exit_code=failure.exit_code,
        )
    if code == -signal.SIGINT or code == 130:
        raise KeyboardInterrupt
    raise InternalError(_last_words(code), where=str(run.path))


def _last_words(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"the training process was killed by {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    return f"the training process ended with exit code {code}; its own message is above"
