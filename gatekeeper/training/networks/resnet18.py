"""ResNet-18 (He et al. 2016) in torchvision's layout, with GroupNorm in place of BatchNorm, which mixes samples."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.training.networks.base import Classifier, group_norm

# Channels of each stage, in widths, and the stride of its first block.
_STAGES = ((1, 1), (2, 2), (4, 2), (8, 2))


class _BasicBlock(nn.Module):
    """Two 3×3 convolutions and the residual sum; the shortcut is a 1×1 convolution where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
            group_norm(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            group_norm(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), group_norm(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layers(x) + self.shortcut(x))


class ResNet18(Classifier):
    """7×7 stem with stride 2, max pooling, four stages of two blocks; images of at least 32×32.

    `width` is the channels of the stem and the first stage, 64 in the paper.
    """

    smallest_side = 32
    width_multiple = 4

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        layers: list[nn.Module] = [
            nn.Conv2d(image_shape[0], width, 7, stride=2, padding=3, bias=False),
            group_norm(width),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        channels = width
        for widths, stride in _STAGES:
            layers += [
                _BasicBlock(channels, widths * width, stride=stride),
                _BasicBlock(widths * width, widths * width, stride=1),
            ]
            channels = widths * width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)
