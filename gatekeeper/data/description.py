"""What a data set holds, for its owner: counts, shapes and duplicates, units under pseudonyms."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.data_description import (
    ClassDescription,
    DataDescription,
    Quantiles,
    ShapeCount,
    SideDescription,
)
from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.duplicates import exact_duplicates
from gatekeeper.data.near_duplicates import near_duplicates
from gatekeeper.data.pseudonyms import Pseudonyms
from gatekeeper.data.records import ImageTable, Side
from gatekeeper.data.splits import classes_of


def describe(
    table: ImageTable, sides: tuple[Side, ...], spec: DataSpec, *, pseudonyms: Pseudonyms, near: float | None
) -> DataDescription:
    """Count what there is and look for what is there twice.

    Args:
        table: every image.
        sides: the side of each.
        spec: where they came from.
        pseudonyms: by what names units appear.
        near: the NCC from which two images are near-duplicates, or None to look for identical ones only.

    Raises:
        DataError: there are fewer than two classes.
    """
    return DataDescription(
        name=table.name,
        format=spec.format,
        task=spec.task,
        synthetic=spec.phantom is not None,
        unit=spec.unit,
        group=spec.split.by or spec.unit,
        image_shape=table.images.shape[1:],
        stored_shapes=_stored_shapes(table),
        sides=tuple(_side(table, sides, side=side) for side in ("train", "test") if side in sides),
        classes=_classes(table, sides),
        exact=exact_duplicates(table, sides, pseudonyms=pseudonyms),
        near=None if near is None else near_duplicates(table, sides, threshold=near, pseudonyms=pseudonyms),
    )


def _stored_shapes(table: ImageTable) -> tuple[ShapeCount, ...] | None:
    if table.stored_shapes is None:
        return None
    counted = sorted(Counter(table.stored_shapes).items(), key=lambda item: (-item[1], item[0]))
    return tuple(ShapeCount(shape=shape, images=images) for shape, images in counted)


def _side(table: ImageTable, sides: tuple[Side, ...], *, side: Side) -> SideDescription:
    rows = [row for row, own in enumerate(sides) if own == side]
    images_of = Counter(table.units[row] for row in rows)
    return SideDescription(
        side=side,
        units=len(images_of),
        groups=len({table.groups[row] for row in rows}),
        images=len(rows),
        images_per_unit=Quantiles.of(tuple(images_of.values())),
    )


def _classes(table: ImageTable, sides: tuple[Side, ...]) -> tuple[ClassDescription, ...]:
    names = classes_of(table)
    in_image = _presence(table, names)
    images: Counter[tuple[str, Side]] = Counter()
    units: dict[tuple[str, Side], set[str]] = {}
    for row, side in enumerate(sides):
        for index in np.flatnonzero(in_image[row]).tolist():
            images[names[index], side] += 1
            units.setdefault((names[index], side), set()).add(table.units[row])
    return tuple(
        ClassDescription(
            name=name,
            train_images=images[name, "train"],
            train_units=len(units.get((name, "train"), ())),
            test_images=images[name, "test"],
            test_units=len(units.get((name, "test"), ())),
        )
        for name in names
    )


def _presence(table: ImageTable, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether each image has each class, shape (images, classes)."""
    if table.masks is None:
        place = {name: index for index, name in enumerate(names)}
        return np.eye(len(names), dtype=bool)[[place[label] for label in table.labels]]
    found = np.zeros((len(table.masks), len(names)), dtype=bool)
    for row, mask in enumerate(table.masks):
        found[row, np.unique(mask)] = True
    return found
