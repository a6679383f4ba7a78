"""A folder for each class: `CLASS/…/IMAGE`, or `train/CLASS/…` beside `test/CLASS/…`.

Where the folder holds `train` and `test` (and at most `val` or `valid` besides), they are its split. A validation
part is left out: nothing here selects models by it. Other files beside the class folders (a licence, a read-me)
are passed over, but inside them whatever is not an image is refused, since an image that is skipped
without a word is a unit that nobody counts.

The unit `folder` is the folder directly beneath the class folder, by name: `nevus/ann/1.png`, `nevus/ann/visit-2/3.png`
and `melanoma/ann/2.png` all belong to `ann`. Where that joins what belongs to two people, both are protected as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.files import IMAGE_SUFFIXES, canonical_name, children, data_folder, is_image, relative_name, walk
from gatekeeper.data.images import decode_all, stored_shapes
from gatekeeper.data.records import ImageTable, Side, check_columns
from gatekeeper.errors import DataError

_VALIDATION = {"val", "valid"}
_UNIT_COLUMNS = ("image", "folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFile:
    """An image file and what its place says of it.

    Attributes:
        path: the file.
        class_folder: the class folder that it lies beneath.
        side: the side of the given split, or None.
    """

    path: Path
    class_folder: Path
    side: Side | None

    @property
    def label(self) -> str:
        """The class: the name of its folder."""
        return canonical_name(self.class_folder.name)


def read(spec: DataSpec) -> ImageTable:
    """Read all images; the unit is `image` (its path) or `folder` (the one beneath the class folder).

    Raises:
        DataError: the layout is another, a file is not an image that can be read, or the specification asks for a
            column that there isn't.
    """
    assert spec.path is not None
    root = data_folder(spec.path)
    check_columns(spec, offered=_UNIT_COLUMNS, label="class", where=spec.path)
    files = labelled_files(root)
    names = tuple(relative_name(file.path, root) for file in files)
    units, groups = (
        names if column == "image" else tuple(_subfolder(file) for file in files)
        for column in (spec.unit, spec.split.by or spec.unit)
    )
    sides = tuple(file.side for file in files if file.side)
    paths = [file.path for file in files]
    return ImageTable(
        name=root.resolve().name,
        source=spec.path,
        images=decode_all(paths, image_size=spec.image_size, channels=spec.channels, source=spec.path),
        image_names=names,
        labels=tuple(file.label for file in files),
        units=units,
        groups=groups,
        sides=sides or None,
        stored_shapes=stored_shapes(paths),
    )


def labelled_files(root: Path) -> tuple[LabelledFile, ...]:
    """Every image beneath the class folders of `root`, by name.

    Raises:
        DataError: there are no class folders, an image lies outside of them, one is empty, or one holds
            something that is not an image.
    """
    parts = _folders(root, root=root)
    names = {part.name for part in parts}
    if {"train", "test"} <= names and names <= {"train", "test"} | _VALIDATION:
        train = _class_files(_folders(root / "train", root=root), root=root, side="train")
        return (*train, *_class_files(_folders(root / "test", root=root), root=root, side="test"))
    return _class_files(parts, root=root, side=None)


def _folders(folder: Path, *, root: Path) -> tuple[Path, ...]:
    found = tuple(children(folder, root=root))
    for path in found:
        if path.is_file() and is_image(path):
            raise DataError("the image is in no class folder", where=str(path), hint="put it into its class's folder")
    folders = tuple(path for path in found if path.is_dir())
    if not folders:
        raise DataError("there are no class folders", where=str(folder), hint="expected CLASS/…/IMAGE")
    return folders


def _class_files(folders: tuple[Path, ...], *, root: Path, side: Side | None) -> tuple[LabelledFile, ...]:
    files = []
    for folder in folders:
        paths = tuple(walk(folder, root=root))
        if not paths:
            raise DataError("the class folder is empty", where=str(folder), hint="fill it, or remove it")
        for path in paths:
            if not is_image(path):
                raise DataError(
                    "the file's name is not that of an image",
                    where=str(path),
                    hint=f"take it out of the class folder; images end in {', '.join(IMAGE_SUFFIXES)}",
                )
        files += [LabelledFile(path=path, class_folder=folder, side=side) for path in paths]
    return tuple(files)


def _subfolder(file: LabelledFile) -> str:
    beneath = relative_name(file.path, file.class_folder)
    if "/" not in beneath:
        raise DataError(
            "the image lies directly in its class folder, so the unit folder has no meaning for it",
            where=str(file.path),
            hint="use the layout CLASS/UNIT/IMAGE, or the unit image",
        )
    return beneath.partition("/")[0]
