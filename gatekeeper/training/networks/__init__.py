"""The networks that a candidate can name, built for an image shape and a number of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatekeeper.core.candidate import ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.networks.mlp import MLP
from gatekeeper.training.networks.resnet9 import ResNet9

# Three poolings by 2 must leave a pixel.
_RESNET9_MIN_SIDE = 8


class NormalisedInput(nn.Module):
    """A network that takes pixel values in [0, 1] and centres them itself.

    The constants are fixed, never the data's own mean and deviation: those would be un-noised statistics
    of the patients' images, and would leave with the model.
    """

    centre = 0.5
    spread = 0.25

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) from pixel values in [0, 1], shape (batch, channels, height, width)."""
        logits: Tensor = self.network((x - self.centre) / self.spread)
        return logits


def build(spec: ModelSpec, *, image_shape: tuple[int, ...], classes: int, seed: int) -> NormalisedInput:
    """A freshly initialised network.

    Args:
        spec: which network.
        image_shape: channels, height, width.
        classes: number of outputs, at least 2.
        seed: of the initial weights.

    Raises:
        UnsupportedModelError: the network can't take such images.
    """
    if len(image_shape) != 3:
        raise UnsupportedModelError(f"{spec.network} takes images, not volumes of shape {image_shape}")
    channels, height, width = image_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.network == "mlp":
            return NormalisedInput(MLP(inputs=channels * height * width, classes=classes, width=spec.width))
        _check_resnet9(spec, height=height, width=width)
        return NormalisedInput(ResNet9(channels=channels, classes=classes, width=spec.width))


def _check_resnet9(spec: ModelSpec, *, height: int, width: int) -> None:
    if min(height, width) < _RESNET9_MIN_SIDE:
        raise UnsupportedModelError(
            f"resnet9 needs images of at least {_RESNET9_MIN_SIDE}×{_RESNET9_MIN_SIDE}, got {height}×{width}",
            hint="set data.image_size, or use network: mlp",
        )
    if spec.width % 4:
        raise UnsupportedModelError(
            f"resnet9's width must be a multiple of 4, got {spec.width}", hint="GroupNorm uses groups of four channels"
        )
