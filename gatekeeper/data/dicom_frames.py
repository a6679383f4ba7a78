"""What applies to one frame of a DICOM file: its place, its scaling, its window (PS3.3, C.7.6.16 and C.11).

An enhanced multi-frame file says these in functional groups: of the frame, or shared by all. An ordinary file says
them once. A pixel that is scaled by the wrong one would be wrong without a word, so all three places are looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gatekeeper.data.dicom_fields import CORRECT
from gatekeeper.data.dicom_file import quiet, told, value_of
from gatekeeper.data.dicom_header import Instance
from gatekeeper.data.windows import Window
from gatekeeper.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Stored values times slope plus intercept are the scan's own numbers.

    Attributes:
        slope: not 0.
        intercept: finite.
        given: whether the file says so.
    """

    slope: float
    intercept: float
    given: bool


class FrameFields:
    """The fields that apply to one frame.

    Args:
        dataset: pydicom's data set.
        index: the frame, from 0.
        instance: the file.
    """

    def __init__(self, dataset: Any, index: int, instance: Instance) -> None:
        self._dataset, self._instance = dataset, instance
        own = self._of(dataset, "PerFrameFunctionalGroupsSequence")
        shared = self._of(dataset, "SharedFunctionalGroupsSequence")
        self._groups = [items[place] for items, place in ((own, index), (shared, 0)) if items and place < len(items)]

    def numbers(self, name: str, *, group: str, count: int | None = None) -> tuple[float, ...] | None:
        """The numbers of a field, or None where neither frame nor file has it.

        Args:
            name: the field.
            group: the functional group that holds it.
            count: how many there must be; None for one or more.

        Raises:
            DataError: they are no finite numbers, or not as many.
        """
        with quiet():
            value = self._value(name, group)
            if value is None or str(value) == "":
                return None
            try:
                parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
                found = tuple(float(part) for part in parts)
            except (TypeError, ValueError) as error:
                raise self._wrong(name, "is no number") from error
        if not all(map(math.isfinite, found)) or (count is not None and len(found) != count):
            raise self._wrong(name, f"must hold {count or 'finite'} {'finite ' if count else ''}numbers")
        return found

    def text(self, name: str, *, group: str) -> str:
        """The text of a field; empty where neither frame nor file has it."""
        return str(self._value(name, group) or "")

    def _value(self, name: str, group: str) -> Any:
        for groups in self._groups:
            items = self._of(groups, group)
            if items and self._of(items[0], name) is not None:
                return self._of(items[0], name)
        return self._of(self._dataset, name)

    def _of(self, dataset: Any, name: str) -> Any:
        return value_of(dataset, name, where=self._instance.where)

    def _wrong(self, name: str, message: str) -> DataError:
        return DataError(f"the field {name} {message}", where=self._instance.where, hint=CORRECT)


def scaling(fields: FrameFields, dataset: Any, instance: Instance) -> Scaling:
    """How stored values become the scan's own numbers.

    Raises:
        DataError: the fields can't be used, or a table (ModalityLUTSequence) takes their place.
    """
    if value_of(dataset, "ModalityLUTSequence", where=instance.where):
        raise DataError(
            "its values go through a table (ModalityLUTSequence), which is not read",
            where=instance.where,
            hint="store the values that the table gives",
        )
    group = "PixelValueTransformationSequence"
    slope = fields.numbers("RescaleSlope", group=group, count=1)
    intercept = fields.numbers("RescaleIntercept", group=group, count=1)
    if slope is None and intercept is None:
        return Scaling(slope=1.0, intercept=0.0, given=False)
    if slope is None or intercept is None or slope[0] == 0:
        state = "is 0" if slope and slope[0] == 0 else "has no RescaleIntercept beside it, or the other way round"
        raise DataError(f"the field RescaleSlope {state}", where=instance.where, hint=CORRECT)
    return Scaling(slope=slope[0], intercept=intercept[0], given=True)


def file_window(fields: FrameFields, dataset: Any, instance: Instance) -> Window:
    """The first window that the file proposes (PS3.3, C.11.2.1.2): the values that become black and white.

    Raises:
        DataError: it proposes none, a table, or a curve.
    """
    group = "FrameVOILUTSequence"
    centre = fields.numbers("WindowCenter", group=group)
    width = fields.numbers("WindowWidth", group=group)
    if centre is None or width is None:
        table = (
            " but a table (VOILUTSequence), which is not read"
            if value_of(dataset, "VOILUTSequence", where=instance.where)
            else ""
        )
        raise DataError(
            f"the file proposes no window{table}", where=instance.where, hint="set data.scan.window to [low, high]"
        )
    function = fields.text("VOILUTFunction", group=group) or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise DataError(
            f"VOILUTFunction is {told(function)}, which is no straight line",
            where=instance.where,
            hint="set data.scan.window to [low, high]",
        )
    exact = function == "LINEAR_EXACT"
    middle, reach = (centre[0], width[0] / 2) if exact else (centre[0] - 0.5, (width[0] - 1) / 2)
    if reach <= 0:
        raise DataError(
            f"the field WindowWidth is {width[0]:g}", where=instance.where, hint="set data.scan.window to [low, high]"
        )
    return Window(low=middle - reach, high=middle + reach)
