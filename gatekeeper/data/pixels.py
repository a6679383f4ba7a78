"""Arrays of any kind → 8-bit pixels with the channels first, or an error that says which value stands in the way.

| values | become |
| --- | --- |
| uint8 | what they are |
| floats in [0, 1] | 255 times as much, rounded to the nearest |
| numbers, with a window | low and what is below it 0, high and what is above it 255, evenly between |
| anything else, and what is not finite | refused |

| one image's shape | is |
| --- | --- |
| height, width | grey |
| height, width, 1 or 3 | grey or colour |
| depth, height, width | a grey volume |
| depth, height, width, 1 or 3 | a grey volume, or one of colour |

An array that ends in 1 or 3 has channels there: a volume of that width needs an axis of channels besides. One that
begins so is refused unless it ends so too: its channels may be first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.images import check_total_bytes, to_pixels
from gatekeeper.data.store import blocks, stacked
from gatekeeper.errors import DataError

_CHANNELS = (1, 3)
_WINDOW_HINT = "declare data.window, [the value that becomes 0, the value that becomes 255], or store uint8"


def all_pixels(array: NDArray[np.generic], spec: DataSpec, *, where: str) -> NDArray[np.uint8]:
    """Every image of an array.

    Args:
        array: shape (images, …); see above.
        spec: its window, image_size and channels.
        where: file and array, for messages.

    Returns:
        Pixels, uint8, shape (images, channels, *spatial).

    Raises:
        DataError: shape, type or a value is none of those above, or they need too much memory.
    """
    if array.ndim < 3 or 0 in array.shape:
        raise DataError(
            f"images must have the shape (images, height, width, …), got {array.shape}",
            where=where,
            hint="the first axis counts the images; there must be at least one",
        )
    first = image_pixels(array[0], spec, where=f"{where}[0]")
    shape = (len(array), *first.shape)
    check_total_bytes(math.prod(shape), source=where)
    return stacked(_converted(array, spec, where=where), shape=shape)


def image_pixels(image: NDArray[np.generic], spec: DataSpec, *, where: str) -> NDArray[np.uint8]:
    """One image, shape (channels, *spatial); for the arguments and errors see `all_pixels`."""
    return _arranged(to_8_bits(image, window=spec.window, where=where), spec, where=where)


def to_8_bits(array: NDArray[np.generic], *, window: tuple[float, float] | None, where: str) -> NDArray[np.uint8]:
    """The same values as uint8.

    Raises:
        DataError: they are of a kind that the first table above refuses.
    """
    if array.dtype == np.uint8 and window is None:
        return array.astype(np.uint8, copy=False)
    if array.dtype.kind not in "fiu":
        raise DataError(f"pixels must be numbers, got {array.dtype}", where=where, hint="store them as uint8")
    if array.dtype.kind != "f" and window is None:
        raise DataError(
            f"pixels are {array.dtype}, and no window says what is 0 and 255", where=where, hint=_WINDOW_HINT
        )
    values = array.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        place = _first(~finite)
        raise DataError(
            f"the pixel at {place} is {values[place]}", where=where, hint="correct it, or leave the image out"
        )
    low, high = window or (0.0, 1.0)
    outside = (values < low) | (values > high)
    if window is None and outside.any():
        place = _first(outside)
        raise DataError(f"the pixel at {place} is {values[place]:g}, outside of [0, 1]", where=where, hint=_WINDOW_HINT)
    shares = (np.clip(values, low, high) - low) / (high - low)
    rounded: NDArray[np.uint8] = np.floor(255 * shares + 0.5).astype(np.uint8)
    return rounded


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))


def _converted(array: NDArray[np.generic], spec: DataSpec, *, where: str) -> Iterator[NDArray[np.uint8]]:
    row_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
    if spec.window is None and array.dtype == np.uint8 and _as_stored(array.shape[1:], spec):
        for part in blocks(len(array), row_bytes=row_bytes):
            yield _channels_first(array[part].astype(np.uint8, copy=False))
        return
    for row, image in enumerate(array):
        yield image_pixels(image, spec, where=f"{where}[{row}]")[np.newaxis]


def _has_channels(shape: tuple[int, ...]) -> bool:
    """Whether the last axis of one image's shape is that of its channels."""
    return len(shape) in (3, 4) and shape[-1] in _CHANNELS


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.moveaxis(images, -1, 1) if _has_channels(images.shape[1:]) else images[:, np.newaxis]


def _as_stored(shape: tuple[int, ...], spec: DataSpec) -> bool:
    """Whether no pixel has to change."""
    channels = shape[-1] if _has_channels(shape) else 1
    return spec.image_size is None and spec.channels in (None, channels)


def _arranged(image: NDArray[np.uint8], spec: DataSpec, *, where: str) -> NDArray[np.uint8]:
    spatial = image.ndim - _has_channels(image.shape)
    if spatial not in (2, 3):
        raise DataError(
            f"an image must have two or three axes besides its channels, got the shape {image.shape}",
            where=where,
            hint="channels are the last axis, 1 or 3 of them",
        )
    if image.ndim == 3 and image.shape[0] in _CHANNELS and not _has_channels(image.shape):
        raise DataError(
            f"an image of shape {image.shape} has its channels first, or is a volume of {image.shape[0]} slices",
            where=where,
            hint="put channels last, as numpy.moveaxis(images, 1, -1) does; give such a volume an axis of 1 channel",
        )
    if _as_stored(image.shape, spec):
        stored: NDArray[np.uint8] = _channels_first(image[np.newaxis])[0]
        return stored
    if spatial == 3:
        raise DataError(
            f"a volume of shape {image.shape} is taken as it is",
            where=where,
            hint="leave out data.image_size and data.channels, or convert the volumes before",
        )
    grey = image[..., 0] if image.shape[-1] == 1 and image.ndim == 3 else image
    return to_pixels(Image.fromarray(grey), image_size=spec.image_size, channels=spec.channels)
