"""Dice of weighted units: how well predicted masks lie on the true ones.

A unit's Dice of a class is 2|A ∩ B|/(|A| + |B|) over all pixels of all its images together, A being its mask and B the
prediction (Dice 1945). The reported metric is the plain mean of the units' own values, not Dice of all units' pixels
together, in which one patient with a large organ would outweigh many. As a mean of values in [0, 1] of independent
units it has Gaffke's limits directly: one imagined unit with the value 0, or 1 (see `confidence`).

A unit that has a class neither in its mask nor in its prediction has no Dice of that class and is left out, for that
class alone. A class predicted where there is none counts as 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatekeeper.evaluation.confidence import Weighted
from gatekeeper.evaluation.metrics import Confusion, Floats


def overlap(
    *, predicted: NDArray[np.uint8], masks: NDArray[np.uint8], unit_of: NDArray[np.int64], units: int, classes: int
) -> Confusion:
    """Count the pixels of each class that every unit's masks, its predictions and both of them have.

    Args:
        predicted: class indices below `classes`, shape (images, *spatial).
        masks: likewise, the true ones.
        unit_of: the unit of each image, shape (images,).
        units: how many units there are.
        classes: how many classes, the background included.
    """
    table = np.zeros((units, classes, classes))
    # Image by image: pairs of classes in int64 take eight times the memory of a mask.
    for mask, prediction, unit in zip(masks, predicted, unit_of.tolist(), strict=True):
        pairs = mask.astype(np.int64).ravel() * classes + prediction.ravel()
        table[unit] += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return Confusion(correct=np.diagonal(table, axis1=1, axis2=2), true=table.sum(axis=2), predicted=table.sum(axis=1))


def dice_by_class(table: Confusion) -> Floats:
    """Each unit's Dice of each class, shape (units, classes); NaN where neither mask nor prediction has the class."""
    total = table.true + table.predicted
    return np.where(total == 0, np.nan, 2 * table.correct / np.where(total == 0, 1.0, total))


def foreground_dice(by_class: Floats) -> Floats:
    """Each unit's mean over its classes but the background (index 0), shape (units,); NaN where it has none of them.

    Args:
        by_class: as `dice_by_class` gives it.
    """
    foreground = by_class[:, 1:]
    present = ~np.isnan(foreground)
    count = present.sum(axis=1)
    total = np.where(present, foreground, 0.0).sum(axis=1)
    return np.where(count == 0, np.nan, total / np.maximum(count, 1))


def weighted_mean(values: Floats, *, right: bool) -> Weighted:
    """The weighted mean of units' values, with one imagined unit whose value is 1 (right) or 0.

    Args:
        values: in [0, 1], shape (units,); NaN for units that are left out.
        right: which of the two.
    """
    present = np.append(~np.isnan(values), True).astype(np.float64)
    full = np.append(np.nan_to_num(values), float(right))

    def value(weights: Floats) -> Floats:
        return np.asarray(weights @ full / (weights @ present))

    return Weighted(units=len(full), value=value)
