"""Where runs keep what they decode of large data sets (`gatekeeper.data.store`), and how it is removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gatekeeper.errors import RunDirectoryError
from gatekeeper.rundir import RunDirectory, disk_errors


def image_cache(run: RunDirectory) -> Path:
    """The private folder that a run shares with those beside it."""
    return _beside(run.path.parent)


def remove_image_cache(runs: Path) -> Path | None:
    """Remove what the runs below `runs` keep of decoded images; the folder, or None where there was none.

    Runs that go on lose nothing: what they have open stays theirs until they end.

    Raises:
        RunDirectoryError: it is a link, or can't be removed.
    """
    folder = _beside(runs)
    with disk_errors(folder):
        if not os.path.lexists(folder):
            return None
        if folder.is_symlink():
            raise RunDirectoryError("is a link, and nothing is removed through links", where=str(folder))
        shutil.rmtree(folder)
    return folder


def _beside(runs: Path) -> Path:
    return runs / "cache"
