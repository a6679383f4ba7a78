"""A folder of the Medical Segmentation Decathlon: volumes with masks, as axial slices or as they are.

The unit is the `case` (the file's name without suffix), or a column of `data.scan.table`, which has a row for each
case: `patient`, say, where a patient has several. A slice is no unit, since one person's slices are not independent.

Which slices are taken doesn't depend on the masks: every `every`-th from the feet up. A slice of one grey value holds
nothing to learn from, and two patients' would be one image with two owners: such slices are left out, and counted.

Files are read one at a time: of 4-D files one channel, of the others all voxels, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.extras import need
from gatekeeper.data.files import data_folder
from gatekeeper.data.images import check_total_bytes
from gatekeeper.data.msd_cases import Source, read_grey, read_indices, sources
from gatekeeper.data.msd_classes import Classes
from gatekeeper.data.msd_manifest import Manifest, read_manifest
from gatekeeper.data.owners import read_owners
from gatekeeper.data.records import ImageTable, check_column, closest
from gatekeeper.data.resampling import fitted, nearest, picture, volume
from gatekeeper.data.store import blank
from gatekeeper.errors import DataError

_KEY = "case"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Image:
    """One image of a case with its mask.

    Attributes:
        name: of the image.
        pixels: uint8, shape of the grid.
        mask: class indices, uint8, the same shape.
    """

    name: str
    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def read(spec: DataSpec) -> ImageTable:
    """Read the cases that `dataset.json` lists under `training`.

    Raises:
        DataError: nibabel is not installed; the manifest, a table or a file is missing, malformed or contradicts
            another (the message names file, field and remedy); or the specification asks for what there isn't.
    """
    assert spec.path is not None
    assert spec.scan is not None
    need("nibabel", extra="medical", where=spec.path)
    root = data_folder(spec.path)
    manifest = read_manifest(root)
    owners = _owners(spec, manifest)
    classes = Classes.of(manifest, spec.scan.labels)
    found = sources(manifest, spec.scan)
    size, count = _size(found), sum(len(_slices(source, spec.scan)) for source in found)
    check_total_bytes(2 * count * math.prod(size), source=spec.path, key="scan.size")
    images, masks = blank((count, 1, *size)), blank((count, *size))
    names: list[str] = []
    cases: list[str] = []
    for source in found:
        for image in _images(source, spec.scan, classes):
            images[len(names), 0], masks[len(names)] = image.pixels, image.mask
            names.append(image.name)
            cases.append(source.case.name)
    kept = len(names)
    return ImageTable(
        name=root.resolve().name,
        source=spec.path,
        images=images[:kept],
        image_names=tuple(names),
        labels=tuple(classes.names[int(mask.max())] for mask in masks[:kept]),
        units=tuple(owners[spec.unit][case] for case in cases),
        groups=tuple(owners[spec.split.by or spec.unit][case] for case in cases),
        masks=masks[:kept],
        classes=classes.names,
        notes=() if kept == count else (f"{count - kept} of {count} slices have one grey value and are left out",),
    )


def _owners(spec: DataSpec, manifest: Manifest) -> dict[str, dict[str, str]]:
    """Whose each case is, by every column that is asked for."""
    where = str(manifest.path)
    check_column(spec.label or "mask", field="label", offered=("mask",), where=where)
    names = tuple(case.name for case in manifest.cases)
    wanted = (("unit", spec.unit), ("split.by", spec.split.by or spec.unit))
    if spec.unit == "image" and "image" not in _table_columns(spec):
        raise DataError(
            "unit 'image' would protect a single slice or volume, not the person",
            where=where,
            hint=closest("image", (_KEY, *_table_columns(spec))),
        )
    for field, column in wanted:
        check_column(column, field=field, offered=(_KEY, *_table_columns(spec)), where=where)
    found = {_KEY: dict(zip(names, names, strict=True))}
    for _, column in wanted:
        if column != _KEY:
            assert spec.scan is not None
            assert spec.scan.table is not None
            table = read_owners(spec.scan.table, keys=(_KEY,), secret=False)
            values = table.values(column)
            found[column] = {case.name: values[table.row(case.name, where=str(case.image))] for case in manifest.cases}
    return found


def _table_columns(spec: DataSpec) -> tuple[str, ...]:
    if spec.scan is None or spec.scan.table is None:
        return ()
    return read_owners(spec.scan.table, keys=(_KEY,), secret=False).columns


def _size(found: tuple[Source, ...]) -> tuple[int, ...]:
    """The one size that all images have."""
    first = found[0]
    for source in found:
        if source.grid.size != first.grid.size:
            sizes = ["×".join(map(str, each.grid.size)) for each in (source, first)]
            raise DataError(
                f"it gives images of {sizes[0]}, and {first.case.image} of {sizes[1]}",
                where=str(source.case.image),
                hint="set data.scan.size, so that all images are alike",
            )
    return first.grid.size


def _slices(source: Source, scan: ScanSpec) -> range:
    """Which images a case gives: of volumes one, of slices their heights."""
    return range(1) if scan.dimensions == 3 else range(0, source.image.sides[0], scan.every)


def _images(source: Source, scan: ScanSpec, classes: Classes) -> Iterator[_Image]:
    grey, indices = read_grey(source, scan), read_indices(source, classes)
    depth = source.image.sides[0]
    if scan.dimensions == 3:
        pixels = volume((grey.plane(height) for height in range(depth)), source.grid, count=depth)
        mask = np.stack([indices.plane(height) for height in range(depth)])
        yield _Image(
            name=source.case.name, pixels=pixels, mask=fitted(nearest(mask, source.grid.resampled), source.grid.size)
        )
        return
    empty = True
    for height in _slices(source, scan):
        pixels = picture(grey.plane(height), source.grid)
        mask = fitted(nearest(indices.plane(height), source.grid.resampled), source.grid.size)
        if pixels.min() < pixels.max():
            empty = False
            yield _Image(name=f"{source.case.name} slice {height:04d}", pixels=pixels, mask=mask)
    if empty:
        raise DataError(
            "every slice has one grey value alone",
            where=str(source.case.image),
            hint="check data.scan.window, or take the case out of dataset.json",
        )
