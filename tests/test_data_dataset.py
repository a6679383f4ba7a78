"""Units and data sets: what they refuse, and what their digest depends on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.units import UnitImages
from gatekeeper.data.dataset import Dataset, Units
from gatekeeper.data.selection import chosen
from gatekeeper.errors import InvalidValueError
from tests.data_layouts import SALT, dataset, units


def reordered(side: Units, order: list[int]) -> Units:
    return dataclasses.replace(side, images=side.images[order], labels=side.labels[order], unit_of=side.unit_of[order])


def test_units_satisfy_the_protocol_of_the_stages() -> None:
    protocol: UnitImages = units()
    assert protocol.units == 2


def test_arrays_become_read_only() -> None:
    side = units()
    for array in (side.images, side.labels, side.unit_of):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_chosen_units_keep_their_images_in_the_order_named() -> None:
    side = units()
    found = chosen(side, np.array([1, 0]))
    assert found.names == side.names[::-1]
    assert found.groups == side.groups[::-1]
    for index, unit in enumerate((1, 0)):
        np.testing.assert_array_equal(found.images[found.unit_of == index], side.images[side.unit_of == unit])
        np.testing.assert_array_equal(found.labels[found.unit_of == index], side.labels[side.unit_of == unit])
    assert chosen(side, np.array([1])).units == 1


def test_neither_names_nor_pixels_are_printed() -> None:
    assert repr(units(names=("Jane Doe", "John Doe"))) == "Units(2 units, 4 images)"
    assert "Doe" not in repr(dataset(units(names=("Jane Doe", "John Doe"))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((4, 1, 4, 4))}, "uint8"),
        ({"images": np.zeros((4, 4, 4), dtype=np.uint8)}, "4 or 5 dimensions"),
        ({"labels": np.zeros(3, dtype=np.int64)}, "labels must be int64"),
        ({"unit_of": np.zeros(4, dtype=np.int32)}, "unit_of must be int64"),
        ({"unit_of": np.zeros(4, dtype=np.int64)}, "every unit"),
        ({"unit_of": np.array([0, 1, 2, 0])}, "every unit"),
        ({"names": ("p", "p")}, "a name of its own"),
        ({"groups": ("p",)}, "one group"),
    ],
)
def test_units_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        dataclasses.replace(units(), **change)


def test_a_unit_or_group_on_both_sides_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="both sides"):
        dataset(units(), units(seed=1))
    with pytest.raises(InvalidValueError, match="both sides"):
        dataset(units(groups=("x", "y")), units(names=("r", "s"), groups=("y", "z")))


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"0 … 1"):
        dataset(dataclasses.replace(units(), labels=np.array([0, 1, 2, 0])))


def test_sides_of_different_image_shape_are_refused() -> None:
    other = dataclasses.replace(units(names=("r", "s")), images=np.zeros((4, 1, 4, 5), dtype=np.uint8))
    with pytest.raises(InvalidValueError, match="image shape"):
        dataset(units(), other)


def test_the_card_counts_units_and_images() -> None:
    train = units(names=("p", "q", "t"))
    train = dataclasses.replace(train, unit_of=np.array([0, 1, 2, 2, 2, 2]))
    card = dataset(train).card(salt=SALT)
    assert (card.train_units, card.train_images, card.max_images_per_unit) == (3, 6, 4)
    assert (card.test_units, card.test_images) == (2, 4)
    assert card.image_shape == (1, 4, 4)
    assert card.commitment == dataset(train).digest(salt=SALT)


def test_a_salt_of_another_length_is_refused() -> None:
    for length in (0, 16, 31, 33, 64):
        with pytest.raises(InvalidValueError, match="32 bytes"):
            dataset().digest(salt=bytes(length))


def test_digest_depends_on_the_salt() -> None:
    assert dataset().digest(salt=SALT) != dataset().digest(salt=bytes(32))


def test_digest_does_not_depend_on_the_name() -> None:
    assert dataset(name="a").digest(salt=SALT) == dataset(name="b").digest(salt=SALT)


@given(order=st.permutations(range(4)))
def test_digest_does_not_depend_on_the_order_of_images(order: list[int]) -> None:
    assert dataset(reordered(units(), order)).digest(salt=SALT) == dataset().digest(salt=SALT)


def test_digest_does_not_depend_on_the_order_of_units() -> None:
    side = units()
    swapped = dataclasses.replace(side, names=("q", "p"), groups=("q", "p"), unit_of=1 - side.unit_of)
    assert dataset(swapped).digest(salt=SALT) == dataset().digest(salt=SALT)


@given(image=st.integers(0, 3), row=st.integers(0, 3), column=st.integers(0, 3), flip=st.integers(1, 255))
def test_digest_changes_with_every_pixel(image: int, row: int, column: int, flip: int) -> None:
    images = units().images.copy()
    images[image, 0, row, column] ^= flip
    changed = dataset(dataclasses.replace(units(), images=images))
    assert changed.digest(salt=SALT) != dataset().digest(salt=SALT)


def changed_datasets() -> list[Dataset]:
    whole = dataset()
    train, test = whole.train, whole.test
    return [
        dataclasses.replace(whole, train=test, test=train),
        dataclasses.replace(whole, format="ham10000"),
        dataclasses.replace(whole, synthetic=True),
        dataclasses.replace(whole, unit="image"),
        dataclasses.replace(whole, classes=("benign", "malignan")),
        dataclasses.replace(whole, classes=("malignant", "benign")),
        dataclasses.replace(whole, classes=("benign", "malignant", "other")),
        dataclasses.replace(whole, train=dataclasses.replace(train, labels=1 - train.labels)),
        dataclasses.replace(whole, train=dataclasses.replace(train, names=("p", "Q"))),
        dataclasses.replace(whole, train=dataclasses.replace(train, groups=("p", "p"))),
        dataclasses.replace(whole, train=dataclasses.replace(train, unit_of=np.array([0, 1, 0, 1]))),
        dataclasses.replace(whole, test=dataclasses.replace(test, labels=1 - test.labels)),
        dataclasses.replace(
            whole,
            train=dataclasses.replace(train, images=train.images.reshape(4, 1, 2, 8)),
            test=dataclasses.replace(test, images=test.images.reshape(4, 1, 2, 8)),
        ),
    ]


def test_digest_changes_with_everything_else() -> None:
    digests = {whole.digest(salt=SALT) for whole in (dataset(), *changed_datasets())}
    assert len(digests) == len(changed_datasets()) + 1


def test_groups_are_the_independent_draws() -> None:
    side = Units(
        images=np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4),
        labels=np.zeros(3, dtype=np.int64),
        unit_of=np.arange(3),
        names=("a", "b", "c"),
        groups=("second", "first", "second"),
    )
    grouped = side.by_group()
    assert grouped.units == 2
    assert grouped.unit_of.tolist() == [1, 0, 1]
    assert grouped.images is side.images
