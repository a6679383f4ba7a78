"""What one DICOM file says of its image, or an error that names the file (DICOM PS3.3, PS3.5, PS3.10).

Whatever a parser finds wrong is said in words of our own: its own may quote the file, and files hold names. For the
same reason an error shows no value of a field that describes a person.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.data.files import canonical_name
from gatekeeper.data.images import MAX_PIXELS
from gatekeeper.data.pseudonyms import masked
from gatekeeper.errors import DataError

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MAX_FILE_BYTES = 2 * 2**30
_REMOVE = "take the file out of the data"
_FIELDS = (
    *("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "Rows", "Columns"),
    *("NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "BurnedInAnnotation", "PixelSpacing"),
)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Instance:
    """One DICOM file with an image. Private: its patient's identifier is among the fields.

    Attributes:
        path: the file.
        number: its place among the files of the data folder, from 1, in the order of names.
        patient: PatientID without blanks around; empty where the file has none.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        uid: SOPInstanceUID.
        modality: such as CT; empty where the file doesn't say.
        transfer_syntax: how its pixels are stored.
        rows: height in pixels.
        columns: width in pixels.
        frames: how many images the file holds.
        photometric: PhotometricInterpretation.
        bits: BitsStored.
        allocated: BitsAllocated.
        signed: whether stored values are.
        annotated: whether the file says that text is burned into its pixels.
        spacing: millimetres between rows and between columns, or None where the file gives none that can be.
    """

    path: Path
    number: int
    patient: str
    study: str
    series: str
    uid: str
    modality: str
    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    photometric: str
    bits: int
    allocated: int
    signed: bool
    annotated: bool
    spacing: tuple[float, float] | None

    @property
    def where(self) -> str:
        """The file for messages; where its path holds the patient's identifier, with a pseudonym and its number."""
        return _located(self.path, patient=self.patient, number=self.number)

    @property
    def colour(self) -> bool:
        """Whether its pixels have a colour."""
        return self.photometric in COLOUR


def _located(path: Path, *, patient: str, number: int) -> str:
    shown = masked(str(path), secret=patient)
    return shown if shown == str(path) else f"{shown} (file {number} in the order of names)"


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's warnings: they quote the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(path: Path, *, pixels: bool) -> Any:
    """The file as pydicom's data set, with its pixel data or up to them.

    Raises:
        DataError: it can't be read, is too large, or is no DICOM file that can be parsed.
    """
    import pydicom  # an optional extra

    try:
        with quiet():
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise DataError(f"the file is larger than {_MAX_FILE_BYTES} bytes", where=str(path), hint=_REMOVE)
            meta = pydicom.filereader.read_file_meta_info(path)
            # Unpacked as a whole, whatever its size: a few kilobytes could become gigabytes.
            if meta.get("TransferSyntaxUID") == _DEFLATED:
                raise DataError("the file is deflated as a whole", where=str(path), hint="store it without deflation")
            return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror}", where=str(path), hint=_REMOVE) from error
    except DataError:
        raise
    # Whatever a parser stumbles over in a file that somebody damaged or made up.
    except Exception as error:
        raise DataError(
            f"the file is truncated or malformed ({type(error).__name__})",
            where=str(path),
            hint="get the file again, or take it out of the data",
        ) from error


def read_instance(path: Path, *, number: int) -> Instance:
    """What the file says of its image; its pixels are not read.

    Raises:
        DataError: it can't be parsed, has no image, lacks a field, or has one whose value can't be used.
    """
    fields = _Fields(parse(path, pixels=False), path, number)
    if fields.get("Rows") is None and fields.get("Columns") is None:
        raise DataError(
            "the file has no image (no fields Rows and Columns)",
            where=fields.where,
            hint="take reports, plans, structures and indexes out of the data folder",
        )
    rows, columns = fields.whole("Rows", most=65535), fields.whole("Columns", most=65535)
    frames = fields.whole("NumberOfFrames", most=10**6) if fields.get("NumberOfFrames") is not None else 1
    if rows * columns > MAX_PIXELS:
        raise DataError(
            f"Rows × Columns are {rows}×{columns} pixels; the limit is {MAX_PIXELS}",
            where=fields.where,
            hint="store the image at the size that it is trained at",
        )
    instance = Instance(
        path=path,
        number=number,
        patient=fields.patient,
        study=fields.text("StudyInstanceUID"),
        series=fields.text("SeriesInstanceUID"),
        uid=fields.text("SOPInstanceUID"),
        modality=str(fields.get("Modality") or ""),
        transfer_syntax=fields.transfer_syntax,
        rows=rows,
        columns=columns,
        frames=frames,
        photometric=fields.text("PhotometricInterpretation"),
        bits=fields.whole("BitsStored", most=64),
        allocated=fields.whole("BitsAllocated", most=64),
        signed=fields.whole("PixelRepresentation", least=0, most=1) == 1,
        annotated=str(fields.get("BurnedInAnnotation") or "").upper() == "YES",
        spacing=fields.spacing(),
    )
    _check_kind(instance, fields)
    return instance


def _check_kind(instance: Instance, fields: _Fields) -> None:
    """Refuse what can't be shown as grey or colour without a guess."""
    if instance.photometric not in (*GREY, *COLOUR):
        raise DataError(
            f"PhotometricInterpretation is {instance.photometric}",
            where=instance.where,
            hint=f"convert the image to one of {', '.join((*GREY, *COLOUR))}",
        )
    samples = 3 if instance.colour and instance.photometric != "PALETTE COLOR" else 1
    if fields.whole("SamplesPerPixel", most=4) != samples:
        raise DataError(
            f"SamplesPerPixel is {fields.get('SamplesPerPixel')}, and {instance.photometric} has {samples}",
            where=instance.where,
            hint="correct the file, or take it out of the data",
        )
    deep = 8 if samples == 3 else 16
    if instance.allocated not in (8, 16) or not 1 < instance.bits <= min(instance.allocated, deep):
        raise DataError(
            f"BitsAllocated and BitsStored are {instance.allocated} and {instance.bits}; of {instance.photometric} "
            f"2 to {deep} bits in 8 or 16 can be read",
            where=instance.where,
            hint="masks of segmentations and dose grids are no images: take the file out of the data",
        )
    if fields.whole("HighBit", least=0, most=63) != instance.bits - 1:
        raise DataError(
            f"HighBit is {fields.get('HighBit')}, and BitsStored {instance.bits}",
            where=instance.where,
            hint="store values in the lowest bits",
        )


class _Fields:
    """The fields of one file, by name, each checked as it is asked for."""

    def __init__(self, dataset: Any, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._values: dict[str, Any] = {}
        self.patient = ""
        try:
            with quiet():
                self._values = {name: dataset.get(name) for name in _FIELDS}
                syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
                self.transfer_syntax = "" if syntax is None else str(syntax)
        # A value that can't be converted, in whatever way.
        except Exception as error:
            raise self._wrong("of the header", f"can't be read ({type(error).__name__})") from error
        self.patient = self._patient()
        if not self.transfer_syntax:
            raise self._wrong("TransferSyntaxUID", "is missing")

    @property
    def where(self) -> str:
        """The file, for messages."""
        return _located(self._path, patient=self.patient, number=self._number)

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

    def _patient(self) -> str:
        value = self._values["PatientID"]
        if value is not None and not isinstance(value, str):
            raise self._wrong("PatientID", "has several values")
        return canonical_name(value or "").strip(" \0")

    def _wrong(self, name: str, message: str) -> DataError:
        return DataError(
            f"the field {name} {message}", where=self.where, hint="correct the file, or take it out of the data"
        )
