"""The vault of a training: private files below its run directory, each on the disk when the method has returned."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from gatekeeper.errors import RunDirectoryError
from gatekeeper.rundir import disk_errors, write_atomically

_LOCK = "lock"


class RunVault:
    """See `core.resumption.Vault`; made by `open_vault`. What the disk refuses is a `RunDirectoryError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        path = self._directory / name
        with disk_errors(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write a file that appears whole or not at all."""
        path = self._directory / name
        with disk_errors(path):
            write_atomically(path, content)

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file; a process that dies may leave a part of it."""
        path = self._directory / name
        if not os.path.lexists(path):
            self.write(name, b"")
        with disk_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def keep(self, names: Collection[str]) -> None:
        """Remove every other file."""
        with disk_errors(self._directory):
            for path in self._directory.iterdir():
                if path.name not in (*names, _LOCK):
                    path.unlink()


@contextlib.contextmanager
def open_vault(directory: Path) -> Iterator[RunVault]:
    """The vault in a directory, made where there is none, and held for this process alone.

    The run's lock is the parent's. Should that die and another process go on with the run at once, this lock keeps the
    two trainings apart.

    Raises:
        RunDirectoryError: another process trains here.
    """
    with disk_errors(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunDirectoryError("another process trains in this run", where=str(directory)) from error
        yield RunVault(directory)
    finally:
        os.close(descriptor)
