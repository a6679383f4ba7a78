"""A first guess at what a data folder or file holds, for a user to correct."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.core.data_spec import MASK, DataFormat, DataSpec, SplitSpec
from gatekeeper.data.detection_scans import detect_scans
from gatekeeper.data.files import IMAGE_SUFFIXES, children, existing
from gatekeeper.data.formats import FORMATS
from gatekeeper.data.ham10000 import IMAGE_COLUMN, find_table, image_files
from gatekeeper.data.image_folder import LabelledFile, labelled_files
from gatekeeper.data.images import decode
from gatekeeper.data.numpy_arrays import LABELS, offered
from gatekeeper.data.radimagenet import FILE_COLUMN, Tree, find_tables, is_layout, is_listing
from gatekeeper.data.tables import read_csv
from gatekeeper.errors import DataError

_TEST_SHARE = 0.2
_SAMPLE = 50  # images that are looked at
_MANY_FOLDERS = 20  # beneath class folders: fewer may be years or magnifications, so many are people
_LARGE = 256  # longest side, in pixels, that is proposed as it is
_PROPOSED_SIZE = (64, 64)
_OWNERS = ("patient_id", "patient", "subject_id", "subject", "lesion_id")  # the coarsest first
_LABELS = ("dx", "label", "class", "diagnosis", "target")


def detect(path: Path) -> DataSpec:
    """Propose how to read `path`.

    An archive `.npz` is taken for MedMNIST, or for arrays where one is `images`, as a folder of `.npy` files is;
    tables of `filename` and `label` for RadImageNet; a table with a column `image_id` for HAM10000. The unit is the
    coarsest owner among `patient_id`, `lesion_id` and their like. Class folders are taken for an image folder, whose
    unit is `folder` where they hold many folders of several images, as of patients. A `dataset.json` is taken for the
    Medical Segmentation Decathlon, and a folder whose files are marked so for DICOM. Sizes and colours are proposed
    where a sample of the images shows that they differ or are large.

    Raises:
        DataError: nothing recognised, or the path is missing or unreadable.
    """
    place = existing(str(path))
    if place.is_file() and place.suffix.lower() == ".npz":
        if "images" in offered(place):
            return _arrays(place)
        return DataSpec(format="medmnist", path=str(path), unit="image", split=SplitSpec(test=None))
    if place.is_file() and place.suffix.lower() == ".csv":
        return _listed(path) if is_listing(place) else _table(path)
    scans = detect_scans(path) if place.is_dir() else None
    if scans is not None:
        return scans
    if place.is_dir():
        found = tuple(children(place, root=place))
        if any(child.name == "images.npy" for child in found):
            return _arrays(place)
        if is_layout(place):
            return _listed(place)
        if any(child.is_file() and child.suffix.lower() == ".csv" for child in found):
            return _table(path)
        if any(child.is_dir() for child in found):
            return _folder(path)
    raise DataError("no known layout of data", where=str(path), hint=_advice(place))


def _advice(place: Path) -> str:
    """What is missing, as far as the files show it."""
    if place.is_file():
        return "give the folder that holds it; of single files an archive .npz and a table .csv are recognised"
    names = [path.name.lower() for path in children(place, root=place)]
    if any(name.endswith(IMAGE_SUFFIXES) for name in names):
        return (
            "put the images into a folder for each class, CLASS/…/IMAGE, or a table metadata.csv with image_id and dx "
            "beside them"
        )
    if any(name.endswith((".nii", ".nii.gz")) for name in names):
        return "volumes need a dataset.json beside their folders, which names images, masks and labels (format msd)"
    known = "; ".join(f"{entry.name}: {entry.layout}" for entry in FORMATS if not entry.layout.startswith("no files"))
    return f"recognised are {known}"


def _table(path: Path) -> DataSpec:
    table = read_csv(find_table(path))
    names = table.column(IMAGE_COLUMN)
    label = next((name for name in _LABELS if name in table.columns), "dx")
    table.column(label)  # complains, with the columns that there are, where the table has none of those
    found = image_files(table.path.parent)
    files = [found[name][0] for name in names[:_SAMPLE] if name in found]
    unit = next((name for name in _OWNERS if name in table.columns), "image")
    return _spec("ham10000", path, files, unit=unit, label=None if label == "dx" else label, test=_TEST_SHARE)


def _arrays(path: Path) -> DataSpec:
    """Arrays; `masks` are what is learned where there are no labels."""
    there = offered(path)
    unit = next((name for name in _OWNERS if name in there), "image")
    label = MASK if LABELS not in there and "masks" in there else None
    split = SplitSpec(test=None if "split" in there else _TEST_SHARE)
    return DataSpec(format="numpy", path=str(path), unit=unit, label=label, split=split)


def _listed(folder: Path) -> DataSpec:
    """Tables of RadImageNet's; see that reader for what divides them."""
    tables = find_tables(folder)
    table, side = tables.tables[0]
    unit = next((name for name in _OWNERS if all(name in each.columns for each, _ in tables.tables)), "image")
    names = table.column(FILE_COLUMN)[:_SAMPLE]
    tree = Tree(tables.root)
    sample = [tree.file(name, where=table.place(row)) for row, name in enumerate(names)]
    return _spec("radimagenet", folder, sample, unit=unit, label=None, test=None if side else _TEST_SHARE)


def _folder(path: Path) -> DataSpec:
    files = labelled_files(path)
    test = None if files[0].side else _TEST_SHARE
    sample = [file.path for file in itertools.islice(files, 0, None, max(1, len(files) // _SAMPLE))]
    unit = "folder" if _lie_by_owner(files) else "image"
    return _spec("image-folder", path, sample, unit=unit, label=None, test=test)


def _lie_by_owner(files: Sequence[LabelledFile]) -> bool:
    """Whether images lie in `CLASS/OWNER/IMAGE`: in many folders, some of which hold several."""
    beneath = [file.path.relative_to(file.class_folder).parts for file in files]
    owners = {parts[0] for parts in beneath}
    return all(len(parts) > 1 for parts in beneath) and _MANY_FOLDERS <= len(owners) < len(files)


def _spec(
    data_format: DataFormat, path: Path, sample: list[Path], *, unit: str, label: str | None, test: float | None
) -> DataSpec:
    shapes = {decode(file, image_size=None, channels=None).shape for file in sample}
    sizes = {shape[1:] for shape in shapes}
    small = len(sizes) <= 1 and all(side <= _LARGE for size in sizes for side in size)
    return DataSpec(
        format=data_format,
        path=str(path),
        unit=unit,
        label=label,
        image_size=None if small else _PROPOSED_SIZE,
        channels=None if len({shape[0] for shape in shapes}) <= 1 else 3,
        split=SplitSpec(test=test),
    )
