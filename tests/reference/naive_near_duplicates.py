"""Which pairs of rows of different units are alike: every pair, by NumPy's own correlation of all pixels."""

from __future__ import annotations

import numpy as np

from gatekeeper.data.records import ImageTable


def pairs_alike(table: ImageTable, *, threshold: float) -> set[tuple[int, int]]:
    """Rows with NCC ≥ τ that differ and belong to two units; images of one colour have no NCC."""
    found = set()
    for first in range(len(table.images)):
        for second in range(first + 1, len(table.images)):
            one, other = table.images[first].ravel(), table.images[second].ravel()
            if table.units[first] == table.units[second] or np.array_equal(one, other):
                continue
            if one.std() > 0 and other.std() > 0 and np.corrcoef(one, other)[0, 1] >= threshold:
                found.add((first, second))
    return found
