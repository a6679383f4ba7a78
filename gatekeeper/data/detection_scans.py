"""A first guess at scans: a folder of the Medical Segmentation Decathlon, or one of DICOM files."""

from __future__ import annotations

import itertools
from pathlib import Path

from gatekeeper.core.data_spec import DataSpec, SplitSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.dicom_header import Instance, read_instance
from gatekeeper.data.dicom_labels import KEYS
from gatekeeper.data.dicom_tree import is_marked
from gatekeeper.data.extras import need
from gatekeeper.data.files import children, walk
from gatekeeper.data.msd_manifest import MANIFEST, read_manifest
from gatekeeper.data.tables import CsvTable, read_csv

_TEST_SHARE = 0.2
_SAMPLE = 50  # files that are looked at
_SOFT_TISSUE = (-160.0, 240.0)  # Hounsfield units
_LARGE = 256
_SIZE = (128, 128)
_LABELS = ("label", "class", "diagnosis", "target", "dx")


def detect_scans(path: Path) -> DataSpec | None:
    """Propose how to read the folder `path`, or None where it holds no scans.

    Raises:
        DataError: it holds some that can't be read, or what reads them is not installed.
    """
    if (path / MANIFEST).is_file():
        return _decathlon(path)
    sample = list(itertools.islice(walk(path, root=path), _SAMPLE))
    marked = [file for file in sample if is_marked(file)]
    return _dicom(path, marked) if marked else None


def _decathlon(path: Path) -> DataSpec:
    channels = read_manifest(path).channels
    tomography = channels[0].upper() == "CT"
    return DataSpec(
        format="msd",
        path=str(path),
        unit="case",
        split=SplitSpec(test=_TEST_SHARE),
        scan=ScanSpec(
            every=4,
            window=_SOFT_TISSUE if tomography else None,
            window_of=None if tomography else "per-image",
            size=_SIZE,
            channel=channels[0] if len(channels) > 1 else None,
        ),
    )


def _dicom(path: Path, sample: list[Path]) -> DataSpec:
    need("pydicom", extra="medical", where=str(path))
    instances = [read_instance(file, number=number) for number, file in enumerate(sample, start=1)]
    table = _table(path)
    label = None if table is None else next((name for name in _LABELS if name in table.columns), "label")
    sizes = {(instance.rows, instance.columns) for instance in instances}
    small = len(sizes) == 1 and max(*sizes.pop()) <= _LARGE
    coloured = {instance.colour for instance in instances}
    return DataSpec(
        format="dicom",
        path=str(path),
        unit="patient",
        label=None if label == "label" else label,
        channels=3 if len(coloured) > 1 else None,
        split=SplitSpec(test=_TEST_SHARE),
        scan=_scan(instances, size=None if small else _SIZE, table=None if table is None else str(table.path)),
    )


def _scan(instances: list[Instance], *, size: tuple[int, int] | None, table: str | None) -> ScanSpec:
    if all(instance.modality == "CT" for instance in instances):
        return ScanSpec(window=_SOFT_TISSUE, size=size, table=table)
    deep = any(not instance.colour and (instance.bits > 8 or instance.signed) for instance in instances)
    return ScanSpec(window_of="per-image" if deep else None, size=size, table=table)


def _table(path: Path) -> CsvTable | None:
    """A table beside the files that has one of the columns that say what a row speaks of."""
    for file in children(path, root=path):
        if file.is_file() and file.suffix.lower() == ".csv":
            table = read_csv(file)
            if set(KEYS) & set(table.columns):
                return table
    return None
