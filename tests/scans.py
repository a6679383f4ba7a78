"""Builders of small scans: Medical Segmentation Decathlon folders, and trees of DICOM files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from gatekeeper.core.data_spec import DataFormat, DataSpec, SplitSpec
from gatekeeper.core.scan_spec import ScanSpec


class Draw(Protocol):
    """Draws the values of a scan."""

    def __call__(self, seed: int, *, shape: tuple[int, ...]) -> NDArray[np.int16]: ...


LABELS = {"0": "background", "1": "liver", "2": "lesion"}
# The patient lies feet first, head to the left of the page: axes in another order, and two of them flipped.
AFFINE = np.array([[0.0, -1.5, 0.0, 90.0], [0.0, 0.0, 1.5, -40.0], [-4.0, 0.0, 0.0, 12.0], [0.0, 0.0, 0.0, 1.0]])


def scan_spec(data_format: DataFormat, path: Path, scan: ScanSpec, **options: Any) -> DataSpec:
    """A data specification with the defaults of these tests."""
    own: dict[str, Any] = {"unit": "case" if data_format == "msd" else "patient", "split": SplitSpec(test=0.3)}
    return DataSpec(format=data_format, path=str(path), scan=scan, **{**own, **options})


def hounsfield(seed: int, *, shape: tuple[int, ...] = (4, 8, 10)) -> NDArray[np.int16]:
    """Noise from −1024 to 1000, with a corner of −3024 as scanners write outside of their circle."""
    values = np.random.default_rng(seed).integers(-1024, 1000, shape).astype(np.int16)
    values[..., :2, :2] = -3024
    return values


def blotches(seed: int, *, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """As `hounsfield`, but coarse: images of which one is as like another as those of real bodies are."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(-600, 600, tuple(-(-side // 8) for side in shape))
    grown = coarse
    for axis, side in enumerate(shape):
        grown = np.repeat(grown, 8, axis=axis).take(range(side), axis=axis)
    return (grown + generator.integers(-20, 20, shape)).astype(np.int16)


def labels_of(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A mask with a liver in the middle and a lesion in it."""
    mask = np.zeros(values.shape[:3], dtype=np.uint8)
    mask[:, 2:7, 2:7] = 1
    mask[1:, 3:5, 3:5] = 2
    return mask


def write_nifti(path: Path, values: NDArray[Any], *, affine: NDArray[np.float64] = AFFINE) -> Path:
    """One NIfTI-1 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    nibabel.save(image, path)
    return path


def decathlon(
    root: Path,
    *,
    cases: int = 6,
    shape: tuple[int, ...] = (4, 8, 10),
    affine: NDArray[np.float64] = AFFINE,
    draw: Draw = hounsfield,
    **manifest: object,
) -> Path:
    """A folder of `cases` volumes, with what desktops leave behind."""
    training = []
    for case in range(cases):
        values = draw(case, shape=shape)
        write_nifti(root / "imagesTr" / f"liver_{case}.nii.gz", values, affine=affine)
        write_nifti(root / "labelsTr" / f"liver_{case}.nii.gz", labels_of(values), affine=affine)
        training.append({"image": f"./imagesTr/liver_{case}.nii.gz", "label": f"./labelsTr/liver_{case}.nii.gz"})
    (root / "imagesTr" / "._liver_0.nii.gz").write_bytes(b"Mac OS X")
    write_manifest(root, training=training, numTraining=cases, **manifest)
    return root


def write_manifest(root: Path, **fields: object) -> None:
    """A `dataset.json` of one channel and three labels."""
    content = {"name": "Liver", "modality": {"0": "CT"}, "labels": LABELS, "test": ["./imagesTs/x.nii.gz"]}
    (root / "dataset.json").write_text(json.dumps({**content, **fields}))


def edit_manifest(root: Path, **fields: object) -> None:
    """Change fields of the manifest."""
    content = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**content, **fields}))


def dicom_file(
    path: Path,
    stored: NDArray[np.generic],
    *,
    patient: str = "1234567",
    series: str = "1.2.3",
    uid: str | None = None,
    height: float = 0.0,
    **fields: object,
) -> Path:
    """An axial CT slice as scanners write it; fields replace its own, and None removes one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    number = "".join(str(ord(letter)) for letter in f"{series}{path.stem}{height}")[-40:]
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(uid or f"1.2.826.0.1.{number.lstrip('0')}")
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    colour = stored.ndim == 3 and stored.shape[-1] == 3
    own: dict[str, object] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": f"{series}.1",
        "SeriesInstanceUID": series,
        "PatientID": patient,
        "PatientName": f"Doe^{patient}",
        "Modality": "CT",
        "Rows": stored.shape[-3] if colour else stored.shape[-2],
        "Columns": stored.shape[-2] if colour else stored.shape[-1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": 8 * stored.dtype.itemsize,
        "BitsStored": 8 * stored.dtype.itemsize,
        "HighBit": 8 * stored.dtype.itemsize - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelSpacing": [0.5, 0.7],
        "ImagePositionPatient": [-10.0, -20.0, height],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelData": stored.tobytes(),
    }
    if colour:
        own["PlanarConfiguration"] = 0
    for name, value in {**own, **fields}.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def dicom_tree(
    root: Path, *, patients: int = 6, slices: int = 4, side: tuple[int, int] = (8, 10), draw: Draw = hounsfield
) -> Path:
    """One series of CT slices a patient, in class folders; files in another order than the slices'."""
    for patient in range(patients):
        folder = root / ("well", "ill")[patient % 2] / f"scan-{patient}"
        volume = draw(patient, shape=(slices, *side))
        for place in range(slices):
            dicom_file(
                folder / f"{(place * 3) % slices}-{place}.dcm",
                volume[place],
                patient=f"KH-{40 + patient}",
                series=f"1.2.3.{patient + 1}",
                height=2.5 * place,
            )
    return root


def as_grey(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """What a window makes of values: the definition, in one line."""
    return np.floor((np.clip(values.astype(float), low, high) - low) / (high - low) * 255 + 0.5).astype(np.uint8)
