"""Where pixels lie: in memory while they are few, in files of this user's alone once they are many.

Two kinds of file, both in a private folder (mode 0700):

- a spool has no name: it is gone when the process ends, however it ends;
- a kept file holds what decoding yielded, so that it isn't done again. Its name is a digest of what was decoded and
  how, and a digest of the pixels, which is checked before they are used. It gets its name when it is whole.

Both are mapped into memory: the system reads what is used, and forgets it when memory is short. What is in a map can't
be written, but by the reader that a `blank` was made for, until the images are divided.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gatekeeper.errors import DataError

LARGE_BYTES = 64 * 2**20
"""From this size on, pixels lie in a file where there is a store."""

_BLOCK_BYTES = 4 * 2**20
_NAME = re.compile(r"(?P<key>[0-9a-f]{64})-(?P<content>[0-9a-f]{64})\.pixels")

Rows = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """A private folder of pixels.

    Attributes:
        folder: the folder; it belongs to this user alone.
    """

    folder: Path

    @property
    def free_bytes(self) -> int:
        """What the disk has left."""
        return shutil.disk_usage(self.folder).free

    def spooled(self, rows: Rows, *, row_shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Blocks of rows of a shape, one after another, as one read-only array in a file without a name."""
        with _disk_errors(self.folder), tempfile.TemporaryFile(dir=self.folder) as file:
            for block in rows:
                file.write(np.ascontiguousarray(block).data)
            return _mapped(file, (file.tell() // math.prod(row_shape), *row_shape))

    def kept(self, key: str, *, shape: tuple[int, ...], make: Callable[[], Rows]) -> NDArray[np.uint8]:
        """The array that `make` yields blocks of, from an earlier time where there is one.

        Args:
            key: hex SHA-256 of everything that the pixels depend on.
            shape: of the whole array.
            make: yields blocks of rows.
        """
        with _disk_errors(self.folder):
            for path in self.folder.glob(f"{key}-*.pixels"):
                found = _verified(path, shape)
                if found is not None:
                    return found
                path.unlink(missing_ok=True)
            return self._keep(key, shape=shape, rows=make())

    def _keep(self, key: str, *, shape: tuple[int, ...], rows: Rows) -> NDArray[np.uint8]:
        self._remove_left_behind()
        partial = self.folder / f".{secrets.token_hex(8)}.partial"
        digest = hashlib.sha256()
        try:
            with open(partial, "x+b", opener=_for_the_owner_alone) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for block in rows:
                    content = np.ascontiguousarray(block).data
                    digest.update(content)
                    file.write(content)
                pixels = _mapped(file, shape)
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):  # `runs prune --cache` meanwhile: what is mapped stays ours
                os.replace(partial, self.folder / f"{key}-{digest.hexdigest()}.pixels")
        finally:
            partial.unlink(missing_ok=True)
        return pixels

    def _remove_left_behind(self) -> None:
        """Remove what processes that were killed had not finished: nobody holds a lock on it any more."""
        for partial in self.folder.glob(".*.partial"):
            with contextlib.suppress(OSError), open(partial, "rb", opener=_without_links) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


_STORE: ContextVar[Store | None] = ContextVar("store", default=None)


@contextlib.contextmanager
def storing_in(folder: Path | None) -> Iterator[None]:
    """Have readers put large images into `folder`; None keeps all in memory."""
    token = _STORE.set(None if folder is None else Store(folder=folder))
    try:
        yield
    finally:
        _STORE.reset(token)


def store_for(size: int) -> Store | None:
    """Where `size` bytes of pixels go, a folder that is made where it is missing; None is the memory.

    Raises:
        DataError: the folder can't be made, is a link, or is open to others than this user.
    """
    store = _STORE.get() if size >= LARGE_BYTES else None
    if store is not None:
        _make_private(store.folder)
    return store


def stacked(rows: Rows, *, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Blocks of rows, one after another, as one array of `shape`: in memory, or in a file where they are large."""
    store = store_for(math.prod(shape))
    if store is not None:
        return store.spooled(rows, row_shape=shape[1:])
    whole, start = np.empty(shape, dtype=np.uint8), 0
    for block in rows:
        whole[start : start + len(block)] = block
        start += len(block)
    return whole


def blank(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array of `shape` to be filled in: in memory, or in a file without a name where it is large."""
    store = store_for(math.prod(shape))
    if store is None:
        return np.empty(shape, dtype=np.uint8)
    with _disk_errors(store.folder), tempfile.TemporaryFile(dir=store.folder) as file:
        _take_room(file, math.prod(shape))
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape).view(np.ndarray)


def collected(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images of one shape, at least one, as one array; how many there are shows only at the end."""
    few: list[NDArray[np.uint8]] = []
    coming = iter(images)
    for image in coming:
        few.append(image[np.newaxis])
        store = store_for(len(few) * image.nbytes)
        if store is not None:
            rest = (later[np.newaxis] for later in coming)
            return store.spooled(itertools.chain(few, rest), row_shape=image.shape)
    return np.concatenate(few)


def gathered(images: NDArray[np.uint8], rows: list[int]) -> NDArray[np.uint8]:
    """`images[rows]`, in a file where that is large."""
    shape = (len(rows), *images.shape[1:])
    parts = blocks(len(rows), row_bytes=math.prod(shape[1:]))
    return stacked((images[rows[part]] for part in parts), shape=shape)


def blocks(count: int, *, row_bytes: int) -> Iterator[slice]:
    """Slices of `count` rows, each of a few megabytes and at least one row."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _take_room(file: IO[bytes], size: int) -> None:
    """Have the disk set `size` bytes aside now: a map into a disk that fills up later ends the process by a signal."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for part in blocks(size, row_bytes=1):
        file.write(bytes(part.stop - part.start))
    file.flush()


def _mapped(file: IO[bytes], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    file.flush()
    size = os.fstat(file.fileno()).st_size
    assert size == math.prod(shape), f"{size} bytes for {shape}"
    return np.memmap(file, dtype=np.uint8, mode="r", shape=shape).view(np.ndarray)


def _verified(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The pixels of a kept file; None where they are not those that were written."""
    match = _NAME.fullmatch(path.name)
    if match is None or path.is_symlink():
        return None
    with open(path, "rb", opener=_without_links) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != math.prod(shape):
            return None
        pixels = _mapped(file, shape)
        found = hashlib.sha256()
        for part in blocks(len(pixels), row_bytes=math.prod(shape[1:])):
            found.update(pixels[part].data)
    return pixels if found.hexdigest() == match["content"] else None


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _make_private(folder: Path) -> None:
    with _disk_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise DataError(
            "decoded images are kept in a folder of this user's alone, and this is none",
            where=str(folder),
            hint=f"remove it, or: chmod 700 {folder}",
        )


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"decoded images can't be kept: {error.strerror}",
            where=str(folder),
            hint="free some disk, or remove what is kept: gatekeeper runs prune --cache",
        ) from error
