"""The DICOM files of a folder, and that no two of them contradict each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.data.dicom_header import Instance, read_instance
from gatekeeper.data.files import walk
from gatekeeper.errors import DataError

_MARK = b"DICM"
_MARK_PLACE = 128
_DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
_INDEX = "DICOMDIR"

# What de-identification writes for everybody, without what isn't a letter or a digit. Short numbers are identifiers.
_NOBODY = re.compile(
    r"(anon(ymous|ymi[sz]ed|ymi[sz]ation)?|de ?identified|removed|redacted|unknown|none|null|nil|na|no ?id|"
    r"patient( ?id)?|subject|test|xx+|0{4,}|9{4,})"
)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Tree:
    """The images of a folder.

    Attributes:
        root: the folder.
        instances: its files with images, in the order of names.
        passed_over: how many files clearly are no DICOM files.
    """

    root: Path
    instances: tuple[Instance, ...]
    passed_over: int


def read_tree(root: Path) -> Tree:
    """Look at every file beneath `root`.

    Passed over and counted is what has no mark of DICOM, a name that is not one's, and is text or has a suffix; besides
    hidden files, and the index `DICOMDIR`.

    Raises:
        DataError: there is no DICOM file; one can't be used; a file may be one and isn't marked as such; two files are
            the same instance, or name two patients for one study or series.
    """
    instances, passed_over = [], 0
    for number, path in enumerate(walk(root, root=root), start=1):
        if path.name.upper() == _INDEX or not _is_dicom(path):
            passed_over += 1
        else:
            instances.append(read_instance(path, number=number))
    if not instances:
        raise DataError("there is no DICOM file", where=str(root), hint="check data.path")
    _check_distinct(instances)
    for name, of in _GROUPS:
        _check_one_patient(instances, name, of)
    return Tree(root=root, instances=tuple(instances), passed_over=passed_over)


_GROUPS: tuple[tuple[str, Callable[[Instance], str]], ...] = (
    ("series", lambda instance: instance.series),
    ("study", lambda instance: instance.study),
)


def is_marked(path: Path) -> bool:
    """Whether the file has DICOM's mark (PS3.10, 7.1).

    Raises:
        DataError: it can't be read.
    """
    return _start(path)[_MARK_PLACE : _MARK_PLACE + len(_MARK)] == _MARK


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1024)
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror}", where=str(path)) from error


def _is_dicom(path: Path) -> bool:
    if is_marked(path):
        return True
    suffix = path.suffix.lower()
    named = suffix in _DICOM_SUFFIXES
    if not named and (re.fullmatch(r"\.[a-z][a-z0-9]{0,7}", suffix) or _is_text(_start(path))):
        return False
    raise DataError(
        "the file is not marked as DICOM (no DICM after 128 bytes)",
        where=str(path),
        hint="get it again with its file meta information (PS3.10), or take it out of the data folder",
    )


def _is_text(start: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in start)


def _check_distinct(instances: Sequence[Instance]) -> None:
    first: dict[str, Instance] = {}
    for instance in instances:
        other = first.setdefault(instance.uid, instance)
        if other is not instance:
            raise DataError(
                f"it has the SOPInstanceUID of {other.where}",
                where=instance.where,
                hint="keep one of the two: an instance has one file",
            )


def _check_one_patient(instances: Sequence[Instance], name: str, of: Callable[[Instance], str]) -> None:
    first: dict[str, Instance] = {}
    for instance in instances:
        other = first.setdefault(of(instance), instance)
        if other.patient != instance.patient:
            raise DataError(
                f"it belongs to the {name} of {other.where}, and they name two patients (PatientID)",
                where=instance.where,
                hint=f"correct PatientID: a {name} is of one patient",
            )


def check_patients(tree: Tree) -> None:
    """Require that PatientID tells people apart, before it is taken for whose privacy is protected.

    Raises:
        DataError: it is empty, is what de-identification writes for everybody, is the same in all files, or two differ
            in case or blanks alone: most likely one person, who would be two units, perhaps on both sides of the split.
    """
    remedy = "give each patient an identifier of their own, or set data.unit to a column of data.scan.table"
    for instance in tree.instances:
        if not instance.patient:
            raise DataError("PatientID is empty, so nothing says whose image it is", where=instance.where, hint=remedy)
        bare = " ".join(re.findall(r"[^\W_]+", instance.patient.lower()))
        if _NOBODY.fullmatch(bare):
            raise DataError(
                "PatientID is a word that de-identification writes for everybody, so it tells nobody apart",
                where=str(instance.path),
                hint=remedy,
            )
    if len({instance.patient for instance in tree.instances}) == 1:
        raise DataError(
            "PatientID is the same in all files: everybody would be one unit", where=str(tree.root), hint=remedy
        )
    first: dict[str, Instance] = {}
    for instance in tree.instances:
        other = first.setdefault("".join(instance.patient.casefold().split()), instance)
        if other.patient != instance.patient:
            raise DataError(
                f"its PatientID differs from that of {other.where} in case or blanks alone",
                where=instance.where,
                hint="write one person's identifier alike in all files; of two persons, " + remedy,
            )
