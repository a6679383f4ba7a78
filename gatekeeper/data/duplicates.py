"""Images that occur more than once, to the last pixel, as the network sees them."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.duplicates import ExactDuplicates, SharedPicture
from gatekeeper.data.pseudonyms import Pseudonyms
from gatekeeper.data.records import ImageTable, Side


def identical_rows(images: NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    """The rows of every image that occurs more than once, in the order of their first occurrence.

    Args:
        images: pixel values, uint8, shape (images, …).
    """
    rows: dict[bytes, list[int]] = {}
    for row, pixels in enumerate(images):
        rows.setdefault(hashlib.sha256(pixels.tobytes()).digest(), []).append(row)
    return tuple(tuple(same) for same in rows.values() if len(same) > 1)


def exact_duplicates(table: ImageTable, sides: tuple[Side, ...], *, pseudonyms: Pseudonyms) -> ExactDuplicates:
    """Which images repeat within a unit, and which two or more units hold.

    Args:
        table: every image.
        sides: the side of each.
        pseudonyms: by what names units appear.
    """
    repeats, shared = 0, []
    repeating: set[str] = set()
    for rows in identical_rows(table.images):
        owners = [table.units[row] for row in rows]
        repeats += len(rows) - len(set(owners))
        repeating |= {owner for owner in owners if owners.count(owner) > 1}
        if len(set(owners)) > 1:
            shared.append(
                SharedPicture(
                    images=len(rows),
                    units=tuple(dict.fromkeys(pseudonyms.mention(table, row) for row in rows)),
                    sides=tuple(side for side in ("train", "test") if side in {sides[row] for row in rows}),
                    labels=tuple(sorted({table.labels[row] for row in rows})),
                )
            )
    return ExactDuplicates(
        repeats_within_units=repeats, units_with_repeats=len(repeating), shared=tuple(_leaks_first(shared))
    )


def _leaks_first(shared: list[SharedPicture]) -> list[SharedPicture]:
    return sorted(shared, key=lambda picture: not picture.leaks)
