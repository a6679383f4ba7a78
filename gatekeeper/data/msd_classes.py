"""From the values of a mask to the classes of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.scan_spec import BACKGROUND, MergedClass
from gatekeeper.data.msd_manifest import Manifest
from gatekeeper.errors import DataError

_UNKNOWN = 255
_MOST = 255


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Classes:
    """The classes and the values that mean them.

    Attributes:
        names: in the order of the indices, the background first.
        index_of: the class index of each value from 0 on, uint8; 255 where the manifest doesn't know the value.
    """

    names: tuple[str, ...]
    index_of: NDArray[np.uint8]

    @classmethod
    def of(cls, manifest: Manifest, labels: tuple[MergedClass, ...] | None) -> Classes:
        """Those that the candidate makes of the manifest's values, or else the manifest's own, by value.

        Raises:
            DataError: the candidate names a value that the manifest doesn't, or there are too many.
        """
        where = str(manifest.path)
        known = sorted(manifest.meanings)
        index_of = np.full(known[-1] + 1, _UNKNOWN, dtype=np.uint8)
        if labels is None:
            if len(known) > _MOST:
                raise DataError(f"the field labels has {len(known)} values; {_MOST} are the most", where=where)
            for index, value in enumerate(known):
                index_of[value] = index
            return cls(names=tuple(manifest.meanings[value] for value in known), index_of=index_of)
        index_of[known] = 0
        for index, label in enumerate(labels, start=1):
            for value in label.values:
                if value not in manifest.meanings:
                    listed = ", ".join(f"{key} ({manifest.meanings[key]})" for key in known)
                    raise DataError(
                        f"data.scan.labels.{label.name} names the value {value}, which the field labels doesn't know",
                        where=where,
                        hint=f"there is {listed}",
                    )
                index_of[value] = index
        return cls(names=(BACKGROUND, *(label.name for label in labels)), index_of=index_of)

    def indices(self, values: NDArray[np.number[Any]], *, where: str) -> NDArray[np.uint8]:
        """The class index of each value.

        Raises:
            DataError: a value is not a whole number, or the manifest doesn't know it.
        """
        with np.errstate(invalid="ignore"):  # what is no number is refused below
            whole = values.astype(np.int64)
        known = (whole == values) & (whole >= 0) & (whole < len(self.index_of))
        indices = self.index_of[np.where(known, whole, 0)]
        unknown = ~known | (indices == _UNKNOWN)
        if unknown.any():
            strange = values[unknown].ravel()[0]
            raise DataError(
                f"the mask has the value {strange:g}, which dataset.json's field labels doesn't name",
                where=where,
                hint="correct the mask, or name the value in labels",
            )
        return indices
