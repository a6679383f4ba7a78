"""Masks through tables, splits, data sets and identities: they follow their images and change nobody's identity."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.core.units import UnitImages
from gatekeeper.data import identities
from gatekeeper.data.dataset import Dataset, Units
from gatekeeper.data.records import ImageTable
from gatekeeper.data.splits import divide
from gatekeeper.errors import DataError, InvalidValueError
from tests.data_layouts import SALT, pixels, spec

CLASSES = ("background", "organ", "lesion")
SPATIAL = {"images": (4, 4), "volumes": (3, 4, 4)}


def masks_of(count: int, size: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (count, *size)).astype(np.uint8)


def units(
    *, names: tuple[str, ...] = ("p", "q"), size: tuple[int, ...] = (4, 4), seed: int = 0, groups: tuple[str, ...] = ()
) -> Units:
    masks = masks_of(2 * len(names), size, seed=seed)
    return Units(
        images=pixels(seed, shape=(len(masks), 1, *size)),
        labels=masks.reshape(len(masks), -1).max(axis=1).astype(np.int64),
        unit_of=np.repeat(np.arange(len(names)), 2),
        names=names,
        groups=groups or names,
        masks=masks,
    )


def dataset(train: Units | None = None, test: Units | None = None) -> Dataset:
    return Dataset(
        name="toy",
        format="phantom-abdomen",
        synthetic=True,
        unit="patient",
        classes=CLASSES,
        train=train or units(),
        test=test or units(names=("r", "s"), seed=1),
    )


def table(owners: tuple[str, ...], *, masks: np.ndarray | None = None, images: np.ndarray | None = None) -> ImageTable:
    masks = masks_of(len(owners), (4, 4)) if masks is None else masks
    return ImageTable(
        name="a table",
        source="memory",
        images=pixels(0, shape=(len(owners), 1, 4, 4)) if images is None else images,
        image_names=tuple(f"image-{row}" for row in range(len(owners))),
        labels=tuple(CLASSES[int(mask.max())] for mask in masks),
        units=owners,
        groups=owners,
        masks=masks,
        classes=CLASSES,
    )


def divided(whole: ImageTable, **options: object) -> Dataset:
    return divide(whole, spec("image-folder", Path("folder"), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SPATIAL.values(), ids=SPATIAL)
def test_units_with_masks_satisfy_the_protocol_and_are_read_only(size: tuple[int, ...]) -> None:
    side: UnitImages = units(size=size)
    assert side.masks is not None
    with pytest.raises(ValueError, match="read-only"):
        side.masks[0] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": masks_of(4, (4, 4)).astype(np.int64)}, "masks must be uint8"),
        ({"masks": masks_of(3, (4, 4))}, r"of shape \(4, 4, 4\)"),
        ({"masks": masks_of(4, (4, 5))}, r"of shape \(4, 4, 4\)"),
        ({"masks": np.zeros((4, 4, 4), dtype=np.uint8)}, "largest class of its mask"),
        ({"labels": np.zeros(4, dtype=np.int64)}, "largest class of its mask"),
    ],
)
def test_masks_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        dataclasses.replace(units(), **change)


def test_a_class_without_a_name_is_refused() -> None:
    side = units()
    masks = np.full_like(side.masks, 3)
    with pytest.raises(InvalidValueError, match=r"0 … 2"):
        dataset(dataclasses.replace(side, masks=masks, labels=np.full(4, 3)))


def test_masks_on_one_side_only_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="both have masks"):
        dataset(dataclasses.replace(units(), masks=None))


def test_masks_go_with_classes() -> None:
    with pytest.raises(InvalidValueError, match="go with the classes"):
        dataclasses.replace(table(("p", "q", "r")), classes=None)


@pytest.mark.parametrize("size", SPATIAL.values(), ids=SPATIAL)
def test_groups_keep_the_masks(size: tuple[int, ...]) -> None:
    side = units(size=size, groups=("g", "g"))
    assert side.by_group().masks is side.masks
    assert side.by_group().units == 1


@pytest.mark.parametrize("size", SPATIAL.values(), ids=SPATIAL)
def test_the_digest_changes_with_every_pixel_of_a_mask(size: tuple[int, ...]) -> None:
    side = units(size=size)
    other = units(names=("r", "s"), size=size, seed=1)
    digests = {dataset(side, other).digest(salt=SALT)}
    for place in np.ndindex(side.masks.shape):
        masks = side.masks.copy()
        masks[place] = 0 if masks[place] != 0 else 1
        labels = masks.reshape(len(masks), -1).max(axis=1).astype(np.int64)
        digests.add(dataset(dataclasses.replace(side, masks=masks, labels=labels), other).digest(salt=SALT))
    assert len(digests) == side.masks.size + 1


def test_the_digest_tells_axes_from_classes() -> None:
    """A volume of one slice and the slice have the same bytes, but are not the same data."""
    flat, other = units(size=(4, 4)), units(names=("r", "s"), size=(4, 4), seed=1)

    def deep(side: Units) -> Units:
        return dataclasses.replace(side, images=side.images[:, :, None].copy(), masks=side.masks[:, None].copy())

    assert dataset(flat, other).digest(salt=SALT) != dataset(deep(flat), deep(other)).digest(salt=SALT)


def test_the_card_says_the_task() -> None:
    card = dataset(units(size=(3, 4, 4)), units(names=("r", "s"), size=(3, 4, 4), seed=1)).card(salt=SALT)
    assert (card.task, card.image_shape, card.pixels, card.classes) == ("segmentation", (1, 3, 4, 4), 48, CLASSES)


def test_a_split_keeps_each_mask_with_its_image() -> None:
    whole = table(tuple(f"u{row // 2}" for row in range(12)))
    data = divided(whole)
    assert data.classes == CLASSES
    for side in (data.train, data.test):
        for image, mask in zip(side.images, side.masks, strict=True):
            (row,) = np.flatnonzero((whole.images == image).all(axis=(1, 2, 3)))
            assert np.array_equal(mask, whole.masks[row])


def test_a_class_that_only_the_test_side_shows_is_refused() -> None:
    whole = table(tuple("abcdef"))
    side = {name: divided(whole).test.names.count(name) for name in "abcdef"}
    masks = np.array([np.full((4, 4), 2 if side[name] else 1) for name in "abcdef"], dtype=np.uint8)
    with pytest.raises(DataError, match="no training image has the class 'background', 'lesion'"):
        divided(table(tuple("abcdef"), masks=masks))


def test_an_image_in_two_units_is_refused_whatever_its_masks() -> None:
    images = pixels(0, shape=(6, 1, 4, 4))
    images[4] = images[1]
    with pytest.raises(DataError, match="an identical image is in two units"):
        divided(table(tuple("abcdef"), images=images))


def test_identities_are_those_of_the_pixels() -> None:
    side = units()
    masks = masks_of(4, (4, 4), seed=9)
    labels = masks.reshape(4, -1).max(axis=1).astype(np.int64)
    other = dataclasses.replace(side, masks=masks, labels=labels)
    assert identities(dataset(side), population=None) == identities(dataset(other), population=None)
