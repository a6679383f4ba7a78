"""MedMNIST archives (.npz): the 2-D sets with one label an image.

J. Yang et al., "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image classification",
Scientific Data 10, 41, 2023. An archive holds `train_`, `val_` and `test_` `images` and `labels`.

Design note: `train` is trained on and `test` is judged on. `val` is left out, and the data set's name says so: nothing
here selects models by it, and adding it to the training side would make the results another benchmark's.
A second split over all images is refused, because the archive's authors divided by patients that the file doesn't name.

The archive is not trusted: see `archives`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.archives import members, read_archive
from gatekeeper.data.files import existing
from gatekeeper.data.images import check_total_bytes, to_pixels
from gatekeeper.data.records import ImageTable, Side, check_columns
from gatekeeper.data.store import blocks, stacked
from gatekeeper.errors import DataError

_SIDES: tuple[Side, Side] = ("train", "test")
_WANTED = tuple(f"{side}_{kind}" for side in _SIDES for kind in ("images", "labels"))
_WHAT = "it must be a MedMNIST .npz file"


def read(spec: DataSpec) -> ImageTable:
    """Read the training and test parts; each image is its own unit.

    Raises:
        DataError: the file is not such an archive, is malformed or unpacks into too much, holds 3-D images, several
            labels an image or pixels that are not 8-bit, or the specification asks for a column that there isn't.
    """
    assert spec.path is not None
    path = existing(spec.path)
    check_columns(spec, offered=("image",), label="label", where=spec.path)
    arrays = read_archive(path, _WANTED, what=_WHAT)
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
        name=f"{path.stem}, without its validation part" if "val_images" in members(path, what=_WHAT) else path.stem,
        source=spec.path,
        images=stacked(_all_blocks(images), shape=(len(names), *images[0].shape[1:])),
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
    first = to_pixels(Image.fromarray(images[0]), image_size=spec.image_size, channels=spec.channels)
    converted = (
        to_pixels(Image.fromarray(pixels), image_size=spec.image_size, channels=spec.channels)[np.newaxis]
        for pixels in images
    )
    return stacked(converted, shape=(len(images), *first.shape))


def _all_blocks(sides: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    for side in sides:
        for part in blocks(len(side), row_bytes=math.prod(side.shape[1:])):
            yield side[part]


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
