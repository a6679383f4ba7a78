"""Synthetic photographs of skin lesions: patients have lesions, lesions have images, classes overlap.

For trying and testing where no real set may be used; a data set of this format is marked synthetic wherever it is
named. A patient has 1 to 3 lesions, a lesion 1 to 4 photographs. The three classes differ in the distributions of
eight traits (size, colour, border, surface) that overlap, and a fixed share of the lesions looks like another
class altogether, so that a small network learns to tell about nine of ten and none can tell them all.

The same seed gives the same bytes on every machine; see `stream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gatekeeper.core.data_spec import DataSpec, PhantomSpec
from gatekeeper.data.images import check_total_bytes, to_pixels
from gatekeeper.data.phantom_drawing import Skin, Traits, draw_form, photograph
from gatekeeper.data.records import ImageTable, check_columns
from gatekeeper.data.stream import Stream

DEFAULT_SIZE = (48, 48)
CLASSES = ("keratosis-like", "melanoma-like", "nevus-like")
AMBIGUOUS = 0.06  # share of lesions that look like another class: no classifier beats 1 − AMBIGUOUS by much
OVERLAP = 1.0  # spread of the traits within a class; 0 makes the classes trivial
_PREVALENCE = (0.3, 0.3, 0.4)
_TYPICAL = (
    Traits(
        size=0.55,
        darkness=0.40,
        redness=0.20,
        irregularity=0.30,
        elongation=0.40,
        sharpness=0.90,
        variegation=0.10,
        roughness=0.80,
    ),
    Traits(
        size=0.70,
        darkness=0.70,
        redness=0.45,
        irregularity=0.80,
        elongation=0.50,
        sharpness=0.50,
        variegation=0.70,
        roughness=0.30,
    ),
    Traits(
        size=0.40,
        darkness=0.55,
        redness=0.30,
        irregularity=0.15,
        elongation=0.25,
        sharpness=0.40,
        variegation=0.10,
        roughness=0.15,
    ),
)
_SPREAD = 0.17  # of each trait, at OVERLAP 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """Where one image of the set comes from.

    Attributes:
        image: its name.
        lesion: the lesion's name.
        patient: the patient's name.
        diagnosis: the lesion's class.
    """

    image: str
    lesion: str
    patient: str
    diagnosis: str


def read(spec: DataSpec) -> ImageTable:
    """Draw the set that `spec.phantom` describes, at 48×48 pixels in colour unless the specification says otherwise.

    The unit and `split.by` may be `image`, `lesion` or `patient`; the label is `diagnosis`.

    Raises:
        DataError: the specification asks for a column that there isn't, or for too many pixels.
    """
    assert spec.phantom is not None
    check_columns(spec, offered=("image", "lesion", "patient"), label="diagnosis", where=spec.format)
    height, width = spec.image_size or DEFAULT_SIZE
    photos, images = [], []
    for patient in range(spec.phantom.patients):
        for photo, pixels in _patient(spec.phantom, patient, height=height, width=width):
            photos.append(photo)
            images.append(to_pixels(Image.fromarray(pixels), image_size=None, channels=spec.channels))
        check_total_bytes(len(images) * images[0].nbytes, source=spec.format)
    columns = {name: tuple(getattr(photo, name) for photo in photos) for name in ("image", "lesion", "patient")}
    return ImageTable(
        name=f"phantom lesions of {spec.phantom.patients} patients, seed {spec.phantom.seed}",
        source=spec.format,
        images=np.stack(images),
        image_names=columns["image"],
        labels=tuple(photo.diagnosis for photo in photos),
        units=columns[spec.unit],
        groups=columns[spec.split.by or spec.unit],
    )


def _patient(
    phantom: PhantomSpec, patient: int, *, height: int, width: int
) -> Iterator[tuple[Photo, NDArray[np.uint8]]]:
    stream = Stream(seed=phantom.seed, index=patient)
    skin = Skin(tone=stream.uniform(), hairs=stream.choice((4, 2, 1, 1)))
    name = f"patient-{patient + 1:05d}"
    for lesion in range(1, stream.integer(1, 3) + 1):
        diagnosis = stream.choice(_PREVALENCE)
        form = draw_form(_traits(_appearance(diagnosis, stream), stream), stream)
        for image in range(1, stream.integer(1, 4) + 1):
            pixels = photograph(form, skin, stream, height=height, width=width)
            yield (
                Photo(
                    image=f"{name}-lesion-{lesion}-image-{image}",
                    lesion=f"{name}-lesion-{lesion}",
                    patient=name,
                    diagnosis=CLASSES[diagnosis],
                ),
                pixels,
            )


def _appearance(diagnosis: int, stream: Stream) -> int:
    """The class that a lesion looks like: mostly its own."""
    if stream.uniform() >= AMBIGUOUS:
        return diagnosis
    return (diagnosis + stream.integer(1, len(CLASSES) - 1)) % len(CLASSES)


def _traits(appearance: int, stream: Stream) -> Traits:
    typical = _TYPICAL[appearance]
    drawn = {field.name: getattr(typical, field.name) + OVERLAP * _SPREAD * stream.normal() for field in fields(Traits)}
    return Traits(**{name: min(max(value, 0.0), 1.0) for name, value in drawn.items()})
