"""Columns that come with images as arrays or values: labels, masks, owners, names and sides, checked by their kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import MASK, DataSpec
from gatekeeper.data.files import canonical_name
from gatekeeper.data.records import ImageTable, Side, check_column
from gatekeeper.data.store import blocks, stacked
from gatekeeper.errors import DataError

_SIDES = ("train", "test")
_MOST_CLASSES = 256
_MOST_DIGITS = 20  # of a number; Python refuses to read or write thousands


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Columns:
    """What comes with each of some images.

    Attributes:
        images: pixels, uint8, shape (images, channels, *spatial).
        texts: columns by their name, each with a text for each image.
        masks: a class for each pixel as it was given, shape (images, *spatial), or None.
        classes: the classes' names, or None where the labels say them.
        labels: the name of the column of labels.
        names: the name of that of the images' names; where there is none they are numbered.
        split: that of the sides, which is optional too.
        places: what stands before a column's name in messages, such as `FILE:`.
    """

    images: NDArray[np.uint8]
    texts: Mapping[str, tuple[str, ...]]
    masks: NDArray[np.generic] | None
    classes: tuple[str, ...] | None
    labels: str
    names: str
    split: str
    places: str

    def table(self, spec: DataSpec, *, name: str, source: str, code: tuple[CodeFile, ...] = ()) -> ImageTable:
        """The table that a specification asks for.

        Args:
            spec: its unit, split.by and label name columns; the unit may be `image`.
            name: what the data set is called; public.
            source: the file or folder, for messages.
            code: the files of the user's that yielded the images.

        Raises:
            DataError: a column is missing, two images share a name, a side is neither train nor test, or masks don't
                fit the images or the classes.
        """
        names = self._names()
        masks, classes = self._masks(source) if spec.label == MASK else (None, None)
        return ImageTable(
            name=name,
            source=source,
            images=self.images,
            image_names=names,
            labels=self._labels(spec, source) if masks is None else _largest(masks, classes or ()),
            units=self._owners(spec.unit, names, field="unit", source=source),
            groups=self._owners(spec.split.by or spec.unit, names, field="split.by", source=source),
            sides=self._sides(),
            masks=masks,
            classes=classes,
            code=code,
        )

    def _names(self) -> tuple[str, ...]:
        names = self.texts.get(self.names)
        if names is None:
            return tuple(f"image-{row:06d}" for row in range(len(self.images)))
        first: dict[str, int] = {}
        for row, name in enumerate(names):
            if first.setdefault(name, row) != row:
                raise DataError(
                    f"the name {name!r} is already that of image {first[name]}",
                    where=f"{self.places}{self.names}[{row}]",
                    hint="an image has one name of its own, and one owner",
                )
        return names

    def _owners(self, column: str, names: tuple[str, ...], *, field: str, source: str) -> tuple[str, ...]:
        if column == "image":
            return self.texts.get("image", names)
        check_column(column, field=field, offered=("image", *sorted(self.texts)), where=source)
        return self.texts[column]

    def _labels(self, spec: DataSpec, source: str) -> tuple[str, ...]:
        column = spec.label or self.labels
        check_column(column, field="label", offered=tuple(sorted(self.texts)), where=source)
        labels = self.texts[column]
        if self.classes is None:
            return labels
        for row, label in enumerate(labels):
            if not label.isdecimal() or len(label) > _MOST_DIGITS or int(label) >= len(self.classes):
                raise DataError(
                    f"the label is {label!r}, and there are {len(self.classes)} classes",
                    where=f"{self.places}{column}[{row}]",
                    hint="where classes are named, labels are their numbers, from 0",
                )
        return tuple(self.classes[int(label)] for label in labels)

    def _sides(self) -> tuple[Side, ...] | None:
        sides = self.texts.get(self.split)
        for row, side in enumerate(sides or ()):
            if side not in _SIDES:
                raise DataError(
                    f"the side is {side!r}, not train or test",
                    where=f"{self.places}{self.split}[{row}]",
                    hint="leave out what is for validation: nothing here selects models by it",
                )
        return cast("tuple[Side, ...] | None", sides)

    def _masks(self, source: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        masks, wanted = self.masks, (len(self.images), *self.images.shape[2:])
        if masks is None:
            raise DataError("there are no masks, and label is mask", where=source, hint="add them, or name a label")
        if masks.dtype.kind not in "iu" or masks.shape != wanted:
            raise DataError(
                f"masks must be whole numbers of shape {wanted}, got {masks.dtype} of {masks.shape}",
                where=f"{self.places}masks",
                hint="a class index for each pixel of each image",
            )
        lowest, highest = int(masks.min()), int(masks.max())
        most = _MOST_CLASSES if self.classes is None else len(self.classes)
        if lowest < 0 or highest >= most or highest < 1:
            raise DataError(
                f"masks hold the class indices {lowest} … {highest}, and there may be 0 … {most - 1}, two at least",
                where=f"{self.places}masks",
                hint="0 is the background; name the classes in order, or correct the masks",
            )
        classes = self.classes or tuple(str(index) for index in range(highest + 1))
        parts = blocks(len(masks), row_bytes=math.prod(masks.shape[1:]))
        return stacked((masks[part].astype(np.uint8) for part in parts), shape=masks.shape), classes


def texts(values: NDArray[np.generic], *, count: int, where: str) -> tuple[str, ...]:
    """A column as text.

    Args:
        values: whole numbers or text, shape (count,) or (count, 1).
        count: how many images there are.
        where: file and column, for messages.

    Raises:
        DataError: it is of another kind or length, or a text is empty, framed by blanks or has a control character.
    """
    if values.dtype.kind not in "iuU":
        raise DataError(f"a column must be whole numbers or text, got {values.dtype}", where=where, hint="convert it")
    if values.shape not in ((count,), (count, 1)):
        raise DataError(
            f"a column must have the shape ({count},), got {values.shape}", where=where, hint="one value for each image"
        )
    return tuple(checked_text(value, where=f"{where}[{row}]") for row, value in enumerate(values.ravel().tolist()))


def checked_text(value: object, *, where: str) -> str:
    """A value of a column as text.

    Raises:
        DataError: it is neither a whole number nor text, or it is empty, framed by blanks or has a control character.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | np.integer):
        raise DataError(f"must be a whole number or text, got {type(value).__name__}", where=where, hint="convert it")
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise DataError(f"a number has more than {_MOST_DIGITS} digits", where=where, hint="convert it to text")
    text = canonical_name(str(value))
    if not text or text != text.strip() or any(ord(character) < 32 for character in text):
        state = f"is {text!r}, with blanks around or a control character" if text else "is empty"
        raise DataError(f"the value {state}", where=where, hint="correct it, or leave the image out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError("the value is not valid Unicode", where=where, hint="correct it") from error
    return text


def _largest(masks: NDArray[np.uint8], classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(classes[int(index)] for index in masks.reshape(len(masks), -1).max(axis=1))
