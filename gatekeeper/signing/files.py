"""Reading a directory that somebody else may have written: regular files only, no link followed, no surprise.

Symbolic links, hard links and special files are refused, because what they show can change after it was
checked, or lies outside the directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from gatekeeper.core.certificate import FileDigest
from gatekeeper.errors import VerificationError

# Everything but the model is text of a few hundred kilobytes at most; it is read whole, up to this size.
MAX_TEXT_FILE = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """What lies below a directory.

    Attributes:
        files: relative path of each regular file, with `/`, in code point order.
        directories: the same of each directory.
    """

    files: tuple[str, ...]
    directories: tuple[str, ...]


def shown(name: str) -> str:
    """A name that came from outside, safe to print."""
    return name if name.isprintable() else ascii(name)


def place(directory: Path, name: str) -> str:
    """A file of the directory, as errors name it."""
    return f"{directory}/{shown(name)}"


def list_tree(directory: Path) -> Tree:
    """Every file and directory below `directory`.

    Raises:
        VerificationError: it is no directory, or holds a symbolic link, a hard link, a special file or a
            name that is not UTF-8.
    """
    files: list[str] = []
    directories: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        for name, status in _entries(directory, prefix):
            if stat.S_ISDIR(status.st_mode):
                directories.append(name)
                pending.append(name + "/")
            else:
                _check_plain(status, where=place(directory, name))
                files.append(name)
    return Tree(files=tuple(sorted(files)), directories=tuple(sorted(directories)))


def _entries(directory: Path, prefix: str) -> list[tuple[str, os.stat_result]]:
    """Relative name and status of each entry of one directory; links are not followed."""
    try:
        with os.scandir(directory / prefix) as found:
            entries = [(prefix + entry.name, entry.stat(follow_symlinks=False)) for entry in found]
    except OSError as error:
        raise VerificationError(
            f"can't be read as a directory: {error.strerror}",
            where=place(directory, prefix).rstrip("/"),
            hint="give the directory of a whole release, which you can read",
        ) from error
    for name, _ in entries:
        if not name.isprintable():
            raise VerificationError(
                "the name holds characters that can't be printed", where=place(directory, name), hint="remove the file"
            )
    return entries


def _check_plain(status: os.stat_result, *, where: str) -> None:
    """Refuse whatever is not a regular file with a single name."""
    if stat.S_ISLNK(status.st_mode):
        raise VerificationError("is a symbolic link", where=where, hint="a release holds regular files only")
    if not stat.S_ISREG(status.st_mode):
        raise VerificationError("is not a regular file", where=where, hint="a release holds regular files only")
    if status.st_nlink > 1:
        raise VerificationError(
            f"is a hard link ({status.st_nlink} names for one file)",
            where=where,
            hint="copy the release with a tool that does not hard-link",
        )


def _no_follow(path: str, flags: int) -> int:
    """Open the file itself, never what a link points to, and never wait for a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextmanager
def _opened(directory: Path, name: str) -> Iterator[BufferedReader]:
    """A regular file of the directory, checked after it was opened so that it can't be exchanged between."""
    where = place(directory, name)
    try:
        with open(directory / name, "rb", opener=_no_follow) as file:
            _check_plain(os.fstat(file.fileno()), where=where)
            yield file
    except FileNotFoundError as error:
        raise VerificationError("is missing", where=where, hint="get the whole release from its signer") from error
    except OSError as error:
        raise VerificationError(f"can't be read: {error.strerror}", where=where) from error


def read_file(directory: Path, name: str, *, most: int = MAX_TEXT_FILE) -> bytes:
    """The content of a text file of the directory, at most `most` bytes.

    Raises:
        VerificationError: it is missing, is not a regular file, is too large, or can't be read.
    """
    with _opened(directory, name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise VerificationError(f"is larger than {most} bytes", where=place(directory, name))
    return content


def digest_file(directory: Path, name: str) -> FileDigest:
    """SHA-256 and size in bytes of a file of the directory, of any size.

    Raises:
        VerificationError: it is missing, is not a regular file, or can't be read.
    """
    with _opened(directory, name) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return FileDigest(name=name, sha256=sha256, size=file.tell())
