"""Some of the units of a data set, as a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.units import UnitImages


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SomeUnits:
    """Units numbered anew from 0; see `core.units.UnitImages`, whose attributes these are. Private: never printed."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None
    unit_of: NDArray[np.int64]
    units: int


def subset(data: UnitImages, *, units: NDArray[np.int64]) -> SomeUnits:
    """The chosen units, in their order in `data`.

    Args:
        data: where they are from.
        units: indices without repetition, shape (units,).
    """
    kept = np.isin(data.unit_of, units)
    _, unit_of = np.unique(data.unit_of[kept], return_inverse=True)
    return SomeUnits(
        images=data.images[kept],
        labels=data.labels[kept],
        masks=None if data.masks is None else data.masks[kept],
        unit_of=unit_of.astype(np.int64),
        units=len(units),
    )
