"""Trilinear interpolation and the nearest voxel, voxel by voxel, where an axis is not reduced."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray


def trilinear(values: NDArray[np.float64], sides: tuple[int, ...]) -> NDArray[np.float64]:
    """`values` with at least as many voxels along each axis: the weighted mean of its eight neighbours."""
    result = np.empty(sides)
    for place in itertools.product(*map(range, sides)):
        centre = [(at + 0.5) * count / side - 0.5 for at, count, side in zip(place, values.shape, sides, strict=True)]
        total = 0.0
        for corner in itertools.product((0, 1), repeat=values.ndim):
            weight, index = 1.0, []
            for at, far, count in zip(centre, corner, values.shape, strict=True):
                share = at - math.floor(at)
                weight *= share if far else 1 - share
                index.append(min(max(math.floor(at) + far, 0), count - 1))
            total += weight * values[tuple(index)]
        result[place] = total
    return result
