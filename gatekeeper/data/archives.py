"""Arrays from `.npy` files and `.npz` archives that are not trusted: nothing is unpickled, and no size is believed.

An archive's directory says how far each member unpacks; the member's own header says how long its array is. The two
must agree, must be possible for how much is stored, and must fit, all before memory is taken. What is unpacked then
ends at the size that was promised, whatever the stream goes on to yield.

Formats: NEP 1 (`.npy`, versions 1.0 and 2.0); ZIP, stored or deflated (RFC 1951).
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data import images
from gatekeeper.data.records import closest
from gatekeeper.data.store import store_for
from gatekeeper.errors import DataError

MALFORMED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError)

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DEFLATE_RATIO = 1032
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class NpyHeader:
    """What a `.npy` file says of its array.

    Attributes:
        shape: of the array.
        fortran: whether the first axis varies fastest.
        dtype: of its entries; never Python objects.
        start: where the entries begin, in bytes.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    start: int

    @property
    def array_bytes(self) -> int:
        """What the entries take: in Python's integers, since NumPy's would overflow."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def file_bytes(self) -> int:
        """How long the file must be."""
        return self.start + self.array_bytes


def read_header(stream: IO[bytes]) -> NpyHeader:
    """The header of a `.npy` file.

    Raises:
        ValueError: it is none, of an unknown version, or of Python objects.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"unsupported .npy version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("the array holds Python objects, which are never unpickled")
    return NpyHeader(shape=shape, fortran=fortran, dtype=dtype, start=stream.tell())


def members(path: Path, *, what: str) -> tuple[str, ...]:
    """The names of an archive's arrays.

    Raises:
        DataError: it is no archive; `what` says what it should be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except MALFORMED as error:
        raise malformed(path, error, what=what) from error


def read_archive(path: Path, wanted: tuple[str, ...], *, what: str) -> dict[str, NDArray[np.generic]]:
    """Some arrays of an archive; large ones lie in a file where there is a store.

    Args:
        path: the `.npz` file.
        wanted: their names.
        what: what the file should be, for messages.

    Raises:
        DataError: one is missing or there twice, holds Python objects, is malformed, or promises too much.
    """
    there = members(path, what=what)
    for name in wanted:
        if there.count(name) != 1:
            found = "more than one" if name in there else "no"
            raise DataError(f"the archive has {found} array {name!r}", where=str(path), hint=closest(name, there))
    with zipfile.ZipFile(path) as archive:
        try:
            infos = [archive.getinfo(f"{name}.npy") for name in wanted]
        except KeyError as error:
            raise malformed(path, ValueError(f"a member is not called NAME.npy: {error}"), what=what) from error
        check_sizes(infos, path)
        return {name: _read_member(archive, name, path, what=what) for name in wanted}


def check_sizes(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse members that promise more than there can be, or than fits.

    Raises:
        DataError: they do, or are stored in a way that NumPy never writes.
    """
    total = sum(member.file_size for member in infos)
    # Deflate's format allows no more: a directory that promises it is lying.
    if total > images.MAX_TOTAL_BYTES or any(m.file_size > _DEFLATE_RATIO * (m.compress_size + 1) for m in infos):
        raise DataError(
            f"the archive unpacks into {total} bytes, more than {images.MAX_TOTAL_BYTES} or {_DEFLATE_RATIO} times "
            "its size",
            where=str(path),
            hint="use the archive of a smaller image size, or arrays in files of their own (format numpy)",
        )
    for member in infos:
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
            raise DataError(
                f"the array {member.filename} is encrypted or compressed in an unknown way",
                where=str(path),
                hint="write the archive with numpy.savez or numpy.savez_compressed",
            )


def read_file(path: Path) -> NDArray[np.generic]:
    """The array of a `.npy` file, mapped into memory read-only.

    Raises:
        DataError: the file is missing, a link, no array, of Python objects, or not as long as its header says.
    """
    what = "it must be an array as numpy.save writes it"
    try:
        with open(path, "rb", opener=_waiting_for_nobody) as file:
            header, size = read_header(file), os.fstat(file.fileno()).st_size
            if size != header.file_bytes:
                raise DataError(
                    f"the array declares {header.file_bytes} bytes and the file has {size}",
                    where=str(path),
                    hint="the file is cut short or changed; write it again with numpy.save",
                )
            return _mapped(file, header) if header.array_bytes else np.empty(header.shape, dtype=header.dtype)
    except MALFORMED as error:
        raise malformed(path, error, what=what) from error


def malformed(path: Path, error: BaseException, *, what: str) -> DataError:
    """That a file can't be read, and what it should be."""
    message = getattr(error, "strerror", None) or error
    return DataError(f"the file can't be read ({message})", where=str(path), hint=f"get it again; {what}")


def _mapped(file: IO[bytes], header: NpyHeader) -> NDArray[np.generic]:
    content = np.memmap(file, dtype=np.uint8, mode="r", offset=header.start, shape=(header.array_bytes,))
    return _interpreted(content.view(np.ndarray), header)


def _interpreted(content: NDArray[np.uint8], header: NpyHeader) -> NDArray[np.generic]:
    """The entries of an array from their bytes."""
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return np.ndarray(header.shape, dtype=header.dtype, buffer=content.data, order=order)


def _waiting_for_nobody(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _read_member(archive: zipfile.ZipFile, name: str, path: Path, *, what: str) -> NDArray[np.generic]:
    try:
        with archive.open(f"{name}.npy") as stream:
            header, size = read_header(stream), archive.getinfo(f"{name}.npy").file_size
            if header.file_bytes != size:
                raise DataError(
                    f"the array {name} declares {header.file_bytes} bytes and the archive stores {size}",
                    where=str(path),
                    hint="the archive is corrupt, or made to exhaust memory; get it again from its source",
                )
            return _unpacked(stream, header)
    except MALFORMED as error:
        raise malformed(path, error, what=what) from error


def _unpacked(stream: IO[bytes], header: NpyHeader) -> NDArray[np.generic]:
    """The entries of a member, block by block: into memory, or into a file where they are large."""
    size = header.array_bytes
    store = store_for(size)
    if store is not None:
        rows = (np.frombuffer(block, dtype=np.uint8) for block in _blocks(stream, size))
        content = store.spooled(rows, row_shape=(1,)).reshape(size)
    else:
        content, start = np.empty(size, dtype=np.uint8), 0
        for block in _blocks(stream, size):
            content[start : start + len(block)] = np.frombuffer(block, dtype=np.uint8)
            start += len(block)
    return _interpreted(content, header)


def _blocks(stream: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left:
        block = stream.read(min(left, _BLOCK_BYTES))
        if not block:
            raise EOFError(f"{left} bytes are missing")
        left -= len(block)
        yield block
    stream.read(1)  # at its end the checksum is compared
