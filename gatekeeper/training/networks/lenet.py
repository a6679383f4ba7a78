"""A small convolutional network after LeNet-5 (LeCun et al. 1998): ReLU and max pooling, no normalisation."""

from __future__ import annotations

from torch import nn

from gatekeeper.training.networks.base import Classifier

# Width 6 gives LeNet-5's hidden layers of 120 and 84 units.
_FIRST_HIDDEN = 20
_SECOND_HIDDEN = 14


class LeNet(Classifier):
    """Two 5×5 convolutions of `width` and 2·`width` filters, two hidden layers; images of at least 8×8."""

    smallest_side = 8

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        channels, height, width_of_image = image_shape
        pooled = 2 * width * (height // 4) * (width_of_image // 4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(pooled, _FIRST_HIDDEN * width),
            nn.ReLU(),
            nn.Linear(_FIRST_HIDDEN * width, _SECOND_HIDDEN * width),
            nn.ReLU(),
        )
        self.head = nn.Linear(_SECOND_HIDDEN * width, classes)
