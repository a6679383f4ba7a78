"""Descriptions of data: what is planted is found, what isn't there is not claimed, and nobody is named."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gatekeeper import data
from gatekeeper.core.data_description import DataDescription, Quantiles
from gatekeeper.core.data_spec import DataSpec, PhantomSpec
from gatekeeper.data.description import describe
from gatekeeper.data.near_duplicates import near_duplicates, short_vectors
from gatekeeper.data.pseudonyms import Pseudonyms
from gatekeeper.data.records import ImageTable
from gatekeeper.data.splits import sides_of
from gatekeeper.errors import DataError, InvalidValueError
from tests.data_layouts import class_folders, ham10000, medmnist_arrays, pixels, spec, table, write_image
from tests.reference.naive_near_duplicates import pairs_alike

FOLDER = spec("image-folder", Path("folder"))
SALT = bytes(32)


def described(whole: ImageTable, of: DataSpec = FOLDER, *, near: float | None = 0.99) -> DataDescription:
    return describe(whole, sides_of(whole, of), of, pseudonyms=Pseudonyms(SALT), near=near)


def noise(count: int, *, shape: tuple[int, ...] = (1, 12, 12)) -> NDArray[np.uint8]:
    return pixels(5, shape=(count, *shape))


def names(count: int) -> tuple[str, ...]:
    return tuple(f"patient {number:03d}" for number in range(count))


def one_on_each_side(whole: ImageTable) -> tuple[int, int]:
    sides = sides_of(whole, FOLDER)
    return sides.index("train"), sides.index("test")


# Counts


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_a_quantile_is_the_smallest_count_that_so_many_do_not_exceed(counts: list[int]) -> None:
    found = Quantiles.of(tuple(counts))
    for part, value in ((1, found.quarter), (2, found.median), (3, found.three_quarters), (4, found.most)):
        assert sum(count <= value for count in counts) * 4 >= part * len(counts)
        assert value == min(counts) or sum(count < value for count in counts) * 4 < part * len(counts)
    assert found.least == min(counts)


def test_no_counts_have_no_quantiles() -> None:
    with pytest.raises(InvalidValueError):
        Quantiles.of(())


@settings(max_examples=30)
@given(data=st.data())
def test_counts_are_those_of_going_through_the_table_by_hand(data: st.DataObject) -> None:
    count = data.draw(st.integers(8, 30))
    owners = tuple(f"u{data.draw(st.integers(0, 6))}" for _ in range(count))
    labels = tuple(data.draw(st.sampled_from("abc")) for _ in range(count))
    whole = table((*owners, "v", "w"), labels=(*labels, "a", "b"), images=noise(count + 2, shape=(1, 3, 3)))
    sides = sides_of(whole, FOLDER)
    found = described(whole, near=None)
    rows = list(zip(whole.units, whole.labels, sides, strict=True))
    for side in found.sides:
        own = Counter(unit for unit, _, where in rows if where == side.side)
        assert (side.units, side.images) == (len(own), sum(own.values()))
        assert (side.images_per_unit.least, side.images_per_unit.most) == (min(own.values()), max(own.values()))
    for each in found.classes:
        train = [unit for unit, label, where in rows if (label, where) == (each.name, "train")]
        test = [unit for unit, label, where in rows if (label, where) == (each.name, "test")]
        assert (each.train_images, each.train_units) == (len(train), len(set(train)))
        assert (each.test_images, each.test_units) == (len(test), len(set(test)))


def test_a_class_of_masks_is_counted_where_a_mask_holds_it() -> None:
    masks = np.zeros((10, 12, 12), dtype=np.uint8)
    masks[::2, 3, 3] = 1
    masks[::5, 0, 0] = 2
    classes = ("background", "liver", "lesion")
    whole = dataclasses.replace(
        table(names(10), images=noise(10), labels=tuple(classes[mask.max()] for mask in masks)),
        masks=masks,
        classes=classes,
    )
    phantom = PhantomSpec(patients=10)
    of = spec("phantom-abdomen", None, unit="patient", phantom=phantom)
    found = described(whole, of)
    assert [each.train_images + each.test_images for each in found.classes] == [10, 5, 2]
    assert found.task == "segmentation"


def test_groups_are_counted_apart_from_units() -> None:
    whole = table(("a", "b", "c", "d"), groups=("g", "g", "h", "i"), images=noise(4))
    found = described(whole)
    assert sum(side.groups for side in found.sides) == 3
    assert sum(side.units for side in found.sides) == 4


# Shapes


def test_stored_shapes_are_those_of_the_files_before_resizing(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "folder")
    write_image(folder / "naevus" / "case-9" / "wide.png", 999, shape=(6, 10, 3))
    of = spec("image-folder", folder, image_size=(4, 4))
    found = described(data.read(of), of)
    assert found.image_shape == (3, 4, 4)
    assert [(each.shape, each.images) for each in found.stored_shapes or ()] == [((3, 8, 8), 10), ((3, 6, 10), 1)]


def test_every_reader_that_knows_says_how_images_are_stored(tmp_path: Path) -> None:
    table_spec = spec("ham10000", ham10000(tmp_path / "ham"), unit="lesion_id", image_size=(4, 4))
    assert set(data.read(table_spec).stored_shapes or ()) == {(3, 8, 8)}
    np.savez(tmp_path / "grey.npz", **medmnist_arrays())
    archive = data.read(spec("medmnist", tmp_path / "grey.npz", test=None, image_size=(4, 4)))
    assert archive.stored_shapes == ((1, 8, 8),) * 10
    drawn = spec("phantom-lesions", None, unit="lesion", image_size=(16, 16), phantom=PhantomSpec(patients=10))
    assert described(data.read(drawn), drawn).stored_shapes is None


# Identical images


def test_clean_data_have_no_duplicates() -> None:
    found = described(table(names(40), images=noise(40)))
    assert (found.exact.repeats_within_units, found.exact.shared, found.exact.leaks) == (0, (), 0)
    assert found.near is not None
    assert (found.near.pairs, found.near.complete, found.near.flat_images) == (0, True, 0)


def test_synthetic_lesions_have_no_duplicates() -> None:
    of = spec(
        "phantom-lesions", None, unit="lesion", by="patient", image_size=(24, 24), phantom=PhantomSpec(patients=30)
    )
    found = described(data.read(of), of)
    assert not found.exact.shared
    assert found.near is not None
    assert not found.near.pairs


def test_a_copy_on_the_other_side_is_a_leak() -> None:
    whole = table(names(20), images=noise(20))
    train, test = one_on_each_side(whole)
    copied = whole.images.copy()
    copied[test] = copied[train]
    whole = dataclasses.replace(whole, images=copied, labels=("a", *"b" * 19))
    found = described(whole)
    (picture,) = found.exact.shared
    assert found.exact.leaks == 1
    assert picture.leaks
    assert picture.images == 2
    assert len(picture.units) == 2
    assert picture.sides == ("train", "test")
    assert found.near is not None
    assert not found.near.pairs, "identical images are no near-duplicates"


def test_a_copy_with_another_class_says_both() -> None:
    copied = noise(8)
    copied[1] = copied[0]
    (picture,) = described(table(names(8), images=copied)).exact.shared
    assert picture.labels == ("a", "b")


def test_a_copy_within_a_unit_is_no_leak() -> None:
    copied = noise(12)
    copied[1] = copied[2] = copied[0]
    found = described(table(("a",) * 3 + names(9), images=copied)).exact
    assert (found.repeats_within_units, found.units_with_repeats, found.shared) == (2, 1, ())


# Nearly identical images


def _noisy_copies(seed: int) -> ImageTable:
    """Smooth images, some of them copies with a little noise, one of a single colour."""
    generator = np.random.default_rng(seed)
    rough = generator.normal(size=(14, 2, 4, 5))
    smooth = rough.repeat(3, axis=2).repeat(2, axis=3)
    for copy in range(5):
        smooth[9 + copy] = smooth[copy] * generator.uniform(0.5, 2) + generator.normal(size=(2, 12, 10)) * 0.1 * copy
    spread = smooth - smooth.min(axis=(1, 2, 3), keepdims=True)
    images = (255 * spread / spread.max(axis=(1, 2, 3), keepdims=True)).astype(np.uint8)
    images[8] = 7
    return table(names(14), images=images)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.7, 0.95, 0.999])
def test_the_search_finds_what_comparing_every_pair_finds(seed: int, threshold: float) -> None:
    whole = _noisy_copies(seed)
    sides = sides_of(whole, FOLDER)
    expected = pairs_alike(whole, threshold=threshold)
    found = near_duplicates(whole, sides, threshold=threshold, pseudonyms=Pseudonyms(SALT))
    assert (found.pairs, found.complete, found.flat_images) == (len(expected), True, 1)
    assert found.between_sides == sum(sides[first] != sides[second] for first, second in expected)
    pseudonyms = Pseudonyms(SALT)
    named = {frozenset(pseudonyms.mention(whole, row) for row in pair) for pair in expected}
    assert {frozenset((pair.first, pair.second)) for pair in found.closest} == named


@given(seed=st.integers(0, 2**32), shape=st.sampled_from([(1, 9, 9), (3, 8, 17), (1, 5, 6, 7), (1, 2, 3)]))
def test_short_vectors_never_understate_a_correlation(seed: int, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (6, *shape), dtype=np.uint8)
    images[1] = images[0] // 2
    bound = short_vectors(images) @ short_vectors(images).T
    exact = np.corrcoef(images.reshape(6, -1).astype(np.float64))
    assert (bound >= exact - 1e-5).all()
    assert np.allclose(np.diag(bound), 1.0, atol=1e-5)


def test_a_search_that_stops_says_so() -> None:
    images = np.tile(noise(1), (30, 1, 1, 1))
    for row in range(30):
        images[row, 0, 0, 0] = row
    whole = table(names(30), images=images)
    sides = sides_of(whole, FOLDER)
    found = near_duplicates(whole, sides, threshold=0.9, pseudonyms=Pseudonyms(SALT), most_candidates=50)
    assert not found.complete
    assert found.pairs == 50


def test_two_images_of_one_unit_may_be_alike() -> None:
    images = np.repeat(noise(6), 2, axis=0)
    images[::2, 0, 0, 0] ^= 1
    owners = tuple(np.repeat(names(6), 2).tolist())
    near = described(table(owners, images=images)).near
    assert near is not None
    assert not near.pairs


# Nobody is named


def test_units_appear_under_pseudonyms_that_another_salt_changes() -> None:
    copied = noise(10)
    copied[1] = copied[0]
    whole = table(names(10), images=copied)
    sides = sides_of(whole, FOLDER)
    one, other = Pseudonyms(bytes(32)), Pseudonyms(bytes(31) + b"1")
    found = [describe(whole, sides, FOLDER, pseudonyms=each, near=0.99) for each in (one, other)]
    assert "patient 00" not in repr(found)
    assert found[0].exact.shared[0].units != found[1].exact.shared[0].units
    legend = {entry.pseudonym: (entry.unit, entry.images) for entry in one.legend().entries}
    assert [legend[unit] for unit in found[0].exact.shared[0].units] == [
        ("patient 000", ("image-000",)),
        ("patient 001", ("image-001",)),
    ]


# What can't be described


@pytest.mark.parametrize(
    ("whole", "of", "says"),
    [
        (table(("a", "a", "b"), groups=("g", "h", "h")), FOLDER, "two values"),
        (table(("a", "b"), sides=("train", "test")), FOLDER, "gives its own split"),
        (table(("a", "a"), sides=("train", "test")), spec("image-folder", Path("f"), test=None), "both sides"),
        (table(("a", "b", "c", "d"), labels=("x",) * 4), FOLDER, "same class"),
    ],
)
def test_data_without_sides_or_classes_are_an_error(whole: ImageTable, of: DataSpec, says: str) -> None:
    with pytest.raises(DataError, match=says):
        described(whole, of)
