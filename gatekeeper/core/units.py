"""The shape of image data that stages hand to each other: a protocol, so that no stage imports another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class UnitImages(Protocol):
    """Images grouped by the unit whose privacy is protected. Private: never printed.

    Attributes:
        images: pixel values, uint8, shape (images, channels, *spatial); spatial is height and width, or depth,
            height and width.
        labels: class index of each image, int64, shape (images,); where there are masks, the largest class index
            that occurs in the image's mask, which serves to stratify and nothing else.
        masks: class index of each pixel, uint8, shape (images, *spatial), for segmentation; None for classification.
        unit_of: index of each image's unit in 0 … units − 1, int64, shape (images,); every unit has an image.
        units: how many units there are.
    """

    @property
    def images(self) -> NDArray[np.uint8]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def masks(self) -> NDArray[np.uint8] | None: ...
    @property
    def unit_of(self) -> NDArray[np.int64]: ...
    @property
    def units(self) -> int: ...
