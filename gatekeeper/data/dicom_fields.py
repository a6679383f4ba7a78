"""The fields of a DICOM file that speak of its image, each checked as it is asked for.

An error names the field and, of a person, no value.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gatekeeper.data.dicom_file import located, quiet, value_of
from gatekeeper.data.files import canonical_name
from gatekeeper.errors import DataError

CORRECT = "correct the file, or take it out of the data"
_NAMES = (
    *("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "Rows", "Columns"),
    *("NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "BurnedInAnnotation", "PixelSpacing"),
)


class Fields:
    """The fields of one file that speak of its image, by name, each checked as it is asked for.

    Args:
        dataset: pydicom's data set.
        path: the file.
        number: its place among the files of the data folder.

    Attributes:
        patient: PatientID without blanks around; empty where the file has none.
    """

    def __init__(self, dataset: Any, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self.patient = ""
        self.patient = self._patient(value_of(dataset, "PatientID", where=self.where))
        self._values = {name: value_of(dataset, name, where=self.where) for name in _NAMES}
        with quiet():
            syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
        if not syntax:
            raise self._wrong("TransferSyntaxUID", "is missing")

    @property
    def where(self) -> str:
        """The file, for messages."""
        return located(self._path, patient=self.patient, number=self._number)

    def get(self, name: str) -> Any:
        """The value of a field, or None where it is missing or empty."""
        value = self._values[name]
        return None if value is None or str(value) == "" else value

    def text(self, name: str) -> str:
        """A field that must be there."""
        value = self.get(name)
        if value is None:
            raise self._wrong(name, "is missing or empty")
        return str(value)

    def whole(self, name: str, *, most: int, least: int = 1) -> int:
        """A field that must be there and hold a whole number."""
        text = self.text(name)
        if not text.isascii() or not text.isdecimal() or not least <= int(text[:18]) <= most:
            raise self._wrong(name, f"must be a whole number from {least} to {most}")
        return int(text)

    def spacing(self) -> tuple[float, float] | None:
        """PixelSpacing; None where it is no pair of positive numbers: it matters only where it is asked for."""
        try:
            down, across = (float(part) for part in self.get("PixelSpacing"))
        except (TypeError, ValueError):
            return None
        return (down, across) if 0 < down < math.inf and 0 < across < math.inf else None

    def _patient(self, value: object) -> str:
        if value is not None and not isinstance(value, str):
            raise self._wrong("PatientID", "has several values")
        return canonical_name(value or "").strip(" \0")

    def _wrong(self, name: str, message: str) -> DataError:
        return DataError(f"the field {name} {message}", where=self.where, hint=CORRECT)
