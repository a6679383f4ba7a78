"""The U-Net of volumes (Çiçek et al. 2016), with GroupNorm."""

from __future__ import annotations

from torch import nn

from gatekeeper.training.networks.unet import UNet


class UNet3d(UNet):
    """The U-Net with an axis more: volumes of shape (channels, depth, height, width), from 8 slices on."""

    dimensions = (3,)
    convolution = nn.Conv3d
    pooling = nn.MaxPool3d
