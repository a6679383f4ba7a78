"""Dice from sets of pixels, and the obvious intervals that don't hold what they claim."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _pixels_of(masks: NDArray[np.uint8], index: int, rows: list[int]) -> set[tuple[int, int]]:
    return {(row, place) for row in rows for place, found in enumerate(masks[row].ravel().tolist()) if found == index}


def dice_of_unit(
    predicted: NDArray[np.uint8], masks: NDArray[np.uint8], *, index: int, unit_of: NDArray[np.int64], unit: int
) -> float | None:
    """2|A ∩ B|/(|A| + |B|) over the unit's images; None where both are empty."""
    rows = [row for row, owner in enumerate(unit_of.tolist()) if owner == unit]
    true, found = _pixels_of(masks, index, rows), _pixels_of(predicted, index, rows)
    return 2 * len(true & found) / (len(true) + len(found)) if true or found else None


def mean_dice(
    predicted: NDArray[np.uint8], masks: NDArray[np.uint8], *, indices: list[int], unit_of: NDArray[np.int64]
) -> float | None:
    """The mean over units of each one's mean over the classes that it has; None where no unit has any."""
    means = []
    for unit in sorted(set(unit_of.tolist())):
        own = [dice_of_unit(predicted, masks, index=index, unit_of=unit_of, unit=unit) for index in indices]
        present = [value for value in own if value is not None]
        if present:
            means.append(sum(present) / len(present))
    return sum(means) / len(means) if means else None


def normal_lower(values: NDArray[np.float64]) -> float:
    """The textbook's 95 % lower limit of a mean: estimate less 1.645 standard errors."""
    present = values[~np.isnan(values)]
    return float(present.mean() - 1.645 * present.std(ddof=1) / np.sqrt(len(present)))
