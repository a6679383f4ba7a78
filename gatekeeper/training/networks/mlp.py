"""A multi-layer perceptron with two hidden layers."""

from __future__ import annotations

from torch import Tensor, nn


class MLP(nn.Module):
    """Two hidden layers with ReLU.

    Args:
        inputs: number of pixel values of an image.
        classes: number of outputs.
        width: units of each hidden layer.
    """

    def __init__(self, *, inputs: int, classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) from images of shape (batch, channels, height, width)."""
        logits: Tensor = self.layers(x)
        return logits
