"""The U-Net (Ronneberger et al. 2015) with GroupNorm: four levels, skip connections, one row of logits a pixel."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gatekeeper.training.networks.base import Network, group_norm


class UNet(Network):
    """Four levels of `width`, 2·, 4· and 8·`width` channels (16 wide in Ziller et al. 2024).

    A level has two 3×3 convolutions; going down is max pooling by 2, going up a 1×1 convolution that halves the
    channels, then repetition of pixels: no transposed convolution, and so no checkerboard.
    """

    task = "segmentation"
    smallest_side = 8
    spatial_multiple = 8
    width_multiple = 4
    convolution: ClassVar[type[nn.Conv2d] | type[nn.Conv3d]] = nn.Conv2d
    pooling: ClassVar[type[nn.MaxPool2d] | type[nn.MaxPool3d]] = nn.MaxPool2d

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        w = width
        self.down1 = self._level(image_shape[0], w)
        self.down2 = nn.Sequential(self.pooling(2), self._level(w, 2 * w))
        self.down3 = nn.Sequential(self.pooling(2), self._level(2 * w, 4 * w))
        self.bottom = nn.Sequential(self.pooling(2), self._level(4 * w, 8 * w))
        self.up3, self.level3 = self._up(8 * w), self._level(8 * w, 4 * w)
        self.up2, self.level2 = self._up(4 * w), self._level(4 * w, 2 * w)
        self.up1, self.level1 = self._up(2 * w), self._level(2 * w, w)
        self.head = self.convolution(w, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes, *spatial) from images of shape (batch, channels, *spatial)."""
        first = self.down1(x)
        second = self.down2(first)
        third = self.down3(second)
        y = self.bottom(third)
        y = self.level3(torch.cat([self.up3(y), third], 1))
        y = self.level2(torch.cat([self.up2(y), second], 1))
        y = self.level1(torch.cat([self.up1(y), first], 1))
        logits: Tensor = self.head(y)
        return logits

    def _level(self, channels_in: int, channels_out: int) -> nn.Sequential:
        """Two convolutions, each with GroupNorm and ReLU."""
        return nn.Sequential(
            self.convolution(channels_in, channels_out, 3, padding=1, bias=False),
            group_norm(channels_out),
            nn.ReLU(),
            self.convolution(channels_out, channels_out, 3, padding=1, bias=False),
            group_norm(channels_out),
            nn.ReLU(),
        )

    def _up(self, channels: int) -> nn.Sequential:
        """Half the channels, twice the size."""
        return nn.Sequential(
            self.convolution(channels, channels // 2, 1), nn.Upsample(scale_factor=2.0, mode="nearest")
        )
