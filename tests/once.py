"""What takes long to make and is never changed is made once for all of the processes that share a test run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A directory of the whole test run; the first process that asks for it fills it, and the others wait.

    Args:
        factory: of the test run; processes of pytest-xdist have their own below that of the run.
        name: of the directory, unique in the run.
        make: fills the empty directory.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path, made = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(path, ignore_errors=True)  # what another process began and didn't finish
            path.mkdir()
            make(path)
            made.touch()
    return path
