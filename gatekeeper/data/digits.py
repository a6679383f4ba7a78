"""The handwritten digits that ship with scikit-learn: 1,797 real images of 8×8 pixels in ten classes.

E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998 (the
test part). The set says nothing about who wrote which digit, so each image is its own unit. No two images are alike.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.images import to_pixels
from gatekeeper.data.records import ImageTable, check_columns
from gatekeeper.errors import DataError

_LARGEST = 16  # each pixel counts the inked ones of a block of 4×4


def read(spec: DataSpec) -> ImageTable:
    """All digits; 0 … 16 is scaled to 0 … 255, rounded down.

    Raises:
        DataError: scikit-learn is not installed, or the specification asks for a column that there isn't.
    """
    check_columns(spec, offered=("image",), label="digit", where="digits")
    # Imported here: an optional extra, and slow to load.
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "the digits ship with scikit-learn, which is not installed",
            where="digits",
            hint='pip install "gatekeeper[digits]"',
        ) from error
    bunch = load_digits()
    grey = (bunch.images.astype(np.int64) * 255 // _LARGEST).astype(np.uint8)
    images = [to_pixels(Image.fromarray(pixels), image_size=spec.image_size, channels=spec.channels) for pixels in grey]
    names = tuple(f"digit-{row:04d}" for row in range(len(images)))
    return ImageTable(
        name="digits",
        source="digits",
        images=np.stack(images),
        image_names=names,
        labels=tuple(str(digit) for digit in bunch.target.tolist()),
        units=names,
        groups=names,
        stored_shapes=((1, *grey.shape[1:]),) * len(grey),
    )
