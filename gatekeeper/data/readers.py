"""The table of readers: each format's name and the function that reads it. A new format is one file and one line."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.core.data_spec import DataFormat, DataSpec
from gatekeeper.data import (
    dicom,
    digits,
    factory,
    ham10000,
    image_folder,
    medmnist,
    msd,
    numpy_arrays,
    phantom_abdomen,
    phantom_lesions,
    radimagenet,
)
from gatekeeper.data.records import ImageTable

READERS: dict[DataFormat, Callable[[DataSpec], ImageTable]] = {
    "digits": digits.read,
    "phantom-lesions": phantom_lesions.read,
    "phantom-abdomen": phantom_abdomen.read,
    "medmnist": medmnist.read,
    "image-folder": image_folder.read,
    "ham10000": ham10000.read,
    "radimagenet": radimagenet.read,
    "numpy": numpy_arrays.read,
    "factory": factory.read,
    "msd": msd.read,
    "dicom": dicom.read,
}
