"""Some units of a data set by themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.dataset import Units


def chosen(data: Units, units: NDArray[np.int64]) -> Units:
    """Some units by themselves, in the order in which they are named.

    Args:
        data: all of them.
        units: distinct indices, shape (units,), at least one.
    """
    place = {unit: index for index, unit in enumerate(units.tolist())}
    rows = np.flatnonzero(np.isin(data.unit_of, units))
    return Units(
        images=data.images[rows],
        labels=data.labels[rows],
        unit_of=np.array([place[unit] for unit in data.unit_of[rows].tolist()], dtype=np.int64),
        names=tuple(data.names[unit] for unit in units.tolist()),
        groups=tuple(data.groups[unit] for unit in units.tolist()),
        masks=None if data.masks is None else data.masks[rows],
    )
