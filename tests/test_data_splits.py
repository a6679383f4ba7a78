"""Splits: nothing is shared between units or sides, and the same seed divides alike everywhere."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatekeeper.data.records import ImageTable
from gatekeeper.data.splits import choose_test_groups, divide, shared_images
from gatekeeper.errors import DataError, InvalidValueError
from tests.data_layouts import SALT, spec, table
from tests.reference.naive_duplicates import rows_with_a_second_owner

FORMAT = "image-folder"
FOLDER = Path("folder")


def rearranged(whole: ImageTable, order: list[int]) -> ImageTable:
    def pick(column: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(column[row] for row in order)

    return dataclasses.replace(
        whole,
        images=whole.images[order],
        image_names=pick(whole.image_names),
        labels=pick(whole.labels),
        units=pick(whole.units),
        groups=pick(whole.groups),
    )


def many(*, units: int = 12, images: int = 2) -> ImageTable:
    return table(tuple(f"u{unit:02d}" for unit in range(units) for _ in range(images)))


@given(
    groups=st.frozensets(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=1, max_size=40),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**64),
)
def test_the_test_side_has_its_share_of_groups(groups: frozenset[str], share: float, seed: int) -> None:
    chosen = choose_test_groups(groups, test=share, seed=seed)
    assert chosen <= groups
    assert abs(len(chosen) - share * len(groups)) <= 0.5


@given(seed=st.integers(0, 1000))
def test_a_group_keeps_its_side_when_smaller_shares_grow(seed: int) -> None:
    groups = frozenset(f"g{index}" for index in range(30))
    shares = [choose_test_groups(groups, test=share, seed=seed) for share in (0.1, 0.2, 0.5)]
    assert shares[0] < shares[1] < shares[2]


def test_the_division_is_the_same_on_every_machine() -> None:
    groups = frozenset(f"patient-{index}" for index in range(10))
    assert sorted(choose_test_groups(groups, test=0.3, seed=7)) == ["patient-4", "patient-5", "patient-9"]


def test_another_seed_divides_otherwise() -> None:
    groups = frozenset(f"g{index}" for index in range(30))
    assert len({choose_test_groups(groups, test=0.2, seed=seed) for seed in range(20)}) == 20


def test_each_group_is_as_likely_to_be_tested() -> None:
    groups = frozenset(f"g{index}" for index in range(10))
    counts = dict.fromkeys(groups, 0)
    for seed in range(1000):
        for name in choose_test_groups(groups, test=0.3, seed=seed):
            counts[name] += 1
    # Binomial(1000, 0.3): the standard deviation is 14.5; an order by name alone would give 0 and 1000.
    assert all(230 < count < 370 for count in counts.values())


@given(seed=st.integers(0, 1000), shuffle=st.randoms(use_true_random=False))
def test_the_result_does_not_depend_on_the_order_of_rows(seed: int, shuffle: random.Random) -> None:
    whole = many()
    order = list(range(len(whole.images)))
    shuffle.shuffle(order)
    wanted = spec(FORMAT, FOLDER, seed=seed)
    first, second = divide(whole, wanted), divide(rearranged(whole, order), wanted)
    assert first.train.names == second.train.names
    assert np.array_equal(first.train.images, second.train.images)
    assert first.digest(salt=SALT) == second.digest(salt=SALT)


@given(
    patients=st.lists(st.integers(0, 9), min_size=12, max_size=30),
    seed=st.integers(0, 1000),
    share=st.floats(0.2, 0.6),
)
def test_no_group_is_on_both_sides(patients: list[int], seed: int, share: float) -> None:
    lesions = tuple(f"lesion-{row // 2}" for row in range(2 * len(patients)))
    groups = tuple(f"patient-{patients[row // 2]}" for row in range(2 * len(patients)))
    whole = table(lesions, groups=groups)
    wanted = spec(FORMAT, FOLDER, unit="lesion", by="patient", seed=seed, test=share)
    assume(len(set(groups)) >= 4)
    data = divide(whole, wanted)
    assert not set(data.train.groups) & set(data.test.groups)
    assert not set(data.train.names) & set(data.test.names)
    assert set(data.train.names) | set(data.test.names) == set(lesions)
    assert len(data.train.images) + len(data.test.images) == len(lesions)


def test_pixels_labels_and_owners_stay_together() -> None:
    whole = many()
    data = divide(whole, spec(FORMAT, FOLDER))
    rows = {image.tobytes(): row for row, image in enumerate(whole.images)}
    for side in (data.train, data.test):
        for image, label, unit in zip(side.images, side.labels, side.unit_of, strict=True):
            row = rows[image.tobytes()]
            assert data.classes[label] == whole.labels[row]
            assert side.names[unit] == whole.units[row]


def test_whole_number_classes_are_sorted_by_value() -> None:
    labels = tuple(str(row % 12) for row in range(48))
    data = divide(table(tuple(f"u{row}" for row in range(48)), labels=labels), spec(FORMAT, FOLDER))
    assert data.classes == tuple(str(label) for label in range(12))


def test_other_classes_are_sorted_by_name() -> None:
    labels = tuple(("10", "9", "nv")[row % 3] for row in range(48))
    data = divide(table(tuple(f"u{row}" for row in range(48)), labels=labels), spec(FORMAT, FOLDER))
    assert data.classes == ("10", "9", "nv")


def test_a_unit_in_two_groups_is_refused() -> None:
    whole = table(("u", "u", "v", "w"), groups=("ann", "bob", "ann", "cid"))
    with pytest.raises(DataError, match="lesion 'u' has two values of patient: 'ann' and 'bob'"):
        divide(whole, spec(FORMAT, FOLDER, unit="lesion", by="patient"))


def test_a_unit_on_both_sides_of_a_given_split_is_refused() -> None:
    whole = table(("u", "v", "w", "v"), sides=("train", "train", "test", "test"))
    with pytest.raises(DataError, match="patient 'v' has images on both sides"):
        divide(whole, spec(FORMAT, FOLDER, unit="patient", test=None))


def test_a_given_split_is_kept() -> None:
    whole = table(("u", "v", "w", "x"), sides=("train", "train", "test", "test"))
    data = divide(whole, spec(FORMAT, FOLDER, test=None))
    assert (data.train.names, data.test.names) == (("u", "v"), ("w", "x"))


def test_a_second_split_over_a_given_one_is_refused() -> None:
    whole = table(("u", "v", "w", "x"), sides=("train", "train", "test", "test"))
    with pytest.raises(DataError, match=r"leave out split\.test"):
        divide(whole, spec(FORMAT, FOLDER, test=0.2))


def test_no_split_at_all_is_refused() -> None:
    with pytest.raises(DataError, match=r"set split\.test"):
        divide(many(), spec(FORMAT, FOLDER, test=None))


@pytest.mark.parametrize(("share", "side"), [(0.01, "test"), (0.99, "training")])
def test_a_share_that_leaves_a_side_empty_is_refused(share: float, side: str) -> None:
    with pytest.raises(DataError, match=f"leaves none for {side}"):
        divide(many(), spec(FORMAT, FOLDER, test=share))


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="same class, 'a'"):
        divide(table(("u", "v", "w"), labels=("a", "a", "a")), spec(FORMAT, FOLDER))


def test_a_class_without_training_images_is_refused_by_name() -> None:
    whole = table(("u", "v", "w"), labels=("a", "b", "rare"), sides=("train", "train", "test"))
    with pytest.raises(DataError, match="no training image has the class 'rare'"):
        divide(whole, spec(FORMAT, FOLDER, test=None))


def test_a_single_training_unit_is_refused() -> None:
    whole = table(("u", "u", "w"), sides=("train", "train", "test"))
    with pytest.raises(DataError, match="1 units are for training"):
        divide(whole, spec(FORMAT, FOLDER, test=None))


def test_a_missing_test_side_is_refused() -> None:
    with pytest.raises(DataError, match="0 for the test"):
        divide(table(("u", "v"), sides=("train", "train")), spec(FORMAT, FOLDER, test=None))


@pytest.mark.parametrize(
    ("second", "why"),
    [(1, "both are trained on"), (2, "one is trained on and one is for the test")],
)
def test_an_image_in_two_units_is_refused_by_their_names(second: int, why: str) -> None:
    whole = table(("u", "v", "w", "x"), sides=("train", "train", "test", "test"))
    whole.images[second] = whole.images[0]
    name = whole.units[second]
    with pytest.raises(DataError, match=rf"'u' and '{name}' \(image-000 = image-00{second}; {why}"):
        divide(whole, spec(FORMAT, FOLDER, test=None))


def test_an_image_in_two_test_units_is_refused() -> None:
    whole = table(("u", "v", "w", "x"), sides=("train", "train", "test", "test"))
    whole.images[3] = whole.images[2]
    with pytest.raises(DataError, match="counts units as independent"):
        divide(whole, spec(FORMAT, FOLDER, test=None))


def test_an_image_in_two_units_is_refused_under_every_seed() -> None:
    for seed in range(10):
        whole = many()
        whole.images[20] = whole.images[0]
        with pytest.raises(DataError, match="'u00' and 'u10'") as refusal:
            divide(whole, spec(FORMAT, FOLDER, unit="patient", seed=seed))
        assert refusal.value.where == "memory"
        assert "give its copies the same patient" in str(refusal.value.hint)


def test_only_the_first_of_many_shared_images_are_listed() -> None:
    whole = table(tuple(f"u{row}" for row in range(10)), images=np.zeros((10, 1, 4, 4), dtype=np.uint8))
    with pytest.raises(DataError, match="and 6 more"):
        divide(whole, spec(FORMAT, FOLDER))


def test_an_image_twice_in_one_unit_is_allowed() -> None:
    whole = many()
    whole.images[1] = whole.images[0]
    assert divide(whole, spec(FORMAT, FOLDER)).train.units


@given(values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("uvw")), min_size=1, max_size=12))
def test_shared_images_are_those_of_the_naive_search(values: list[tuple[int, str]]) -> None:
    images = np.stack([np.full((1, 2, 2), value, dtype=np.uint8) for value, _ in values])
    whole = table(tuple(unit for _, unit in values), images=images)
    assert {pair.second for pair in shared_images(whole)} == rows_with_a_second_owner(whole)


def test_a_table_of_uneven_columns_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="each image needs"):
        table(("u", "v"), labels=("a",))


def test_a_table_with_one_image_name_twice_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="share a name"):
        dataclasses.replace(table(("u", "v")), image_names=("x", "x"))


def test_a_table_prints_no_names() -> None:
    assert repr(table(("Jane Doe", "John Doe"))) == "ImageTable('a table', 2 images)"
