"""A metadata table beside its images, as HAM10000 has it: one row an image, the image found by its `image_id`.

P. Tschandl, C. Rosendahl and H. Kittler, "The HAM10000 dataset, a large collection of multi-source dermatoscopic
images of common pigmented skin lesions", Scientific Data 5, 180161, 2018. Its columns are
`lesion_id,image_id,dx,dx_type,age,sex,localization`; of these only `image_id`, the label and the columns that the
candidate names are needed, so any table of that shape will do. The table decides: files that it doesn't
mention are not read.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.files import IMAGE_SUFFIXES, children, existing, is_image, relative_name, walk
from gatekeeper.data.images import decode_all, stored_shapes
from gatekeeper.data.records import ImageTable, check_column
from gatekeeper.data.tables import CsvTable, read_csv
from gatekeeper.errors import DataError

IMAGE_COLUMN = "image_id"
_NAMES = ("ham10000_metadata*.csv", "metadata.csv", "ham10000_metadata")  # the last as its first publisher has it


def read(spec: DataSpec) -> ImageTable:
    """Read the images that the table lists.

    The unit and `split.by` may be any column, or `image`, which is the column `image_id`. The label is the
    column `dx` unless the specification names another.

    Raises:
        DataError: there is no table, or more than one; it is malformed (with file and line); a named column is
            missing; an image is listed twice, has no file or has two; a file can't be read.
    """
    assert spec.path is not None
    path = find_table(existing(spec.path))
    table = read_csv(path)
    names = _unique_images(table)
    labels = table.column(spec.label or "dx")
    units = _owner_column(table, spec.unit, field="unit")
    groups = _owner_column(table, spec.split.by or spec.unit, field="split.by")
    files = _files(table, names)
    return ImageTable(
        name=path.parent.resolve().name,
        source=spec.path,
        images=decode_all(files, image_size=spec.image_size, channels=spec.channels, source=spec.path),
        image_names=names,
        labels=labels,
        units=units,
        groups=groups,
        stored_shapes=stored_shapes(files),
    )


def find_table(place: Path) -> Path:
    """The metadata table: `place` itself, or the one in the folder `place`.

    In a folder that is `HAM10000_metadata*.csv`, `metadata.csv` or `HAM10000_metadata`, or else the one table that has
    a column `image_id`.

    Raises:
        DataError: there is none, or a choice.
    """
    if place.is_file():
        return place
    files = [path for path in children(place, root=place) if path.is_file()]
    tables = [path for path in files if path.suffix.lower() == ".csv"]
    named = [path for path in files if any(fnmatch.fnmatch(path.name.lower(), name) for name in _NAMES)]
    if not named:
        named = tables if len(tables) == 1 else [path for path in tables if IMAGE_COLUMN in read_csv(path).columns]
    if not named:
        raise DataError("there is no metadata table", where=str(place), hint=f"expected one of {', '.join(_NAMES)}")
    if len(named) > 1:
        raise DataError(
            f"there is a choice of tables: {', '.join(path.name for path in named)}",
            where=str(place),
            hint="give the table itself as data.path",
        )
    return named[0]


def image_files(folder: Path) -> dict[str, list[Path]]:
    """The image files anywhere beneath `folder`, by name without suffix."""
    files: dict[str, list[Path]] = {}
    for path in walk(folder, root=folder):
        if is_image(path):
            files.setdefault(relative_name(path, path.parent).rpartition(".")[0], []).append(path)
    return files


def _owner_column(table: CsvTable, name: str, *, field: str) -> tuple[str, ...]:
    check_column(name, field=field, offered=("image", *table.columns), where=f"{table.path}:1")
    # A table may have a column `image` of its own: then that is what is meant.
    return table.column(name if name in table.columns else IMAGE_COLUMN)


def _unique_images(table: CsvTable) -> tuple[str, ...]:
    names = table.column(IMAGE_COLUMN)
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if first.setdefault(name, row) != row:
            raise DataError(
                f"the image_id {name!r} is already in line {table.lines[first[name]]}",
                where=table.place(row),
                hint="an image has one row, and one owner",
            )
    return names


def _files(table: CsvTable, names: tuple[str, ...]) -> list[Path]:
    found = image_files(table.path.parent)
    missing = [row for row, name in enumerate(names) if name not in found]
    if missing:
        suffixes = "|".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
        raise DataError(
            f"there is no image file for the image_id {names[missing[0]]!r} ({len(missing)} of {len(names)} rows)",
            where=table.place(missing[0]),
            hint=f"expected {names[missing[0]]}.({suffixes}) anywhere beneath {table.path.parent}",
        )
    for row, name in enumerate(names):
        if len(found[name]) > 1:
            raise DataError(
                f"the image_id {name!r} has two files: {found[name][0]} and {found[name][1]}",
                where=table.place(row),
                hint="keep one of them",
            )
    return [found[name][0] for name in names]
