"""MedMNIST archives (.npz): the 2-D sets with one label an image.

J. Yang et al., "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image classification",
Scientific Data 10, 41, 2023. An archive holds `train_`, `val_` and `test_` `images` and `labels`.

Design note: `train` is trained on and `test` is judged on. `val` is left out, and the data set's name says so: nothing
here selects models by it, and adding it to the training side would make the results another benchmark's.
A second split over all images is refused, because the archive's authors divided by patients that the file doesn't name.

The archive is not trusted: nothing is unpickled, and sizes are checked before memory is taken (the zip
directory's, and those that the arrays' own headers declare, must agree).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.files import existing
from gatekeeper.data.images import MAX_TOTAL_BYTES, check_total_bytes, to_pixels
from gatekeeper.data.records import ImageTable, Side, check_columns, closest
from gatekeeper.errors import DataError

_SIDES: tuple[Side, Side] = ("train", "test")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DEFLATE_RATIO = 1032
_MALFORMED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError)


def read(spec: DataSpec) -> ImageTable:
    """Read the training and test parts; each image is its own unit.

    Raises:
        DataError: the file is not such an archive, is malformed or unpacks into too much, holds 3-D images, several
            labels an image or pixels that are not 8-bit, or the specification asks for a column that there isn't.
    """
    assert spec.path is not None
    path = existing(spec.path)
    check_columns(spec, offered=("image",), label="label", where=spec.path)
    arrays = _read_arrays(path)
    images, labels, names, sides = [], [], [], []
    for side in _SIDES:
        own = _pixels(arrays[f"{side}_images"], spec, where=f"{path}:{side}_images")
        images.append(own)
        labels += _labels(arrays[f"{side}_labels"], count=len(own), where=f"{path}:{side}_labels")
        names += [f"{side}-{row:06d}" for row in range(len(own))]
        sides += [side] * len(own)
    if images[0].shape[1:] != images[1].shape[1:]:
        raise DataError(
            f"training images are {images[0].shape[1:]}, test images {images[1].shape[1:]}",
            where=spec.path,
            hint="set data.image_size and data.channels",
        )
    return ImageTable(
        name=f"{path.stem}, without its validation part" if "val_images" in _members(path) else path.stem,
        source=spec.path,
        images=np.concatenate(images),
        image_names=tuple(names),
        labels=tuple(labels),
        units=tuple(names),
        groups=tuple(names),
        sides=tuple(sides),
        stored_shapes=tuple(shape for side in _SIDES for shape in _stored_shapes(arrays[f"{side}_images"])),
    )


def _stored_shapes(images: NDArray[np.generic]) -> list[tuple[int, ...]]:
    channels = images.shape[3] if images.ndim == 4 else 1
    return [(channels, *images.shape[1:3])] * len(images)


def _members(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except _MALFORMED as error:
        raise _malformed(path, error) from error


def _read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    wanted = tuple(f"{side}_{kind}" for side in _SIDES for kind in ("images", "labels"))
    there = _members(path)
    for name in wanted:
        if there.count(name) != 1:
            found = "more than one" if name in there else "no"
            raise DataError(f"the archive has {found} array {name!r}", where=str(path), hint=closest(name, there))
    with zipfile.ZipFile(path) as archive:
        _check_sizes([archive.getinfo(f"{name}.npy") for name in wanted], path)
        return {name: _read_array(archive, name, path) for name in wanted}


def _check_sizes(members: list[zipfile.ZipInfo], path: Path) -> None:
    total = sum(member.file_size for member in members)
    # Deflate's format allows no more: a directory that promises it is lying (RFC 1951).
    if total > MAX_TOTAL_BYTES or any(m.file_size > _DEFLATE_RATIO * (m.compress_size + 1) for m in members):
        raise DataError(
            f"the archive unpacks into {total} bytes, more than {MAX_TOTAL_BYTES} or {_DEFLATE_RATIO} times its size",
            where=str(path),
            hint="use the archive of a smaller image size",
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
            raise DataError(
                f"the array {member.filename} is encrypted or compressed in an unknown way",
                where=str(path),
                hint="write the archive with numpy.savez or numpy.savez_compressed",
            )


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[np.generic]:
    try:
        with archive.open(f"{name}.npy") as stream:
            declared = _declared_bytes(stream)
        size = archive.getinfo(f"{name}.npy").file_size
        if declared != size:
            raise DataError(
                f"the array {name} declares {declared} bytes and the archive stores {size}",
                where=str(path),
                hint="the archive is corrupt, or made to exhaust memory; get it again from its source",
            )
        with archive.open(f"{name}.npy") as stream:
            array: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except _MALFORMED as error:
        raise _malformed(path, error) from error


def _declared_bytes(stream: IO[bytes]) -> int:
    """How long the .npy member must be by its own header: NEP 1, versions 1.0 and 2.0."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"unsupported .npy version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("the array holds Python objects, which are never unpickled")
    size = dtype.itemsize
    for side in shape:  # Python integers: NumPy's product would overflow
        size *= side
    return stream.tell() + size


def _pixels(array: NDArray[np.generic], spec: DataSpec, *, where: str) -> NDArray[np.uint8]:
    """As uint8 of shape (images, channels, height, width)."""
    if array.dtype != np.uint8:
        raise DataError(f"pixels must be uint8, got {array.dtype}", where=where, hint="convert them to 8 bits")
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)) or 0 in array.shape:
        raise DataError(
            f"images must have the shape (n, height, width) or (n, height, width, 3), got {array.shape}",
            where=where,
            hint="3-D sets and empty ones can't be used",
        )
    images = array.astype(np.uint8, copy=False)
    kept = spec.image_size in (None, images.shape[1:3])
    if kept and spec.channels in (None, 3 if images.ndim == 4 else 1):
        return images[:, np.newaxis] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    height, width = spec.image_size or images.shape[1:3]
    check_total_bytes(len(images) * height * width * 3, source=where)
    return np.stack(
        [to_pixels(Image.fromarray(pixels), image_size=spec.image_size, channels=spec.channels) for pixels in images]
    )


def _labels(array: NDArray[np.generic], *, count: int, where: str) -> list[str]:
    if array.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers, got {array.dtype}", where=where)
    if array.shape not in ((count,), (count, 1)):
        raise DataError(
            f"labels must have the shape ({count}, 1), got {array.shape}",
            where=where,
            hint="sets with several labels an image can't be used",
        )
    return [str(label) for label in array.ravel().tolist()]


def _malformed(path: Path, error: BaseException) -> DataError:
    return DataError(
        f"the archive can't be read ({error})", where=str(path), hint="get it again; it must be a MedMNIST .npz file"
    )
