"""A folder of DICOM files: images, each its own (2-D), or series as volumes (3-D).

Units are `patient` (PatientID), `study`, `series`, or a column of `data.scan.table`. PatientID is never shown: messages
call a patient by a pseudonym that changes with every run (`pseudonyms`), also where it is part of a file's path. The
path of a file that can't be parsed is shown as it is, since nothing says what in it would name somebody.

Files that say that text is burned into their pixels are refused unless the candidate says that it is known. Of
grey images one value alone holds nothing to learn from, and two patients' would be one image with two owners: they are
left out, and counted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.dicom_file import quiet
from gatekeeper.data.dicom_header import Instance
from gatekeeper.data.dicom_labels import columns
from gatekeeper.data.dicom_pixels import own_numbers, planes
from gatekeeper.data.dicom_sources import Source, channels_of, flat, size_of, volumes
from gatekeeper.data.dicom_stacks import Stack
from gatekeeper.data.dicom_tree import Tree, read_tree
from gatekeeper.data.extras import need
from gatekeeper.data.files import data_folder, relative_name
from gatekeeper.data.images import check_total_bytes, to_pixels
from gatekeeper.data.records import ImageTable
from gatekeeper.data.resampling import picture, volume
from gatekeeper.data.store import blank
from gatekeeper.data.windows import own_window
from gatekeeper.errors import DataError


def read(spec: DataSpec) -> ImageTable:
    """Read every DICOM file beneath the folder.

    Raises:
        DataError: pydicom is not installed; a file or the table can't be used, files contradict each other, or the
            specification asks for what there isn't. The message names the file, never a patient.
    """
    assert spec.path is not None
    assert spec.scan is not None
    need("pydicom", extra="medical", where=spec.path)
    with quiet():
        return _table(spec, spec.path, spec.scan)


def _table(spec: DataSpec, path: str, scan: ScanSpec) -> ImageTable:
    tree = read_tree(data_folder(path))
    _check_annotations(tree, scan)
    labels, units, groups = columns(tree, spec)
    sources = volumes(tree, scan, labels) if scan.dimensions == 3 else flat(tree, scan)
    channels = channels_of(sources, spec)
    size, count = size_of(sources), sum(source.images for source in sources)
    check_total_bytes(count * channels * math.prod(size), source=path, key="scan.size")
    images = blank((count, channels, *size))
    names: list[str] = []
    owners: list[Instance] = []
    for source in sources:
        for index, pixels in _pixels(source, scan, channels=channels):
            images[len(names)] = pixels
            names.append(_name(source, index, tree))
            owners.append(source.first)
    kept = len(names)
    if not kept:
        raise DataError("every image has one grey value alone", where=path, hint="check data.scan.window")
    return ImageTable(
        name=tree.root.resolve().name,
        source=path,
        images=images[:kept],
        image_names=tuple(names),
        labels=tuple(labels[owner] for owner in owners),
        units=tuple(units[owner] for owner in owners),
        groups=tuple(groups[owner] for owner in owners),
        secrets=tuple(owner.patient for owner in owners),
        notes=_notes(tree, count=count, kept=kept, lost=len(_units(sources, units) - {units[own] for own in owners})),
    )


def _check_annotations(tree: Tree, scan: ScanSpec) -> None:
    for instance in tree.instances:
        if instance.annotated and not scan.annotations_known:
            raise DataError(
                "text is burned into the pixels (BurnedInAnnotation is YES): it may name the patient",
                where=instance.where,
                hint="take the file out of the data, or cover the text; if it names nobody and a model may learn from "
                "it, set data.scan.annotations_known: true",
            )


def _pixels(source: Source, scan: ScanSpec, *, channels: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frame number and pixels, shape (channels, *size), of every image that isn't of one value."""
    if source.stack is not None:
        grey = volume(_planes(source.stack, scan), source.grid, count=len(source.stack.frames))
        if grey.min() < grey.max():
            yield 0, np.repeat(grey[np.newaxis], channels, axis=0)
        return
    for index, plane in enumerate(planes(source.first, scan)):
        if plane.ndim == 2:
            pixels = picture(plane, source.grid)
        else:
            pixels = np.stack([picture(plane[..., channel], source.grid) for channel in range(3)], axis=-1)
        if pixels.min() < pixels.max():
            yield index, to_pixels(Image.fromarray(pixels), image_size=None, channels=channels)


def _planes(pile: Stack, scan: ScanSpec) -> Iterator[NDArray[np.float64]]:
    """The planes of a volume in its order. A window of its own is made of all of them."""
    runs = [
        (instance, [frame.index for frame in run])
        for instance, run in itertools.groupby(pile.frames, key=lambda frame: frame.instance)
    ]
    window = None
    if scan.window_of == "per-image":
        values = [own for instance, indices in runs for own in own_numbers(instance, indices=indices)]
        window = own_window(np.concatenate(values), slope=1.0, intercept=0.0, where=runs[0][0].where)
    for instance, indices in runs:
        yield from planes(instance, scan, indices=indices, window=window)


def _name(source: Source, index: int, tree: Tree) -> str:
    name = relative_name(source.first.path, tree.root)
    return f"{name} frame {index + 1}" if source.first.frames > 1 and source.stack is None else name


def _units(sources: tuple[Source, ...], units: dict[Instance, str]) -> set[str]:
    return {units[source.first] for source in sources}


def _notes(tree: Tree, *, count: int, kept: int, lost: int) -> tuple[str, ...]:
    notes = []
    if tree.passed_over:
        notes.append(f"{tree.passed_over} files are no DICOM images and are passed over")
    if kept < count:
        units = f"; units that have no other: {lost}" if lost else ""
        notes.append(f"{count - kept} of {count} images have one grey value and are left out{units}")
    return tuple(notes)
