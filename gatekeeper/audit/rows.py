"""Which images belong to which of the chosen units, in batches that bound memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.units import UnitImages

# Values of one batch of float64 images: 32 MiB each, and an attack holds a few.
_BATCH_VALUES = 4 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The images of some units.

    Attributes:
        image: index of each image in the data set, int64, shape (rows,).
        owner: position of its unit among those chosen, int64, shape (rows,), not decreasing.
        units: how many units were chosen.
    """

    image: NDArray[np.int64]
    owner: NDArray[np.int64]
    units: int

    def batches(self, *, pixels: int) -> Iterator[Rows]:
        """The rows in order, in pieces of a few million pixel values."""
        size = max(1, _BATCH_VALUES // pixels)
        for start in range(0, len(self.image), size):
            piece = slice(start, start + size)
            yield Rows(image=self.image[piece], owner=self.owner[piece], units=self.units)

    def best(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest value over each unit's rows, shape (units,); −∞ for a unit without rows."""
        result = np.full(self.units, -np.inf)
        np.maximum.at(result, self.owner, values)
        return result


def rows_of(data: UnitImages, *, units: NDArray[np.int64]) -> Rows:
    """The images of `units`, in that order; a unit may be named more than once."""
    order = np.argsort(data.unit_of, kind="stable").astype(np.int64)
    ends = np.searchsorted(data.unit_of[order], np.arange(data.units + 1))
    counts = ends[units + 1] - ends[units]
    owner = np.repeat(np.arange(len(units), dtype=np.int64), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Rows(image=order[ends[units][owner] + within], owner=owner, units=len(units))


def digests(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> list[bytes]:
    """A digest of each named image; equal for identical images only (BLAKE2b, 128 bits)."""
    return [hashlib.blake2b(images[row].tobytes(), digest_size=16).digest() for row in rows]
