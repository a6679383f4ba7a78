"""Images and masks on another grid: the same field of view with other pixels, then cut or padded about the middle.

Along each axis `count` pixels of the file cover what `sides` pixels of the result cover: the centre of result pixel i
lies at (i + ½)·count/sides − ½. Images are interpolated linearly along one axis after the other (bilinear, trilinear);
beyond the outermost centres the outermost pixels go on. Where an axis is reduced, the triangle that weighs
pixels widens with the reduction, so that it averages instead of skipping. Masks take the nearest pixel. The
arithmetic is that of IEEE 754, in a fixed order, hence alike on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.windows import rounded
from gatekeeper.errors import DataError

_MAX_PIXELS = 2**29


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The grid that a scan is brought to.

    Attributes:
        resampled: pixels along each axis of the same field of view.
        size: pixels along each axis of the result, cut out of those or padded about them.
    """

    resampled: tuple[int, ...]
    size: tuple[int, ...]


def plan_grid(
    sides: tuple[int, ...],
    *,
    spacing: tuple[float, ...] | None,
    wanted: tuple[float, ...] | None,
    size: tuple[int, ...] | None,
    where: str,
) -> Grid:
    """The grid for a scan.

    Args:
        sides: its pixels along each axis.
        spacing: millimetres between them, or None where the file doesn't say.
        wanted: the spacing to resample to, or None.
        size: the size to resize to or, with a spacing, to cut and pad to; or None.
        where: the file, for messages.

    Raises:
        DataError: a spacing is wanted where the file has none, or it asks for too many pixels.
    """
    if wanted is None:
        return Grid(resampled=size or sides, size=size or sides)
    if spacing is None:
        raise DataError("the file doesn't say its spacing", where=where, hint="set data.scan.size without spacing")
    resampled = tuple(
        max(1, math.floor(side * have / want + 0.5)) for side, have, want in zip(sides, spacing, wanted, strict=True)
    )
    if math.prod(resampled) > _MAX_PIXELS:
        raise DataError(
            f"data.scan.spacing makes it {'×'.join(map(str, resampled))} pixels; the limit is {_MAX_PIXELS}",
            where=where,
            hint="ask for a larger spacing, in millimetres",
        )
    return Grid(resampled=resampled, size=size or resampled)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taps:
    """What one result pixel is made of.

    Attributes:
        first: the first pixel of the file that has a weight.
        weights: the weights of it and those that follow; they sum to 1.
    """

    first: int
    weights: tuple[float, ...]


@lru_cache(maxsize=256)
def taps(count: int, sides: int) -> tuple[Taps, ...]:
    """The weights of `count` pixels in each of `sides` result pixels."""
    # In units of 1/(2·sides) of a pixel of the file, so that places and weights are whole numbers.
    reach = 2 * max(count, sides)
    found = []
    for place in range(sides):
        centre = (2 * place + 1) * count - sides
        # What lies beyond the edge has no weight, so that the outermost pixels go on.
        weights = {pixel: reach - abs(2 * sides * pixel - centre) for pixel in range(count)}
        held = {pixel: weight for pixel, weight in weights.items() if weight > 0}
        total = sum(held.values())
        found.append(Taps(first=min(held), weights=tuple(weight / total for weight in held.values())))
    return tuple(found)


def linear(plane: NDArray[np.float64], sides: tuple[int, int]) -> NDArray[np.float64]:
    """A plane, shape (height, width), with `sides` pixels."""
    height, width = sides
    return _lines(_lines(plane, height).T, width).T


def _lines(lines: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """`side` lines, each the weighted sum of its own among `lines`; the first weights of all are added first."""
    if len(lines) == side:
        return lines
    own = taps(len(lines), side)
    total = np.zeros((side, lines.shape[1]))
    for offset in range(max(len(each.weights) for each in own)):
        weights = [each.weights[offset] if offset < len(each.weights) else 0.0 for each in own]
        places = [min(each.first + offset, len(lines) - 1) for each in own]
        total += np.array(weights)[:, np.newaxis] * lines[places]
    return total


def stacked(planes: Iterable[NDArray[np.float64]], *, count: int, depth: int) -> NDArray[np.float64]:
    """`count` planes of one size, read one after the other, as a volume of `depth` planes."""
    weights = taps(count, depth)
    volume: NDArray[np.float64] | None = None
    for number, plane in enumerate(planes):
        if volume is None:
            volume = np.zeros((depth, *plane.shape))
        for place, own in enumerate(weights):
            if own.first <= number < own.first + len(own.weights):
                volume[place] += own.weights[number - own.first] * plane
    assert volume is not None
    return volume


def nearest(mask: NDArray[np.uint8], sides: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask with `sides` pixels, each the nearest of the file's; of two as near, the one further on."""
    for axis, side in enumerate(sides):
        count = mask.shape[axis]
        mask = np.take(mask, [(2 * place + 1) * count // (2 * side) for place in range(side)], axis=axis)
    return mask


def fitted(array: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """The middle of an array, or the array in the middle of zeros: `size` pixels along its first axes."""
    for axis, side in enumerate(size):
        count = array.shape[axis]
        first = max(0, (count - side) // 2)
        array = np.take(array, range(first, first + min(count, side)), axis=axis)
        before = max(0, (side - count) // 2)
        edges = [(0, 0)] * array.ndim
        edges[axis] = (before, max(0, side - count - before))
        array = np.pad(array, edges)
    return array


def picture(grey: NDArray[np.float64], grid: Grid) -> NDArray[np.uint8]:
    """A plane of grey in 0 … 255 on its grid, as 8 bits; shape `grid.size`."""
    height, width = grid.resampled
    return fitted(rounded(linear(grey, (height, width))), grid.size)


def volume(planes: Iterable[NDArray[np.float64]], grid: Grid, *, count: int) -> NDArray[np.uint8]:
    """`count` planes of grey in 0 … 255 on their grid, as a volume of 8 bits; shape `grid.size`."""
    depth, height, width = grid.resampled
    return fitted(
        rounded(stacked((linear(plane, (height, width)) for plane in planes), count=count, depth=depth)), grid.size
    )
