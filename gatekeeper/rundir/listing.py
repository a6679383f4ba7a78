"""Which run directories there are."""

from __future__ import annotations

import re
from pathlib import Path

from gatekeeper.errors import RunDirectoryError
from gatekeeper.rundir.folder import disk_errors
from gatekeeper.rundir.run import RunDirectory

_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9._-]{1,40}-[0-9a-f]{6}")


def list_runs(root: Path) -> tuple[Path, ...]:
    """Every directory below `root` that has the name of a run, oldest first; what it holds is not looked at."""
    with disk_errors(root):
        if not root.is_dir():
            return ()
        named = (path for path in sorted(root.iterdir()) if _RUN_ID.fullmatch(path.name))
        return tuple(path for path in named if path.is_dir() and not path.is_symlink())


def prunable(path: Path) -> RunDirectory:
    """A run directory that is certain to be one, so that nothing else is ever deleted.

    Raises:
        RunDirectoryError: its name, owner, mode, policy or salt is not a run's.
    """
    if not _RUN_ID.fullmatch(path.name):
        raise RunDirectoryError("has not the name of a run", where=str(path))
    run = RunDirectory(path)
    run.read_policy()
    _ = run.salt
    return run
