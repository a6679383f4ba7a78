"""Builders of small data sets in every layout, and of tables that never touched a disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataFormat, DataSpec, PhantomSpec, SplitSpec
from gatekeeper.data.dataset import Dataset, Units
from gatekeeper.data.records import ImageTable, Side

SALT = bytes(range(32))
HEADER = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def pixels(seed: int, *, shape: tuple[int, ...] = (8, 8, 3)) -> NDArray[np.uint8]:
    """Noise, another for each seed."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_image(path: Path, seed: int = 0, *, shape: tuple[int, ...] = (8, 8, 3)) -> Path:
    """A noise image, in the format that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, shape=shape)).save(path)
    return path


def spec(
    data_format: DataFormat,
    path: Path | None,
    *,
    unit: str = "image",
    test: float | None = 0.3,
    seed: int = 0,
    by: str | None = None,
    label: str | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    phantom: PhantomSpec | None = None,
) -> DataSpec:
    """A data specification with the defaults of these tests."""
    return DataSpec(
        format=data_format,
        path=None if path is None else str(path),
        unit=unit,
        label=label,
        image_size=image_size,
        channels=channels,
        split=SplitSpec(test=test, seed=seed, by=by),
        phantom=phantom,
    )


def class_folders(root: Path, *, classes: tuple[str, ...] = ("naevus", "melanoma"), images: int = 5) -> Path:
    """`root/CLASS/case-N/N.png`, each image its own."""
    for index, name in enumerate(classes):
        for image in range(images):
            write_image(root / name / f"case-{image}" / f"{image}.png", 100 * index + image)
    return root


def ham_rows(*, lesions: int = 6, images: int = 2) -> list[dict[str, str]]:
    """Rows of a HAM10000 table: some lesions with several images, alternating diagnoses."""
    return [
        {
            "lesion_id": f"HAM_{lesion}",
            "image_id": f"ISIC_{lesion}_{image}",
            "dx": ("nv", "mel")[lesion % 2],
            "dx_type": "histo",
            "age": "50.0",
            "sex": "female",
            "localization": "back",
        }
        for lesion in range(lesions)
        for image in range(images)
    ]


def write_table(path: Path, rows: list[dict[str, str]], *, columns: tuple[str, ...] = HEADER) -> Path:
    """A CSV file of `rows`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def ham10000(root: Path, rows: list[dict[str, str]] | None = None) -> Path:
    """A table and its images in two part folders, as the original has them."""
    rows = ham_rows() if rows is None else rows
    write_table(root / "HAM10000_metadata.csv", rows)
    for index, row in enumerate(rows):
        write_image(root / f"part_{index % 2 + 1}" / f"{row['image_id']}.png", index)
    return root


def medmnist_arrays(*, colour: bool = False, train: int = 6, test: int = 4) -> dict[str, NDArray[np.generic]]:
    """The arrays of a MedMNIST archive of 8×8 images with labels 0, 1, 2 in turn."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for seed, (side, count) in enumerate((("train", train), ("val", 3), ("test", test))):
        arrays[f"{side}_images"] = pixels(seed, shape=(count, 8, 8, 3) if colour else (count, 8, 8))
        arrays[f"{side}_labels"] = (np.arange(count, dtype=np.uint8) % 3)[:, np.newaxis]
    return arrays


def table(
    units: tuple[str, ...],
    *,
    labels: tuple[str, ...] | None = None,
    groups: tuple[str, ...] | None = None,
    sides: tuple[Side, ...] | None = None,
    images: NDArray[np.uint8] | None = None,
) -> ImageTable:
    """A table with one image for each entry of `units`, by default all different and of two classes in turn."""
    count = len(units)
    return ImageTable(
        name="a table",
        source="memory",
        images=pixels(0, shape=(count, 1, 4, 4)) if images is None else images,
        image_names=tuple(f"image-{row:03d}" for row in range(count)),
        labels=tuple("ab"[row % 2] for row in range(count)) if labels is None else labels,
        units=units,
        groups=units if groups is None else groups,
        sides=sides,
    )


def units(
    *,
    names: tuple[str, ...] = ("p", "q"),
    images_per_unit: int = 2,
    seed: int = 0,
    groups: tuple[str, ...] | None = None,
) -> Units:
    """Units of 4×4 grey images, labels 0 and 1 in turn."""
    count = len(names) * images_per_unit
    return Units(
        images=pixels(seed, shape=(count, 1, 4, 4)),
        labels=np.arange(count, dtype=np.int64) % 2,
        unit_of=np.repeat(np.arange(len(names), dtype=np.int64), images_per_unit),
        names=names,
        groups=names if groups is None else groups,
    )


def dataset(train: Units | None = None, test: Units | None = None, *, name: str = "toy") -> Dataset:
    """A data set of two units a side."""
    return Dataset(
        name=name,
        format="image-folder",
        synthetic=False,
        unit="patient",
        classes=("benign", "malignant"),
        train=train or units(),
        test=test or units(names=("r", "s"), seed=1),
    )
