"""What a reader yields: one row an image, not yet divided into training and test."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_text
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.masking import masked, pseudonym
from gatekeeper.errors import DataError, InvalidValueError

Side = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ImageTable:
    """Images with their labels and owners, in the reader's order. Private: never printed.

    Attributes:
        name: what the data set is called; public.
        source: the file or folder it came from, for messages.
        images: pixel values, uint8, shape (images, channels, *spatial).
        image_names: a name for each image, unique.
        labels: each image's class; where there are masks, the last of `classes` that occurs in its mask.
        units: the name of each image's unit.
        groups: the value, for each image, of the column that the split keeps together.
        sides: each image's side where the data set gives its split; otherwise None.
        masks: class of each pixel, an index into `classes`, uint8, shape (images, *spatial); None without masks.
        classes: the classes in the order of the masks' indices; None where the labels alone say what there is.
        stored_shapes: each image's (channels, *spatial) as it is stored, before it was resized or its colours were
            converted; None where the reader doesn't know.
        code: the files of the user's that yielded the images.
        secrets: where names of units and groups may not be shown, what each image's name may not show; else None.
        notes: what was passed over, in words that may be printed.

    Raises:
        InvalidValueError: the columns differ in length, two images share a name, or there are masks without classes.
    """

    name: str
    source: str
    images: NDArray[np.uint8]
    image_names: tuple[str, ...]
    labels: tuple[str, ...]
    units: tuple[str, ...]
    groups: tuple[str, ...]
    sides: tuple[Side, ...] | None = None
    masks: NDArray[np.uint8] | None = None
    classes: tuple[str, ...] | None = None
    stored_shapes: tuple[tuple[int, ...], ...] | None = None
    code: tuple[CodeFile, ...] = ()
    secrets: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_text(source=self.source)
        columns = (self.image_names, self.labels, self.units, self.groups)
        given = [column for column in (self.sides, self.stored_shapes, self.secrets) if column is not None]
        if any(len(column) != len(self.images) for column in (*columns, *given)):
            raise InvalidValueError(
                "each image needs a name, label, unit and group and, where given, a side, stored shape and secret"
            )
        if len(set(self.image_names)) != len(self.image_names):
            raise InvalidValueError("two images share a name")
        if (self.masks is None) != (self.classes is None):
            raise InvalidValueError("masks go with the classes that their indices mean")

    def shown(self, owner: str) -> str:
        """What a message calls a unit or a group: its name in quotes, or a pseudonym where names are secret."""
        return repr(owner) if self.secrets is None else pseudonym(owner)

    def shown_image(self, row: int) -> str:
        """What a message calls an image."""
        name = self.image_names[row]
        return name if self.secrets is None else masked(name, secret=self.secrets[row])

    def __repr__(self) -> str:
        return f"ImageTable({self.name!r}, {len(self.images)} images)"


def closest(value: str, choices: tuple[str, ...]) -> str:
    """A hint that lists `choices`, and the one that `value` was perhaps meant to be."""
    matches = difflib.get_close_matches(value, choices, n=1)
    meant = f"; did you mean {matches[0]!r}?" if matches else ""
    return f"there is {', '.join(choices)}{meant}"


def check_column(value: str, *, field: str, offered: tuple[str, ...], where: str) -> None:
    """Require that the data set offers the column `value`, which the candidate's `field` asks for.

    Raises:
        DataError: it doesn't; the hint lists what there is.
    """
    if value not in offered:
        raise DataError(
            f"{field} {value!r} is not a column of this data set", where=where, hint=closest(value, offered)
        )


def check_columns(spec: DataSpec, *, offered: tuple[str, ...], label: str, where: str) -> None:
    """Require that unit, split.by and label of `spec` exist in a format whose columns are fixed.

    Raises:
        DataError: one of them doesn't; the hint lists what there is.
    """
    check_column(spec.unit, field="unit", offered=offered, where=where)
    check_column(spec.split.by or spec.unit, field="split.by", offered=offered, where=where)
    check_column(spec.label or label, field="label", offered=(label,), where=where)
