"""Synthetic lesions: the same bytes everywhere, a structure of patients, and classes that overlap."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gatekeeper.core.data_spec import DataSpec, PhantomSpec
from gatekeeper.data import load, phantom_lesions
from gatekeeper.data.dataset import Dataset
from gatekeeper.data.phantom_lesions import AMBIGUOUS, CLASSES
from gatekeeper.data.stream import Stream
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, spec


def phantom(*, patients: int = 12, seed: int = 0, unit: str = "lesion", **options: object) -> DataSpec:
    size = PhantomSpec(patients=patients, seed=seed)
    return spec("phantom-lesions", None, unit=unit, phantom=size, **options)  # type: ignore[arg-type]


def colour_features(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each channel, in the whole image and in its middle, for both sides."""

    def features(images: np.ndarray) -> np.ndarray:
        middle = images[:, :, 16:32, 16:32]
        parts = [part for region in (images, middle) for part in (region.mean((2, 3)), region.std((2, 3)))]
        return np.concatenate(parts, axis=1)

    train, test = features(data.train.images), features(data.test.images)
    mean, spread = train.mean(0), train.std(0)
    return (train - mean) / spread, (test - mean) / spread


def test_the_bytes_are_the_same_on_every_machine() -> None:
    data = load(phantom(image_size=(16, 16)))
    assert data.digest(salt=SALT) == "fb7375622be6a1f9c9afa3b2beb4c81a799a47793621bddd27ea2e98844aefec"


def test_another_seed_draws_another_set() -> None:
    first, second = (load(phantom(seed=seed, image_size=(8, 8))) for seed in (0, 1))
    pixels = [{image.tobytes() for image in data.train.images} for data in (first, second)]
    assert not pixels[0] & pixels[1]


def test_more_patients_leave_the_first_ones_as_they_are() -> None:
    few = phantom_lesions.read(phantom(patients=10, image_size=(8, 8)))
    more = phantom_lesions.read(phantom(patients=11, image_size=(8, 8)))
    assert np.array_equal(more.images[: len(few.images)], few.images)


def test_patients_have_lesions_and_lesions_have_images() -> None:
    table = phantom_lesions.read(phantom(patients=60, image_size=(4, 4), by="patient"))
    lesions: dict[str, set[str]] = {}
    for lesion, patient in zip(table.units, table.groups, strict=True):
        lesions.setdefault(patient, set()).add(lesion)
    assert len(lesions) == 60
    assert {len(own) for own in lesions.values()} == {1, 2, 3}
    assert {table.units.count(lesion) for lesion in table.units} == {1, 2, 3, 4}


def test_the_images_of_a_lesion_share_its_diagnosis_and_nothing_else() -> None:
    data = load(phantom(image_size=(8, 8)))
    for unit in range(data.train.units):
        own = data.train.unit_of == unit
        assert len(set(data.train.labels[own])) == 1
        assert len({image.tobytes() for image in data.train.images[own]}) == own.sum()


@pytest.mark.parametrize("unit", ["image", "lesion", "patient"])
def test_every_level_can_be_the_unit(unit: str) -> None:
    data = load(phantom(unit=unit, image_size=(8, 8)))
    assert data.synthetic
    assert data.unit == unit
    assert all(name.count("-") == {"patient": 1, "lesion": 3, "image": 5}[unit] for name in data.train.names)


def test_another_column_is_refused() -> None:
    with pytest.raises(DataError, match=r"unit 'person'.*\n.*there is image, lesion, patient"):
        load(phantom(unit="person"))


def test_size_and_channels_can_be_chosen() -> None:
    assert load(phantom()).train.images.shape[1:] == (3, 48, 48)
    assert load(phantom(image_size=(20, 30), channels=1)).train.images.shape[1:] == (1, 20, 30)


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.data.images.MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(DataError, match="image_size"):
        load(phantom())


def test_the_stated_share_of_lesions_looks_like_another_class() -> None:
    stream = Stream(seed=0, index=0)
    other = sum(phantom_lesions._appearance(1, stream) != 1 for _ in range(20_000))
    # Four standard deviations of Binomial(20000, 0.06): a share of 0.05 or 0.07 would not pass.
    assert abs(other / 20_000 - AMBIGUOUS) < 4 * (AMBIGUOUS * (1 - AMBIGUOUS) / 20_000) ** 0.5


def test_colours_tell_something_of_the_class_but_not_all() -> None:
    data = load(phantom(patients=120, by="patient"))
    train, test = colour_features(data)
    labels = np.eye(len(CLASSES))[data.train.labels]
    design = np.column_stack([train, np.ones(len(train))])
    weights = np.linalg.solve(design.T @ design + 0.1 * np.eye(design.shape[1]), design.T @ labels)
    guesses = (np.column_stack([test, np.ones(len(test))]) @ weights).argmax(1)
    majority = np.bincount(data.test.labels).max() / len(guesses)
    accuracy = (guesses == data.test.labels).mean()
    assert majority < 0.55
    assert 0.6 < accuracy < 0.98


def test_uniform_numbers_are_the_top_bits_of_the_generator() -> None:
    raw = np.random.PCG64(np.random.SeedSequence((3, 5))).random_raw(4)
    stream = Stream(seed=3, index=5)
    assert [Fraction(stream.uniform()) for _ in range(4)] == [Fraction(int(bits) >> 11, 2**53) for bits in raw]


def test_normal_numbers_are_sums_of_four_pieces() -> None:
    raw = np.random.PCG64(np.random.SeedSequence((3, 5))).random_raw(50)
    naive = [sum((int(bits) >> shift & 0xFFFF) / 65536 - 65535 / 131072 for shift in (0, 16, 32, 48)) for bits in raw]
    assert np.allclose(Stream(seed=3, index=5).normals(50), np.sqrt(3) * np.array(naive), rtol=0, atol=1e-12)


def test_normal_numbers_have_mean_zero_and_variance_one() -> None:
    drawn = Stream(seed=0, index=0).normals(100_000)
    assert abs(drawn.mean()) < 4 / 100_000**0.5
    assert abs(drawn.var() - 1) < 0.02


def test_directions_are_unit_vectors_in_every_quadrant() -> None:
    stream = Stream(seed=0, index=0)
    drawn = [stream.direction() for _ in range(400)]
    assert all(abs(abs(direction) - 1) < 1e-12 for direction in drawn)
    quadrants = [(direction.real > 0, direction.imag > 0) for direction in drawn]
    assert min(quadrants.count(quadrant) for quadrant in set(quadrants)) > 60
    assert len(set(quadrants)) == 4


def test_choices_follow_their_weights() -> None:
    stream = Stream(seed=0, index=0)
    drawn = [stream.choice((3, 0, 1)) for _ in range(4000)]
    assert drawn.count(1) == 0
    assert abs(drawn.count(0) / 4000 - 0.75) < 0.03


def test_integers_cover_both_ends() -> None:
    stream = Stream(seed=0, index=0)
    assert {stream.integer(1, 3) for _ in range(100)} == {1, 2, 3}
