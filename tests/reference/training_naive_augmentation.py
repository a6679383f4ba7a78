"""Altered views as the definitions say, one pixel at a time, in plain Python numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray


def naive_moved(image: NDArray[np.generic], *, flips: list[bool], shifts: list[int]) -> NDArray[np.generic]:
    """One image (channels, *spatial) mirrored, then shifted with its border repeated."""
    for axis, flip in enumerate(flips, start=1):
        image = np.flip(image, axis) if flip else image
    reach = max(abs(shift) for shift in shifts)
    padded = np.pad(image, [(0, 0), *[(reach, reach)] * len(shifts)], mode="edge")
    return padded[
        (slice(None), *(slice(reach + s, reach + s + side) for s, side in zip(shifts, image.shape[1:], strict=True)))
    ]


def _source(place: tuple[int, ...], sides: tuple[int, ...], *, degrees: float, factor: float) -> list[float]:
    """Where a pixel of the view looks in its image: R(−angle)·p / factor from the middle, inside the border."""
    centred = [(at - (side - 1) / 2) / factor for at, side in zip(place, sides, strict=True)]
    down, right = centred[-2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    centred[-2:] = [sine * right + cosine * down, cosine * right - sine * down]
    return [min(max(at + (side - 1) / 2, 0), side - 1) for at, side in zip(centred, sides, strict=True)]


def naive_sampled(image: NDArray[np.generic], *, degrees: float, factor: float, nearest: bool) -> NDArray[np.float64]:
    """One image (channels, *spatial) turned in the plane of its last two axes and scaled along all of them."""
    sides = image.shape[1:]
    result = np.zeros(image.shape)
    for place in itertools.product(*map(range, sides)):
        source = _source(place, sides, degrees=degrees, factor=factor)
        if nearest:
            result[(slice(None), *place)] = image[(slice(None), *(math.floor(at + 0.5) for at in source))]
            continue
        for corner in itertools.product((0, 1), repeat=len(sides)):
            weight, at = 1.0, []
            for coordinate, up, side in zip(source, corner, sides, strict=True):
                share = coordinate - math.floor(coordinate)
                weight *= share if up else 1 - share
                at.append(min(math.floor(coordinate) + up, side - 1))
            result[(slice(None), *place)] += weight * image[(slice(None), *at)]
    return result
