"""Which rows repeat, pixel by pixel, an image of another unit: every pair compared, no digests."""

from __future__ import annotations

import numpy as np

from gatekeeper.data.records import ImageTable


def rows_with_a_second_owner(table: ImageTable) -> set[int]:
    """Rows whose first identical row belongs to another unit."""
    found = set()
    for row in range(len(table.images)):
        first = next(other for other in range(row + 1) if np.array_equal(table.images[other], table.images[row]))
        if table.units[first] != table.units[row]:
            found.add(row)
    return found
