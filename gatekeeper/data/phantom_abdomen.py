"""Synthetic computed tomography of the abdomen with masks of liver and lesions: slices or volumes, several a patient.

For trying and testing where no real set may be used; a data set of this format is marked synthetic wherever it is
named. A patient has up to four lesions in the liver, and three to five axial slices or one or two volumes. Densities
in Hounsfield units go through a window of −150 … 200 to 8 bits of grey. Spleen, bowel and vessels overlap
the densities of liver and lesions, so that a network must learn where things lie; nothing else is hidden.

The same seed gives the same bytes on every machine; see `stream`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gatekeeper.core.data_spec import DataSpec, PhantomSpec
from gatekeeper.data.abdomen_anatomy import CLASSES, Scan, draw_abdomen, scan
from gatekeeper.data.images import check_total_bytes
from gatekeeper.data.records import ImageTable, check_columns
from gatekeeper.data.stream import Stream

DEFAULT_SIZES: dict[int, tuple[int, ...]] = {2: (64, 64), 3: (16, 32, 32)}
_REACH = 0.6  # slices lie between −0.6 and 0.6, where every liver is cut


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One image of the set, and whose it is.

    Attributes:
        image: its name.
        patient: the patient's name.
        scan: pixels and mask.
    """

    image: str
    patient: str
    scan: Scan


def read(spec: DataSpec) -> ImageTable:
    """Draw the set that `spec.phantom` describes: slices of 64×64 or volumes of 16×32×32 unless it says otherwise.

    The unit and `split.by` may be `image` or `patient`; the label is `mask`.

    Raises:
        DataError: the specification asks for a column that there isn't, or for too many pixels.
    """
    assert spec.phantom is not None
    check_columns(spec, offered=("image", "patient"), label="mask", where=spec.format)
    size = spec.phantom.size or DEFAULT_SIZES[spec.phantom.dimensions]
    records: list[Record] = []
    for patient in range(spec.phantom.patients):
        records += _patient(spec.phantom, patient, size=size)
        check_total_bytes(2 * len(records) * math.prod(size), source=spec.format, key="phantom.size")
    columns = {name: tuple(getattr(record, name) for record in records) for name in ("image", "patient")}
    kind = "slices" if spec.phantom.dimensions == 2 else "volumes"
    return ImageTable(
        name=f"phantom abdomens of {spec.phantom.patients} patients, {kind}, seed {spec.phantom.seed}",
        source=spec.format,
        images=np.stack([record.scan.pixels[np.newaxis] for record in records]),
        image_names=columns["image"],
        labels=tuple(CLASSES[int(record.scan.mask.max())] for record in records),
        units=columns[spec.unit],
        groups=columns[spec.split.by or spec.unit],
        masks=np.stack([record.scan.mask for record in records]),
        classes=CLASSES,
    )


def _patient(phantom: PhantomSpec, patient: int, *, size: tuple[int, ...]) -> Iterator[Record]:
    stream = Stream(seed=phantom.seed, index=patient)
    abdomen = draw_abdomen(stream)
    name = f"patient-{patient + 1:05d}"
    slices = phantom.dimensions == 2
    count = stream.integer(3, 5) if slices else stream.integer(1, 2)
    for number in range(1, count + 1):
        # Slices are spread over the liver: one in each part of it.
        height = _REACH * (2 * (number - stream.uniform()) / count - 1) if slices else 0.0
        yield Record(
            image=f"{name}-{'slice' if slices else 'volume'}-{number}",
            patient=name,
            scan=scan(abdomen, stream, size=size, height=height),
        )
