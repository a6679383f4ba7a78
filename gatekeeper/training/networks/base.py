"""What a network that a candidate can name says of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gatekeeper.core.data_spec import Task

_MAX_GROUPS = 32
_GROUP = 4


class Network(nn.Module):
    """A network for images of some shape, and what it demands of them.

    Every layer with parameters is a module of its own, used once in a forward pass; none mixes samples.

    Attributes:
        task: what its outputs are: one row of logits an image, or one a pixel.
        dimensions: numbers of spatial axes that it takes.
        smallest_side: the least length of a spatial axis.
        spatial_multiple: other sizes than that of training are taken where each side is a multiple of this; None
            means the size of training alone.
        width_multiple: what the width must be a multiple of.
        only_width: the width of a network that has no other; 0 where the candidate chooses.
        channels: the number of channels that it takes; None means any.
        centre: subtracted from pixel values in [0, 1] …
        spread: … before they are divided by this.
        base_weights: SHA-256 of the file of weights that it came with; None where they are random.

    Args:
        image_shape: channels, then the length of each spatial axis.
        classes: number of outputs.
        width: channels of the first block, or units of a hidden layer.
    """

    task: ClassVar[Task] = "classification"
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    smallest_side: ClassVar[int] = 1
    spatial_multiple: ClassVar[int | None] = None
    width_multiple: ClassVar[int] = 1
    only_width: ClassVar[int] = 0
    channels: ClassVar[int | None] = None
    centre: ClassVar[float] = 0.5
    spread: ClassVar[float] = 0.25
    base_weights: str | None = None

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__()


class Classifier(Network):
    """Features of an image, then one layer of logits: frozen features can be computed once (see `features`)."""

    features: nn.Sequential
    head: nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes) from images of shape (batch, channels, *spatial)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with groups of four channels, at most 32 groups."""
    return nn.GroupNorm(min(_MAX_GROUPS, channels // _GROUP), channels)
