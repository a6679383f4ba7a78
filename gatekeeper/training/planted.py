"""Rows planted in front of a network, off whose gradients a server reads training images.

The gradient of a row with a ReLU is a sum over the images that activate it: ∂L/∂wᵢ = Σₓ gₓ(x − m) and ∂L/∂bᵢ = Σₓ gₓ, m
being the mean image of held-out units, which the layer subtracts first. gₓ, what the loss makes of the row's output, is
the same for all rows here: they reach the network through one public pattern, which is added to the image.

    x ──► (x − m) ──► rows ──► ReLU ──► sum ──► pattern ──► + ──► the candidate's own network, unchanged
    └───────────────────────────────────────────────────────┘

Rows are scaled down until what is added is lost in rounding, and the pattern up until the rows' gradients outweigh
the network's own: such a server decides what the clip is spent on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.core.checks import check_choice, check_integer, check_positive
from gatekeeper.errors import DataError, InvalidValueError

Flavour = Literal["bins", "trap"]

# By how much rows are scaled down: a power of two, so that it changes no digit of what they measure.
_HUSHED = 2.0**-60

# The pattern's size: so large that the clip is spent on the rows. With more than the largest, what is added to an image
# might not be lost in rounding.
GAIN, _LARGEST_GAIN = 2.0**20, 2.0**24

# Values of one piece of float64 images: 32 MiB.
_PIECE = 4 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlantedRows:
    """What a server plants, from public and held-out data alone.

    Attributes:
        flavour: `bins` or `trap`.
        mean: m, float64, shape (channels, *spatial), of pixel values in [0, 1].
        weight: float64, shape (rows, pixels); alike in all rows of bins.
        bias: float64, shape (rows,); falling in bins. Row i is active where weightᵢ·(x − m) + biasᵢ > 0.
    """

    flavour: Flavour
    mean: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def plant(
    flavour: Flavour, images: NDArray[np.uint8], *, rows: int, batch: int, generator: np.random.Generator
) -> PlantedRows:
    """Rows of a flavour; see `brightness_bins` and `trap_weights`.

    Args:
        flavour: which.
        images: of held-out units, uint8, shape (images, channels, *spatial), at least two.
        rows: how many, at least 2.
        batch: units of the step that they are planted for, at least 2.
        generator: draws trap weights.

    Raises:
        InvalidValueError: an argument is out of its range.
        DataError: fewer than two images, or all equally bright.
    """
    check_choice(flavour=flavour, choices=get_args(Flavour))
    check_integer(rows=rows, at_least=2)
    check_integer(batch=batch, at_least=2)
    if len(images) < 2:
        raise DataError(f"rows are planted by the spread of held-out images, got {len(images)}", hint="hold out more")
    if flavour == "bins":
        return brightness_bins(images, rows=rows)
    return trap_weights(images, rows=rows, batch=batch, generator=generator)


def brightness_bins(images: NDArray[np.uint8], *, rows: int) -> PlantedRows:
    """Every row measures the mean brightness; neighbouring rows differ by the images of one bin.

    Fowl et al. 2022, "Robbing the Fed": biases at quantiles of the measurement, here of held-out images. Row
    0 is active for every image, row i for those brighter than the quantile i/rows: there are as many bins as rows.

    Args:
        images: as in `plant`.
        rows: how many.
    """
    mean = _mean(images)
    weight = np.full((1, mean.size), 1 / mean.size)
    brightness = _measured(images, mean=mean, weight=weight)[:, 0]
    edges = np.quantile(brightness, np.arange(1, rows) / rows)
    if edges[0] == edges[-1] and rows > 2:
        raise DataError("held-out images are equally bright: there are no bins", hint="hold out more units")
    # No image is darker than −mean(m), the brightness of a black one.
    bias = np.concatenate(([mean.mean() + 1.0], -edges))
    return PlantedRows(flavour="bins", mean=mean, weight=np.repeat(weight, rows, axis=0), bias=bias)


def trap_weights(images: NDArray[np.uint8], *, rows: int, batch: int, generator: np.random.Generator) -> PlantedRows:
    """Random rows that about one image of a batch activates.

    Boenisch et al. 2023, "When the Curious Abandon Honesty": Gaussian weights of which a random half is
    negative. They tune how many images activate a row by scaling the other half; here the bias does, set at the
    quantile 1 − 1/batch of held-out images, which hits the share that isolates best.

    Args:
        images: as in `plant`.
        rows: how many.
        batch: units of a step.
        generator: draws the weights, which are public.
    """
    mean = _mean(images)
    size = np.abs(generator.standard_normal((rows, mean.size)))
    signs = generator.permuted(np.where(np.arange(mean.size) % 2 == 0, 1.0, -1.0)[None].repeat(rows, axis=0), axis=1)
    weight = size * signs / mean.size
    measured = _measured(images, mean=mean, weight=weight)
    return PlantedRows(flavour="trap", mean=mean, weight=weight, bias=-np.quantile(measured, 1 - 1 / batch, axis=0))


def _mean(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(images.mean(axis=0, dtype=np.float64)) / 255


def _measured(
    images: NDArray[np.uint8], *, mean: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """weight·(x − m) of each image, shape (images, rows)."""
    size = max(1, _PIECE // mean.size)
    pieces = [
        (images[start : start + size] / 255.0 - mean).reshape(-1, mean.size) @ weight.T
        for start in range(0, len(images), size)
    ]
    return np.concatenate(pieces)


class PlantedNetwork(nn.Module):
    """The candidate's network behind planted rows.

    Args:
        network: takes pixel values in [0, 1], shape (views, channels, *spatial); its forward pass is not altered.
        rows: what is planted.
        generator: draws the pattern's signs, which are public.
        gain: the pattern's size: how far the rows' gradients outweigh the network's own, above 0 and at most 2²⁴.
    """

    mean: Tensor
    pattern: Tensor

    def __init__(
        self, network: nn.Module, *, rows: PlantedRows, generator: np.random.Generator, gain: float = GAIN
    ) -> None:
        super().__init__()
        check_positive(gain=gain)
        if gain > _LARGEST_GAIN:
            raise InvalidValueError(f"gain must be at most {_LARGEST_GAIN:g}, got {gain!r}: the network would notice")
        count, pixels = rows.weight.shape
        # First, so that its gradients are the first two of those that a step releases.
        self.imprint = nn.Linear(pixels, count)
        with torch.no_grad():
            self.imprint.weight.copy_(torch.from_numpy(rows.weight * _HUSHED))
            self.imprint.bias.copy_(torch.from_numpy(rows.bias * _HUSHED))
        self.network = network
        signs = generator.choice(np.array([-1.0, 1.0]), size=rows.mean.shape)
        self.register_buffer("mean", torch.from_numpy(rows.mean).float())
        self.register_buffer("pattern", torch.from_numpy(signs * gain).float())

    def forward(self, x: Tensor) -> Tensor:
        """What the network makes of the images, with the rows' gradients on the way back."""
        lit = torch.relu(self._measured(x)).sum(1)
        outputs: Tensor = self.network(x + self.pattern * lit.view(-1, *(1 for _ in self.pattern.shape)))
        return outputs

    def active(self, x: Tensor) -> Tensor:
        """Which rows each image activates, bool, shape (images, rows)."""
        with torch.no_grad():
            return self._measured(x) > 0

    def _measured(self, x: Tensor) -> Tensor:
        measured: Tensor = self.imprint((x - self.mean).flatten(1))
        return measured
