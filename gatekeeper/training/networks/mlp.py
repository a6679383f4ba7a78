"""A multi-layer perceptron with two hidden layers."""

from __future__ import annotations

import math

from torch import nn

from gatekeeper.training.networks.base import Classifier


class MLP(Classifier):
    """Two hidden layers of `width` units with ReLU, for images of any shape."""

    dimensions = (2, 3)

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(image_shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.head = nn.Linear(width, classes)
