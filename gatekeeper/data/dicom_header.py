"""What one DICOM file says of its image, or an error that names the file (DICOM PS3.3, C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatekeeper.data.dicom_fields import CORRECT, Fields
from gatekeeper.data.dicom_file import located, parse, told
from gatekeeper.data.images import MAX_PIXELS
from gatekeeper.errors import DataError

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")


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
        return located(self.path, patient=self.patient, number=self.number)

    @property
    def colour(self) -> bool:
        """Whether its pixels have a colour."""
        return self.photometric in COLOUR


def read_instance(path: Path, *, number: int) -> Instance:
    """What the file says of its image; its pixels are not read.

    Raises:
        DataError: it can't be parsed, has no image, lacks a field, or has one whose value can't be used.
    """
    fields = Fields(parse(path, pixels=False, where=str(path)), path, number)
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


def _check_kind(instance: Instance, fields: Fields) -> None:
    """Refuse what can't be shown as grey or colour without a guess."""
    if instance.photometric not in (*GREY, *COLOUR):
        raise DataError(
            f"PhotometricInterpretation is {told(instance.photometric)}",
            where=instance.where,
            hint=f"convert the image to one of {', '.join((*GREY, *COLOUR))}",
        )
    samples = 3 if instance.colour and instance.photometric != "PALETTE COLOR" else 1
    if fields.whole("SamplesPerPixel", most=4) != samples:
        raise DataError(
            f"SamplesPerPixel is {fields.get('SamplesPerPixel')}, and {instance.photometric} has {samples}",
            where=instance.where,
            hint=CORRECT,
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
