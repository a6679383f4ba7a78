"""Synthetic abdomens: the same bytes everywhere, patients that differ, and masks that say where the organs lie."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.core.data_spec import DataSpec, PhantomSpec
from gatekeeper.data import load, phantom_abdomen
from gatekeeper.data.abdomen_anatomy import CLASSES, MOST_LESIONS, WINDOW, Blob, draw_abdomen, scan
from gatekeeper.data.stream import Stream
from gatekeeper.errors import DataError, InvalidValueError
from tests.data_layouts import SALT, spec

SIZES = {2: (32, 32), 3: (8, 16, 16)}


def abdomen(
    *,
    patients: int = 12,
    seed: int = 0,
    dimensions: int = 2,
    size: tuple[int, ...] | None = None,
    unit: str = "patient",
    **options: object,
) -> DataSpec:
    phantom = PhantomSpec(patients=patients, seed=seed, dimensions=dimensions, size=size or SIZES[dimensions])
    return spec("phantom-abdomen", None, unit=unit, phantom=phantom, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dimensions", "digest"),
    [
        (2, "3b9a335c59fdd02497769c6e7d1ab492d51bf2789b07ab7968f0563675f240f7"),
        (3, "7e8ea13dfdb2a6a53a51216194c107a03eb8276d4cb92e0f3d13852f630d224b"),
    ],
)
def test_the_bytes_are_the_same_on_every_machine(dimensions: int, digest: str) -> None:
    assert load(abdomen(dimensions=dimensions)).digest(salt=SALT) == digest


@pytest.mark.parametrize("dimensions", [2, 3])
def test_no_two_images_are_alike_whatever_the_seed(dimensions: int) -> None:
    tables = [phantom_abdomen.read(abdomen(dimensions=dimensions, seed=seed)) for seed in (0, 1)]
    pixels = [image.tobytes() for table in tables for image in table.images]
    assert len(set(pixels)) == len(pixels)


def test_more_patients_leave_the_first_ones_as_they_are() -> None:
    few, more = (phantom_abdomen.read(abdomen(patients=patients)) for patients in (10, 11))
    assert few.masks is not None
    assert more.masks is not None
    assert np.array_equal(more.images[: len(few.images)], few.images)
    assert np.array_equal(more.masks[: len(few.masks)], few.masks)


@pytest.mark.parametrize(("dimensions", "counts", "word"), [(2, {3, 4, 5}, "slice"), (3, {1, 2}, "volume")])
def test_a_patient_has_several_images(dimensions: int, counts: set[int], word: str) -> None:
    table = phantom_abdomen.read(abdomen(patients=40, dimensions=dimensions))
    assert len(set(table.units)) == 40
    assert {table.units.count(patient) for patient in table.units} == counts
    assert all(word in name for name in table.image_names)


@pytest.mark.parametrize("unit", ["image", "patient"])
def test_every_level_can_be_the_unit(unit: str) -> None:
    data = load(abdomen(unit=unit, by="patient"))
    assert (data.synthetic, data.unit, data.task) == (True, unit, "segmentation")
    assert all(name.count("-") == {"patient": 1, "image": 3}[unit] for name in data.train.names)


@pytest.mark.parametrize(("dimensions", "shape"), [(2, (1, 64, 64)), (3, (1, 16, 32, 32))])
def test_sizes_by_default(dimensions: int, shape: tuple[int, ...]) -> None:
    whole = spec("phantom-abdomen", None, unit="patient", phantom=PhantomSpec(patients=10, dimensions=dimensions))
    card = load(whole).card(salt=SALT)
    assert (card.image_shape, card.task, card.classes) == (shape, "segmentation", CLASSES)
    assert card.pixels == np.prod(shape)


def test_another_column_is_refused() -> None:
    with pytest.raises(DataError, match=r"unit 'lesion'.*\n.*there is image, patient"):
        load(abdomen(unit="lesion"))
    with pytest.raises(DataError, match=r"label 'diagnosis'.*\n.*there is mask"):
        load(abdomen(label="diagnosis"))


def test_what_masks_cannot_follow_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="takes no image_size"):
        abdomen(image_size=(32, 32))
    with pytest.raises(InvalidValueError, match="is grey"):
        abdomen(channels=3)
    with pytest.raises(InvalidValueError, match="not with phantom-lesions"):
        spec("phantom-lesions", None, phantom=PhantomSpec(dimensions=3))
    with pytest.raises(InvalidValueError, match="each of 3 dimensions"):
        PhantomSpec(dimensions=3, size=(64, 64))


def test_too_many_pixels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.data.images.MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(DataError, match=r"phantom\.size"):
        load(abdomen())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_image_shows_a_liver_and_every_lesion_lies_in_one(dimensions: int) -> None:
    table = phantom_abdomen.read(abdomen(patients=30, dimensions=dimensions))
    assert table.masks is not None
    for mask, label in zip(table.masks, table.labels, strict=True):
        liver = (mask == 1).mean()
        assert 0.01 < liver < 0.3
        assert label == CLASSES[int(mask.max())]
    assert set(table.labels) == {"liver", "lesion"}


def test_patients_have_up_to_four_lesions_and_differ() -> None:
    patients = [draw_abdomen(Stream(seed=0, index=index)) for index in range(200)]
    assert {len(patient.lesions) for patient in patients} == set(range(MOST_LESIONS + 1))
    contrasts = [lesion.density - patient.liver[0].density for patient in patients for lesion in patient.lesions]
    assert 0.6 < np.mean(np.array(contrasts) < 0) < 0.9
    assert min(map(abs, contrasts)) > 30
    assert len({patient.zoom for patient in patients}) == 200


def test_density_tells_something_of_the_liver_but_not_all() -> None:
    data = load(abdomen(patients=40, size=(64, 64)))
    assert data.test.masks is not None
    pixels, liver = data.test.images[:, 0], data.test.masks > 0

    def dice(found: np.ndarray) -> float:
        return float(2 * (found & liver).sum() / (found.sum() + liver.sum()))

    best = max(dice((pixels >= low) & (pixels < high)) for low in range(130, 200, 5) for high in range(190, 250, 5))
    assert 0.7 < best < 0.92


def test_a_lesion_goes_through_the_slices_of_a_volume() -> None:
    """Slices of one patient show the same anatomy as a volume: a slice at a height is the volume's at that depth."""
    patient = draw_abdomen(Stream(seed=0, index=4))
    volume = scan(patient, Stream(seed=1, index=0), size=(9, 24, 24))
    for depth in range(9):
        cut = scan(patient, Stream(seed=1, index=0), size=(24, 24), height=(2 * depth - 8) / 9)
        assert np.array_equal(cut.mask, volume.mask[depth])
    found = np.flatnonzero((volume.mask == 2).any(axis=(1, 2)))
    assert len(found) >= 2
    assert np.array_equal(found, np.arange(found[0], found[-1] + 1))


def test_a_blob_is_the_ellipsoid_that_it_says() -> None:
    blob = Blob(centre=(0.1, 0.2, -0.3), radii=(0.5, 0.2, 0.4), density=0.0)
    grid = np.random.default_rng(0).uniform(-1, 1, (3, 5000))
    z, y, x = grid
    distance = np.sqrt(((z - 0.1) / 0.5) ** 2 + ((y - 0.2) / 0.2) ** 2 + ((x + 0.3) / 0.4) ** 2)
    cover = blob.cover(z, y, x)
    assert np.array_equal(cover > 0.5, distance < 1)
    assert (cover[distance < 0.8] == 1).all()
    assert (cover[distance > 1.2] == 0).all()


def test_the_window_maps_densities_to_bytes() -> None:
    assert WINDOW == (-150.0, 200.0)
    table = phantom_abdomen.read(abdomen(size=(64, 64)))
    assert table.masks is not None
    corners = table.images[:, 0, :3, :3]
    assert (corners == 0).all()
    liver = table.images[:, 0][table.masks == 1].mean() / 255 * 350 - 150
    assert 85 < liver < 130
