"""The cosines that vary slowest over an image: what anybody knows of images before seeing any of a kind."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _along_axis(side: int) -> Floats:
    """The orthonormal cosines of one axis (DCT-II; Ahmed, Natarajan and Rao 1974), shape (frequencies, side)."""
    places, frequencies = np.arange(side) + 0.5, np.arange(side)
    rows = np.sqrt(2 / side) * np.cos(np.pi * np.outer(frequencies, places) / side)
    rows[0] = np.sqrt(1 / side)
    return np.asarray(rows)


def slow_cosines(shape: tuple[int, ...], *, count: int) -> Floats:
    """Orthonormal products of cosines over one channel each, by rising frequency.

    Args:
        shape: (channels, *spatial).
        count: how many, at most the number of values of an image.

    Returns:
        Shape (count, pixels).
    """
    channels, *sides = shape
    squared = reduce(np.add.outer, [(np.arange(side) / side) ** 2 for side in sides])
    axes = [_along_axis(side) for side in sides]
    result = np.zeros((count, channels, *sides))
    # Frequency by frequency, the channels of each in turn.
    for row, place in enumerate(np.argsort(squared, axis=None, kind="stable").repeat(channels)[:count]):
        frequencies = np.unravel_index(place, squared.shape)
        chosen = [axis[frequency] for axis, frequency in zip(axes, frequencies, strict=True)]
        result[row, row % channels] = reduce(np.multiply.outer, chosen)
    return result.reshape(count, channels * squared.size)
