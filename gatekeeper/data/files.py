"""Finding data files without leaving the data folder: links, devices and odd names are refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.errors import DataError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
_LEFT_BY_DESKTOPS = ("thumbs.db", "desktop.ini", "__macosx")


def existing(path: str, *, key: str = "data.path") -> Path:
    """`path`, which the candidate's `key` names and which must exist.

    Raises:
        DataError: there is nothing there.
    """
    place = Path(path)
    if not place.exists():
        raise DataError(
            "there is no such file or folder",
            where=path,
            hint=f"check {key}; relative paths start from the working directory, {Path.cwd()}",
        )
    return place


def data_folder(path: str) -> Path:
    """`path`, which must be a folder.

    Raises:
        DataError: it is missing, or a file.
    """
    folder = existing(path)
    if not folder.is_dir():
        raise DataError("this is a file where a folder is expected", where=path, hint="give the folder that holds it")
    return folder


def canonical_name(text: str) -> str:
    """`text` in Unicode normal form C, so that names that look alike divide and digest alike on every system."""
    return unicodedata.normalize("NFC", text)


def relative_name(path: Path, root: Path) -> str:
    """The name of `path` within `root`, with `/` on every system, in Unicode normal form C."""
    return canonical_name(path.relative_to(root).as_posix())


def is_image(path: Path) -> bool:
    """Whether the name ends like that of an image that can be read."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def children(folder: Path, *, root: Path) -> Iterator[Path]:
    """What lies directly in `folder`, by name; hidden files and what desktops leave behind are passed over.

    Args:
        folder: `root` or a folder beneath it.
        root: the data folder, which no link may leave.

    Raises:
        DataError: the folder can't be read, a link leads out of `root` or to a folder, something is neither
            a file nor a folder, or a name is not Unicode.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"the folder can't be read: {error.strerror}", where=str(folder)) from error
    for path in found:
        if not path.name.startswith(".") and path.name.lower() not in _LEFT_BY_DESKTOPS:
            check_file(path, root=root)
            yield path


def walk(folder: Path, *, root: Path) -> Iterator[Path]:
    """Every file beneath `folder`, in the order of names; for the arguments and errors see `children`."""
    for path in children(folder, root=root):
        if path.is_dir():
            yield from walk(path, root=root)
        else:
            yield path


def check_file(path: Path, *, root: Path) -> None:
    """Require of a path in an honest folder what `children` requires.

    Raises:
        DataError: it is a link out of `root` or to a folder, neither a file nor a folder, or its name is not Unicode.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        where = str(path).encode(errors="backslashreplace").decode()
        raise DataError("the name is not valid Unicode", where=where, hint="rename the file") from error
    if any(ord(character) < 32 or ord(character) == 127 for character in path.name):
        raise DataError("the name has a control character", where=repr(str(path)), hint="rename the file")
    if path.is_symlink():
        _check_link(path, root=root)
    elif not path.is_dir() and not path.is_file():
        raise DataError("this is neither a file nor a folder", where=str(path), hint="take it out of the data folder")


def _check_link(path: Path, *, root: Path) -> None:
    # Not strict: a link that leads nowhere, or in a circle, is told apart below.
    target = path.resolve()
    if not target.is_relative_to(root.resolve()):
        raise DataError("the link leads out of the data folder", where=str(path), hint="copy the file into the folder")
    if not target.is_file():
        raise DataError("the link does not lead to a file", where=str(path), hint="replace the link by what it means")
