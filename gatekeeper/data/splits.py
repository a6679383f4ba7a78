"""Division of an image table into training and test units, with nothing shared between the two.

Guarantees, whatever the split: a group is on one side; a unit is in one group; an image, to the last pixel,
belongs to one unit. A second owner would break the sensitivity of the training (removing one unit would
leave its image in the other), and an image on both sides would be judged by memory.

A seeded split orders the groups by the SHA-256 of seed and name: it is the same on every machine, for every
version of every library, and doesn't depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from gatekeeper.core.data_spec import DataSpec, SplitSpec
from gatekeeper.data.dataset import Dataset, Units
from gatekeeper.data.records import ImageTable, Side
from gatekeeper.data.store import blocks, gathered
from gatekeeper.errors import DataError

_SHOWN = 3
_WHY: dict[frozenset[str], str] = {
    frozenset({"train"}): "both are trained on, so removing one would not remove its image",
    frozenset({"train", "test"}): "one is trained on and one is for the test",
    frozenset({"test"}): "both are for the test, which counts units as independent",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedImage:
    """One image that two units hold.

    Attributes:
        first: row of its first occurrence.
        second: row of an occurrence in another unit.
    """

    first: int
    second: int


def shared_images(table: ImageTable) -> tuple[SharedImage, ...]:
    """Every row whose pixels occurred in an earlier row of another unit, with that row."""
    owners: dict[bytes, int] = {}
    shared = []
    for row, pixels in enumerate(table.images):
        first = owners.setdefault(hashlib.sha256(pixels.tobytes()).digest(), row)
        if table.units[first] != table.units[row]:
            shared.append(SharedImage(first=first, second=row))
    return tuple(shared)


def choose_test_groups(groups: frozenset[str], *, test: float, seed: int) -> frozenset[str]:
    """The groups that go to the test side: those with the smallest SHA-256 of seed and name.

    Args:
        groups: names of all groups.
        test: share of the groups for the test side, in (0, 1); the count is rounded to the nearest.
        seed: seed of the division.
    """

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"gatekeeper split v1\n{seed}\n{name}".encode()).digest()

    return frozenset(sorted(groups, key=rank)[: round(test * len(groups))])


def divide(table: ImageTable, spec: DataSpec) -> Dataset:
    """Divide `table` as `spec.split` says.

    Args:
        table: every image, in any order: the result doesn't depend on it.
        spec: where it came from, and how to divide it.

    Returns:
        The data set, units sorted by name. Classes are the table's own where it has masks; else sorted, by value
        where all of them are whole numbers.

    Raises:
        DataError: a unit in two groups, a group on both sides, an image in two units, fewer than two
            classes, a class without training images, a side without units, or a split that is both given
            and asked for, or neither.
    """
    sides = sides_of(table, spec)
    _check_shared_images(table, sides, unit=spec.unit)
    classes = classes_of(table)
    _check_sides(table, sides, classes)
    return Dataset(
        name=table.name,
        format=spec.format,
        synthetic=spec.phantom is not None,
        unit=spec.unit,
        classes=classes,
        code=table.code,
        train=_units(table, sides, side="train", classes=classes),
        test=_units(table, sides, side="test", classes=classes),
        notes=table.notes,
    )


def sides_of(table: ImageTable, spec: DataSpec) -> tuple[Side, ...]:
    """The side of each image, as the data set gives it or as `spec.split` asks for it.

    Raises:
        DataError: a unit in two groups, a group on both sides, a side without units, or a split that is both given and
            asked for, or neither.
    """
    _check_one_group_per_unit(table, spec)
    return _given_sides(table, table.sides, spec) if table.sides else _seeded_sides(table, spec.split)


def _check_one_group_per_unit(table: ImageTable, spec: DataSpec) -> None:
    group_of: dict[str, str] = {}
    for unit, group in zip(table.units, table.groups, strict=True):
        if group_of.setdefault(unit, group) != group:
            raise DataError(
                f"{spec.unit} {table.shown(unit)} has two values of {spec.split.by}: "
                f"{table.shown(group_of[unit])} and {table.shown(group)}",
                where=table.source,
                hint=f"make split.by the same as the unit or coarser, or correct the column {spec.split.by}",
            )


def _given_sides(table: ImageTable, sides: tuple[Side, ...], spec: DataSpec) -> tuple[Side, ...]:
    if spec.split.test is not None:
        raise DataError(
            f"the data set gives its own split, and split.test asks for another ({spec.split.test!r})",
            where=table.source,
            hint="leave out split.test: whoever divided the data may know of relations that no column tells",
        )
    side_of: dict[str, Side] = {}
    for group, side in zip(table.groups, sides, strict=True):
        if side_of.setdefault(group, side) != side:
            raise DataError(
                f"{spec.split.by or spec.unit} {table.shown(group)} has images on both sides of the given split",
                where=table.source,
                hint="move all its images to one side",
            )
    return sides


def _seeded_sides(table: ImageTable, split: SplitSpec) -> tuple[Side, ...]:
    if split.test is None:
        raise DataError(
            "the data set gives no split of its own", where=table.source, hint="set split.test, such as 0.2"
        )
    groups = frozenset(table.groups)
    chosen = choose_test_groups(groups, test=split.test, seed=split.seed)
    if not chosen or chosen == groups:
        side = "training" if chosen else "test"
        raise DataError(
            f"split.test {split.test!r} of {len(groups)} groups leaves none for {side}",
            where=table.source,
            hint="change split.test, or split by a finer column",
        )
    return tuple("test" if group in chosen else "train" for group in table.groups)


def _check_shared_images(table: ImageTable, sides: tuple[Side, ...], *, unit: str) -> None:
    shared = shared_images(table)
    if not shared:
        return
    shown = "; ".join(
        f"{table.shown(table.units[pair.first])} and {table.shown(table.units[pair.second])} "
        f"({table.shown_image(pair.first)} = {table.shown_image(pair.second)}; "
        f"{_WHY[frozenset({sides[pair.first], sides[pair.second]})]})"
        for pair in shared[:_SHOWN]
    )
    owner = "protect a coarser unit" if unit == "image" else f"give its copies the same {unit}"
    more = f"; and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
    raise DataError(
        f"an identical image is in two units: {shown}{more}",
        where=table.source,
        hint=f"keep one copy of each image, or {owner}: an image must have one owner",
    )


def classes_of(table: ImageTable) -> tuple[str, ...]:
    """The classes in the order of the model's outputs.

    Raises:
        DataError: there are fewer than two.
    """
    if table.classes is not None:
        return table.classes
    classes = set(table.labels)
    if len(classes) < 2:
        raise DataError(
            f"every image has the same class, {min(classes)!r}",
            where=table.source,
            hint="a classifier needs at least two classes; check data.label",
        )
    if all(name.isascii() and name.isdecimal() and str(int(name)) == name for name in classes):
        return tuple(sorted(classes, key=int))
    return tuple(sorted(classes))


def _check_sides(table: ImageTable, sides: tuple[Side, ...], classes: tuple[str, ...]) -> None:
    trained = _trained_classes(table, sides, classes)
    missing = [name for name in classes if name not in trained]
    if missing:
        raise DataError(
            f"no training image has the class {', '.join(map(repr, missing))}",
            where=table.source,
            hint="use another split.seed or a smaller split.test, or leave the class out of the data",
        )
    units = {unit for unit, side in zip(table.units, sides, strict=True) if side == "train"}
    if len(units) < 2 or "test" not in sides:
        raise DataError(
            f"{len(units)} units are for training and {len(set(table.units) - units)} for the test",
            where=table.source,
            hint="two units for training and one for the test are the least",
        )


def _trained_classes(table: ImageTable, sides: tuple[Side, ...], classes: tuple[str, ...]) -> set[str]:
    """The classes that a training image, or a pixel of its mask, has."""
    rows = [row for row, side in enumerate(sides) if side == "train"]
    if table.masks is None:
        return {table.labels[row] for row in rows}
    parts = blocks(len(rows), row_bytes=math.prod(table.masks.shape[1:]))
    return {classes[index] for part in parts for index in np.unique(table.masks[rows[part]])}


def _units(table: ImageTable, sides: tuple[Side, ...], *, side: Side, classes: tuple[str, ...]) -> Units:
    rows = sorted(
        (row for row, own in enumerate(sides) if own == side),
        key=lambda row: (table.units[row], table.image_names[row]),
    )
    group_of = {table.units[row]: table.groups[row] for row in rows}  # in the order of the sorted names
    index = {name: position for position, name in enumerate(group_of)}
    class_index = {name: position for position, name in enumerate(classes)}
    return Units(
        images=gathered(table.images, rows),
        labels=np.array([class_index[table.labels[row]] for row in rows], dtype=np.int64),
        masks=None if table.masks is None else gathered(table.masks, rows),
        unit_of=np.array([index[table.units[row]] for row in rows], dtype=np.int64),
        names=tuple(group_of),
        groups=tuple(group_of.values()),
    )
