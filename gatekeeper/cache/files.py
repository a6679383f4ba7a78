"""Reading a file that somebody else may have put there: itself and no link, once, and no more than fits in memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gatekeeper.errors import CacheError


def read_regular(path: Path, *, most: int, private: bool = False) -> bytes | None:
    """The content of a regular file, or None where there is nothing.

    Args:
        path: the file; a link is not followed, and a pipe does not block.
        most: bytes.
        private: whether it must be closed to others than its owner.

    Raises:
        CacheError: it is a link, no regular file, too large, open to others, or can't be read.
    """
    try:
        with open(path, "rb", opener=_itself) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CacheError("is not a regular file", where=str(path))
            if private and status.st_mode & 0o077:
                raise CacheError(
                    f"is open to others than its owner (mode {stat.S_IMODE(status.st_mode):04o})",
                    where=str(path),
                    hint=f"chmod 600 {path}",
                )
            content = file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "is a link" if path.is_symlink() else f"can't be read: {error.strerror}"
        raise CacheError(reason, where=str(path)) from error
    if len(content) > most:
        raise CacheError(f"is larger than {most} bytes", where=str(path))
    return content


def _itself(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
