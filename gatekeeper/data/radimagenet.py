"""Tables of file names beside a tree of folders, as RadImageNet has them: `MODALITY/ANATOMY/CLASS/IMAGE`.

X. Mei et al., "RadImageNet: an open radiologic deep learning research dataset for effective transfer learning",
Radiology: Artificial Intelligence 4 (5), e210315, 2022. Its tables `RadiologyAI_train.csv`, `_val.csv` and `_test.csv`
have the columns `filename,label`, such as `radiology_ai/CT/abd/normal/abd-normal000001.png`. They divide the images by
patients whom they don't name: so a unit is an image, and the report says so, unless a table has further columns
(`patient_id`, say) that the candidate names.

Where there are tables `…train.csv` and `…test.csv` they are the split, and `…val.csv` is left out. One table alone has
no split; without any the class is `MODALITY/ANATOMY/CLASS`, of the folders. The tables decide: files that they
don't mention are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.files import canonical_name, check_file, children, existing, is_image, relative_name, walk
from gatekeeper.data.images import decode_all
from gatekeeper.data.records import ImageTable, Side, check_column, check_columns
from gatekeeper.data.tables import CsvTable, read_csv
from gatekeeper.errors import DataError

FILE_COLUMN, LABEL_COLUMN, FOLDER = "filename", "label", "folder"
_DEPTH = 3  # modality, anatomy, class


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The tables of a data set.

    Attributes:
        root: the folder that file names start from.
        tables: each with its side, or None where there is no split.
    """

    root: Path
    tables: tuple[tuple[CsvTable, Side | None], ...]


class Tree:
    """The files that names in tables mean.

    Args:
        root: the folder that names start from.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real = root.resolve()
        self._inside: set[Path] = set()  # folders that no link leads out of

    def file(self, name: str, *, where: str) -> Path:
        """The file of a name.

        Names may start with the folder's own, as where the tables lie in `radiology_ai`.

        Args:
            name: with slashes of either kind.
            where: the table and line that it stands in, for messages.

        Raises:
            DataError: there is no such file, or it lies outside of the folder.
        """
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or not pure.parts:
            raise DataError(
                f"the filename {name!r} leads out of the folder", where=where, hint="names start from the folder"
            )
        path = self._root / pure
        if not path.is_file() and pure.parts[0] == self._real.name:
            path = self._root.joinpath(*pure.parts[1:])
        if not path.is_file():
            raise DataError(f"there is no file {name!r}", where=where, hint=f"expected {self._root / pure}")
        self._check(path)
        return path

    def _check(self, path: Path) -> None:
        if path.parent not in self._inside:
            if not path.parent.resolve().is_relative_to(self._real):
                raise DataError(
                    "the link leads out of the data folder",
                    where=str(path.parent),
                    hint="copy the files into the folder",
                )
            self._inside.add(path.parent)
        check_file(path, root=self._root)


def read(spec: DataSpec) -> ImageTable:
    """Read the images that the tables list, or those of the folders where there is no table.

    The unit and `split.by` may be `image` (the file name) or any column. The label is the column `label`, another one
    that the specification names, or `folder`: the three folders that the image lies in.

    Raises:
        DataError: a table is malformed (with file and line), a column is missing, an image is listed twice, has no
            file, or lies outside of the folder; a file can't be read.
    """
    assert spec.path is not None
    place = existing(spec.path)
    tables = find_tables(place)
    if not tables.tables:
        return _of_folders(tables.root, spec)
    names: list[str] = []
    files: list[Path] = []
    labels: list[str] = []
    owners: dict[str, list[str]] = {"unit": [], "split.by": []}
    sides: list[Side] = []
    first: dict[str, str] = {}
    tree = Tree(tables.root)
    for table, side in tables.tables:
        own = table.column(FILE_COLUMN)
        _check_once(table, own, first)
        names += own
        files += [tree.file(name, where=table.place(row)) for row, name in enumerate(own)]
        labels += _labels(table, own, spec)
        for field, column in (("unit", spec.unit), ("split.by", spec.split.by or spec.unit)):
            owners[field] += _owners(table, column, field=field)
        sides += [side] * len(own) if side else []
    return ImageTable(
        name=tables.root.resolve().name,
        source=spec.path,
        images=decode_all(files, image_size=spec.image_size, channels=spec.channels, source=spec.path),
        image_names=tuple(names),
        labels=tuple(labels),
        units=tuple(owners["unit"]),
        groups=tuple(owners["split.by"]),
        sides=tuple(sides) or None,
    )


def is_layout(folder: Path) -> bool:
    """Whether a folder has tables of RadImageNet's, by their names and columns."""
    tables = [path for path in children(folder, root=folder) if path.is_file() and path.suffix.lower() == ".csv"]
    return bool(tables) and all(map(is_listing, tables))


def is_listing(table: Path) -> bool:
    """Whether a table has RadImageNet's columns."""
    return {FILE_COLUMN, LABEL_COLUMN} <= set(read_csv(table).columns)


def find_tables(place: Path) -> Tables:
    """The tables at a file or in a folder.

    Raises:
        DataError: there is a choice, or one is malformed.
    """
    if place.is_file():
        return Tables(root=place.parent, tables=((read_csv(place), None),))
    paths = [path for path in children(place, root=place) if path.is_file() and path.suffix.lower() == ".csv"]
    by_side = {side: [path for path in paths if path.stem.lower().endswith(side)] for side in ("train", "test", "val")}
    train, test = by_side["train"], by_side["test"]
    if len(train) == len(test) == 1 and len(paths) == 2 + len(by_side["val"]) and len(by_side["val"]) <= 1:
        return Tables(root=place, tables=((read_csv(train[0]), "train"), (read_csv(test[0]), "test")))
    if len(paths) > 1:
        raise DataError(
            f"there is a choice of tables: {', '.join(path.name for path in paths)}",
            where=str(place),
            hint="keep one ending in train.csv and one in test.csv (and val.csv), or give one table as data.path",
        )
    return Tables(root=place, tables=tuple((read_csv(path), None) for path in paths))


def _check_once(table: CsvTable, names: tuple[str, ...], first: dict[str, str]) -> None:
    for row, name in enumerate(names):
        place = table.place(row)
        if first.setdefault(name, place) != place:
            raise DataError(
                f"the filename {name!r} is already at {first[name]}",
                where=place,
                hint="an image has one row, and one owner",
            )


def _labels(table: CsvTable, names: tuple[str, ...], spec: DataSpec) -> tuple[str, ...]:
    column = spec.label or LABEL_COLUMN
    if column == FOLDER and FOLDER not in table.columns:
        return tuple(_folders(name, where=table.place(row)) for row, name in enumerate(names))
    return table.column(column)


def _owners(table: CsvTable, column: str, *, field: str) -> tuple[str, ...]:
    check_column(column, field=field, offered=("image", *table.columns), where=f"{table.path}:1")
    return table.column(column if column in table.columns else FILE_COLUMN)


def _folders(name: str, *, where: str) -> str:
    """The class of a file by where it lies: `MODALITY/ANATOMY/CLASS`."""
    folders = PurePosixPath(name.replace("\\", "/")).parts[:-1]
    if len(folders) < _DEPTH:
        raise DataError(
            f"the image {name!r} lies in {len(folders)} folders, and its class is that of {_DEPTH}",
            where=where,
            hint="expected MODALITY/ANATOMY/CLASS/IMAGE; or name a column of a table as data.label",
        )
    return "/".join(folders[-_DEPTH:])


def _of_folders(root: Path, spec: DataSpec) -> ImageTable:
    """The images of a tree without a table; files that are no images are passed over outside of the class folders."""
    check_columns(spec, offered=("image",), label=FOLDER, where=str(root))
    files = [path for path in walk(root, root=root) if is_image(path)]
    if not files:
        raise DataError(
            "there are no images", where=str(root), hint="expected MODALITY/ANATOMY/CLASS/IMAGE, or a table"
        )
    names = tuple(relative_name(path, root) for path in files)
    return ImageTable(
        name=canonical_name(root.resolve().name),
        source=str(root),
        images=decode_all(files, image_size=spec.image_size, channels=spec.channels, source=str(root)),
        image_names=names,
        labels=tuple(_folders(name, where=str(path)) for name, path in zip(names, files, strict=True)),
        units=names,
        groups=names,
    )
