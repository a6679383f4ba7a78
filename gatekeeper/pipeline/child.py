"""Runs the private part in a child process that has no key, no passphrase and no secret of the environment.

The child gets a short list of harmless variables and no standard input; it writes what it found into the
run directory, and the parent reads it there. Data, networks and attacks are the child's; the key is the
parent's, which opens it only for an approval.

What this protects: the child imports nothing from the current directory or from PYTHONPATH (`python -P`, so
gatekeeper must be installed); it inherits neither the passphrase nor a descriptor; its process group is
killed when it has ended, so what it started there does not go on while its results are judged; where we are
interrupted it is asked to stop, finishes its step and keeps its weights, and is killed if that takes long; a failure
that it reports can't look like a verdict; and on Linux the parent is not dumpable, so that
`/proc/<parent>/environ` and `/proc/<parent>/mem` are closed to a child that is not root.

What it does not protect: the child is the same user. Hostile code in it can read the file of the key (which
is encrypted, but its passphrase may be weak), change the candidate's and this user's other files, leave its
process group, and, as root, read the parent. The current directory still comes first where the parent itself
was started by `python -m gatekeeper`; the `gatekeeper` command has no such path. So where a candidate is not
trusted, train as another user with `certify --no-sign`, and `sign` where the key is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from gatekeeper.core.device import DeviceChoice
from gatekeeper.errors import InternalError, PrivatePartError, RunDirectoryError
from gatekeeper.pipeline.place import LOOPBACK, VARIABLES
from gatekeeper.rundir import FAILURE_EXIT_CODES, Failure, RunDirectory

Task = Literal["plan", "plan-beyond", "produce", "produce-twin", "forecast", "annex", "describe"]

_WORKER = "gatekeeper.cli.worker"

# What a Python process needs to start, to draw progress and to find its siblings. Nothing else is handed down.
_ALLOWED = VARIABLES | frozenset(
    {
        "PATH", "HOME", "TMPDIR", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR",
        "PYTHONHASHSEED", "PYTHONWARNINGS", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES",
    }
)  # fmt: skip


# Threads that spin while they wait make two processes on the same cores ten times slower, not twice.
_DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE", **LOOPBACK}

# How long a child that was asked to stop may take: a step, and writing a checkpoint. A second interrupt doesn't wait.
PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05

_INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 130)

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that the child may see."""
    allowed = {name: value for name, value in environment.items() if name in _ALLOWED or name.startswith("LC_")}
    return {**_DEFAULTS, **allowed}


def run_private_part(run: RunDirectory, task: Task, *, quiet: bool = False, device: DeviceChoice = "auto") -> None:
    """Run one task in a child process; its results lie in the run directory afterwards, and it has ended.

    Args:
        run: where policy and candidate lie, and results go; the caller holds its lock.
        task: `plan` what the run will take (`plan-beyond`: also above the policy's ceiling, to be looked at), `produce`
            the evidence, `produce-twin` a model without privacy, `forecast` the run,
            draw the `annex` of its evidence, or `describe` the data.
        quiet: whether to draw no progress.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        PrivatePartError: the child reported an error, with its own message and exit code.
        InternalError: the child died without a word, or what it said is no failure.
        KeyboardInterrupt: this process or the child was interrupted.
    """
    _close_to_others()
    try:
        code = _run_group([*_command(task, str(run.path), device), *(["--quiet"] if quiet else [])])
    finally:
        run.remove_twin()
    if code == 0:
        return
    failure = _reported(run)
    if failure is not None:
        raise PrivatePartError(
            code=failure.code,
            message=failure.message,
            where=failure.where,
            hint=failure.hint,
            exit_code=failure.exit_code,
        )
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    raise InternalError(_last_words(code), where=str(run.path))


def run_assistant(*, device: DeviceChoice = "auto") -> int:
    """Run what the other processes of a `torchrun` do: a child that trains and attacks with the first one's.

    It is told the run's directory by the first one's child, and hands it on to us. If it fails, we end only when the
    first process has let go of the run: torchrun ends all processes as soon as one fails, and the first must have the
    time to tell the ledger.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Returns:
        The exit code: 0 where this process's share is done, whatever the verdict becomes.

    Raises:
        KeyboardInterrupt: this process or the child was interrupted.
    """
    _close_to_others()
    with tempfile.TemporaryFile() as heard:
        code = _run_group(_command("assist", "-", device), output=heard)
        heard.seek(0)
        path = heard.readline().decode().rstrip()
    if code == 0:
        return 0
    if path:
        RunDirectory(Path(path)).wait()
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    return code if code in FAILURE_EXIT_CODES else InternalError.exit_code


def _command(task: str, path: str, device: DeviceChoice) -> list[str]:
    return [sys.executable, "-P", "-m", _WORKER, task, path, str(os.getpid()), f"--device={device}"]


def _run_group(command: list[str], *, output: IO[bytes] | None = None) -> int:
    """The exit code of a process that leads a group of its own, of which nothing is left running."""
    environment = harmless(os.environ)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, start_new_session=True
    ) as child:
        try:
            # Left unreaped, so that its number, and with it the group's, can't be another's yet.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        except KeyboardInterrupt:
            _ask_to_stop(child.pid)
            raise
        finally:
            # Also where we are interrupted: the child must not go on training unseen.
            os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
    return code


def _ask_to_stop(pid: int) -> None:
    """Ask an unreaped child to stop of its own accord, and give it time."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(_POLL_SECONDS)


def _reported(run: RunDirectory) -> Failure | None:
    try:
        return run.read_failure()
    except RunDirectoryError as error:
        raise InternalError(f"the training process left a failure that is none: {error}") from error


def _last_words(code: int) -> str:
    if code < 0:
        reason = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the training process was killed by signal {-code}, {signal.strsignal(-code)}{reason}"
    return f"the training process ended with exit code {code}; its own message is above"


def _close_to_others() -> None:
    """Close this process's memory and initial environment to other processes of the same user (Linux).

    A variable that was taken out of `os.environ` is still in `/proc/<pid>/environ`: this closes that too.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even of SIGKILL (Linux).

    Args:
        parent: the process that started this one; if it is gone already, this one ends now.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(option, ctypes.c_ulong(argument), *[ctypes.c_ulong(0)] * 3) != 0:
        raise InternalError(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}")
