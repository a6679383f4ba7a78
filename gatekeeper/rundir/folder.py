"""A directory that one user alone can read, and whose files appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.errors import RunDirectoryError


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, and survives a loss of power."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Put a directory's names on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_links_no_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """What the operating system refuses, as an error that names the place."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(where)
        raise RunDirectoryError(f"can't be read or written: {error.strerror}", where=place) from error


class PrivateFolder:
    """The directory of one run, whatever its files mean.

    Args:
        path: the directory; it must exist, be a real directory, and belong to this user alone.

    Raises:
        RunDirectoryError: it does not. Every method raises it too where the disk does not do what is asked.
    """

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            status = path.lstat() if os.path.lexists(path) else None
        if status is None or not stat.S_ISDIR(status.st_mode):
            problem = "there is no such run directory" if status is None else "is no directory of its own"
            raise RunDirectoryError(problem, where=str(path), hint="give a path that `gatekeeper runs list` prints")
        if status.st_uid != os.geteuid():
            raise RunDirectoryError(
                f"belongs to another user (uid {status.st_uid})", where=str(path), hint="work as that user"
            )
        if status.st_mode & 0o077:
            hint = f"give a path that `gatekeeper runs list` prints; if it is one: chmod 700 {path}"
            raise RunDirectoryError("others can read it, and a run is private", where=str(path), hint=hint)
        self.path = path

    def has(self, name: str) -> bool:
        """Whether the run got as far as this file."""
        return os.path.lexists(self.path / name)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run directory for this process.

        Raises:
            RunDirectoryError: another process holds it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with disk_errors(self.path):
            descriptor = os.open(self.path / "lock", flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunDirectoryError("another process is working on this run", where=str(self.path)) from error
            yield
        finally:
            os.close(descriptor)

    def wait(self) -> None:
        """Wait until no process holds the run directory."""
        with disk_errors(self.path):
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)

    def read_text(self, name: str) -> str:
        """One of the run's small text files."""
        return self._content(name).decode("utf-8", "replace")

    def write_text(self, name: str, text: str) -> None:
        """Write one of the run's small text files."""
        with disk_errors(self.path):
            write_atomically(self.path / name, text.encode())

    def delete(self) -> None:
        """Remove the run and everything in it."""
        with disk_errors(self.path):
            shutil.rmtree(self.path)

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[io.BufferedReader]:
        """A regular file of this run; a link is not followed, and a pipe does not block."""
        path = self.path / name
        with disk_errors(path), open(path, "rb", opener=_no_links_no_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunDirectoryError("is not a regular file", where=str(path))
            yield file

    def _content(self, name: str) -> bytes:
        if not self.has(name):
            raise RunDirectoryError(
                f"the run has no {name}: it did not get that far", where=str(self.path), hint="certify again"
            )
        with self._open(name) as file:
            return file.read()
