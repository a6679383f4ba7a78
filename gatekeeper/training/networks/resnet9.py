"""ResNet-9 as in Ziller et al. 2024: weight standardisation, GroupNorm, Mish, scale norm, max pooling.

Scale norm is a normalisation after each residual sum (Klause et al. 2022, "Differentially private training
of residual networks with scale normalisation"). No layer mixes samples.
"""

from __future__ import annotations

from torch import Tensor, nn

from gatekeeper.training.networks.base import Classifier, group_norm
from gatekeeper.training.networks.standardised import StandardisedConv2d


def _block(channels_in: int, channels_out: int, *, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        StandardisedConv2d(channels_in, channels_out, 3, padding=1, bias=False),
        group_norm(channels_out),
        nn.Mish(),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class _Residual(nn.Module):
    """Two blocks, the residual sum, then scale norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(_block(channels, channels, pool=False), _block(channels, channels, pool=False))
        self.scale_norm = group_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.scale_norm(x + self.blocks(x))
        return normalised


class _GlobalMax(nn.Module):
    """The largest value of each channel: as adaptive pooling to one pixel, which not every version can export."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


class ResNet9(Classifier):
    """ResNet-9 for images of at least 8×8: three poolings by 2 must leave a pixel."""

    smallest_side = 8
    width_multiple = 4

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        self.features = nn.Sequential(
            _block(image_shape[0], width, pool=False),
            _block(width, 2 * width, pool=True),
            _Residual(2 * width),
            _block(2 * width, 4 * width, pool=True),
            _block(4 * width, 4 * width, pool=True),
            _Residual(4 * width),
            _GlobalMax(),
        )
        self.head = nn.Linear(4 * width, classes)
