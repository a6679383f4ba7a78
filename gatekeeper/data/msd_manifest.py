"""The `dataset.json` of a Medical Segmentation Decathlon folder: its cases, channels and classes.

M. Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 4128, 2022. It names each training
image with its mask (`training`), the channels (`modality`) and what the values of masks mean (`labels`). The
manifest decides: files that it doesn't name are not read, and the images without masks that it lists for the
challenge (`test`) are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gatekeeper.core.checks import check_text
from gatekeeper.data.files import canonical_name
from gatekeeper.errors import DataError, InvalidValueError

MANIFEST = "dataset.json"
_MAX_BYTES = 16 * 2**20
_SUFFIXES = (".nii.gz", ".nii")
_LARGEST_VALUE = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One training case.

    Attributes:
        name: the image's file name without suffix, such as `liver_12`.
        image: the file of the image.
        mask: the file of the mask.
    """

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What `dataset.json` says.

    Attributes:
        path: the file.
        cases: by name.
        channels: the channels' names, in the order of the file; `CT`, say.
        meanings: what each value of a mask means, by value; 0 is among them.
    """

    path: Path
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    meanings: dict[int, str]


def read_manifest(root: Path) -> Manifest:
    """Read `dataset.json` of the folder `root`.

    Raises:
        DataError: it is missing or malformed, numbers what it doesn't list, names a file twice, one that is missing
            or one outside of the folder; the message names the field.
    """
    path = root / MANIFEST
    content = _content(path)
    cases = _cases(content, path)
    channels = _numbered(content, "modality", path)
    meanings = _numbered(content, "labels", path)
    if sorted(channels) != list(range(len(channels))):
        raise _wrong(path, "modality", f"numbers the channels {sorted(channels)}", "number them from 0 without a gap")
    if 0 not in meanings or len(meanings) < 2:
        raise _wrong(path, "labels", "must say what 0 means, and one value more", "name the background and a class")
    if len(set(meanings.values())) != len(meanings):
        raise _wrong(path, "labels", "gives two values the same name", "name each once, or set data.scan.labels")
    return Manifest(
        path=path, cases=cases, channels=tuple(channels[number] for number in sorted(channels)), meanings=meanings
    )


def _wrong(path: Path, field: str, message: str, hint: str) -> DataError:
    return DataError(f"the field {field} {message}", where=str(path), hint=hint)


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"the manifest is larger than {_MAX_BYTES} bytes", where=str(path), hint="shorten it")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"the manifest can't be read: {error.strerror}",
            where=str(path),
            hint=f"data.path must be the folder that holds {MANIFEST}, imagesTr and labelsTr",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is not JSON: {error}", where=str(path), hint="get the file again") from error
    if not isinstance(content, dict):
        raise DataError("this is not a JSON object", where=str(path), hint="get the file again")
    return content


def _numbered(content: dict[str, Any], field: str, path: Path) -> dict[int, str]:
    """A field such as `{"0": "background", "1": "liver"}`."""
    given = content.get(field)
    if not isinstance(given, dict) or not given:
        raise _wrong(path, field, "must map numbers to names", 'such as {"0": "CT"}')
    found = {}
    for key, name in given.items():
        if not (key.isascii() and key.isdecimal()) or str(int(key[:9])) != key or int(key) > _LARGEST_VALUE:
            raise _wrong(path, field, f"has the key {key!r}", f"keys are whole numbers from 0 to {_LARGEST_VALUE}")
        try:
            check_text(**{field: name})
        except InvalidValueError as error:
            raise _wrong(path, f"{field}.{key}", f"is no name: {error.message}", "give it a name") from error
        found[int(key)] = canonical_name(name)
    return found


def _cases(content: dict[str, Any], path: Path) -> tuple[Case, ...]:
    listed = content.get("training")
    if not isinstance(listed, list) or not listed:
        raise _wrong(path, "training", "must list the cases", 'such as [{"image": …, "label": …}]')
    number = content.get("numTraining", len(listed))
    if number != len(listed):
        raise _wrong(
            path, "numTraining", f"is {number!r}, and training lists {len(listed)}", "get the whole data set again"
        )
    cases: dict[str, Case] = {}
    seen: set[Path] = set()
    for index, entry in enumerate(listed):
        field = f"training[{index}]"
        if not isinstance(entry, dict):
            raise _wrong(path, field, "must name an image and a label", 'such as {"image": …, "label": …}')
        image = _file(entry.get("image"), f"{field}.image", path)
        mask = _file(entry.get("label"), f"{field}.label", path)
        name = canonical_name(next(image.name.removesuffix(end) for end in _SUFFIXES if image.name.endswith(end)))
        for part, file in (("image", image), ("label", mask)):
            if file.resolve() in seen:
                raise _wrong(
                    path, f"{field}.{part}", f"names {file.name} again", "an image has one mask, and one owner"
                )
            seen.add(file.resolve())
        if name in cases:
            raise _wrong(path, f"{field}.image", f"names the case {name!r} again", "list each case once")
        cases[name] = Case(name=name, image=image, mask=mask)
    return tuple(cases[name] for name in sorted(cases))


def _file(name: object, field: str, path: Path) -> Path:
    """A file that the manifest names: within its folder, whatever links there are."""
    if not isinstance(name, str) or not name.endswith(_SUFFIXES):
        raise _wrong(path, field, f"is {name!r}", f"it must be a file name that ends in {' or '.join(_SUFFIXES)}")
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name or not name.isprintable():
        raise _wrong(path, field, f"is {name!r}", "it must lead to a file within the folder, such as ./imagesTr/…")
    found = path.parent / inside
    if not found.is_file():
        raise DataError(
            f"there is no such file; the field {field} of {path.name} names it",
            where=str(found),
            hint="get the whole data set again, or take the case out of training (and numTraining)",
        )
    if not found.resolve().is_relative_to(path.parent.resolve()):
        raise DataError("the link leads out of the data folder", where=str(found), hint="copy the file into the folder")
    return found
