"""A file that holds a new secret: its owner's alone, made once, and whole from the moment it has its name."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_once(path: Path, text: str) -> None:
    """Write `text` to a new file, mode 0600, and push it to the disk; a file that is there already stays as it is.

    Two processes that begin in the same moment both find the file of one of them, and never half a file.

    Args:
        path: the file; its folder exists.
        text: ASCII.

    Raises:
        OSError: the file can't be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
