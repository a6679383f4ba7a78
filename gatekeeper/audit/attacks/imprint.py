"""Attack A′: images read off the gradients of rows that were planted in front of the candidate's own network.

The attack of Ziller et al. 2024: rows are planted (Fowl et al. 2022, "Robbing the Fed"; Boenisch et al. 2023, "When the
Curious Abandon Honesty"), a real batch goes through rows and network, the gradient of all of them is clipped as one,
and noise is added. It shows what such an attack achieves; the planted row of attack A, which isolates one image and
spends the clip on nothing else, achieves more.

A row's gradient is Σ gₓ(x − m) over the images that activate it, its bias' is Σ gₓ. Rows of `bins` measure the same at
rising thresholds, so that a row less its neighbour is the sum over one bin; a `trap` row is activated by few images.
Where that is a single image the ratio of the two is the image. NCC does not ask for the ratio's scale, only for its
sign, which is that of the bias' part. All arithmetic is in float64.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import compare
from gatekeeper.audit.directions import closest, directions
from gatekeeper.core.risk import Measure

Flavour = Literal["bins", "trap"]


class RowGradients(Protocol):
    """The part of a released gradient that belongs to the planted rows.

    Attributes:
        weight: float64, shape (rows, pixels).
        bias: float64, shape (rows,).
    """

    @property
    def weight(self) -> NDArray[np.float64]:
        """See above."""

    @property
    def bias(self) -> NDArray[np.float64]:
        """See above."""


class Activations(Protocol):
    """Which rows a step's views activate, which no attacker knows; for controls.

    Attributes:
        image: which training image each view shows, int64, shape (views,).
        active: shape (views, rows).
    """

    @property
    def image(self) -> NDArray[np.int64]:
        """See above."""

    @property
    def active(self) -> NDArray[np.bool_]:
        """See above."""


class AttackedStep(Protocol):
    """The run's own training step with planted rows in front of the candidate's network.

    Attributes:
        flavour: which rows are planted.
        rows: how many: the number of candidates that the attack offers, c.
        mean: m, float64, shape (channels, *spatial).
        batch: units of a step that the rows are planted for.
    """

    @property
    def flavour(self) -> Flavour:
        """See above."""

    @property
    def rows(self) -> int:
        """See above."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """See above."""

    @property
    def batch(self) -> int:
        """See above."""

    def observe(self, units: NDArray[np.int64], *, steps: range) -> RowGradients:
        """The mean of the noisy gradients of some steps that all take `units`."""

    def silent(self, units: NDArray[np.int64], *, step: int) -> RowGradients:
        """A step's gradient without noise."""

    def activations(self, units: NDArray[np.int64], *, step: int) -> Activations:
        """Which rows the views of `units` in a step activate."""


def read_out(gradients: RowGradients, *, flavour: Flavour) -> NDArray[np.float64]:
    """One candidate for each row: a centred image scaled to norm 1, or zeros of a row without, shape (rows, pixels).

    Args:
        gradients: what the attacker sees.
        flavour: `bins`: (∂Wᵢ − ∂Wᵢ₊₁) by the sign of (∂bᵢ − ∂bᵢ₊₁), the last row by itself (Fowl et al. 2022);
            `trap`: ∂Wᵢ by the sign of ∂bᵢ (Boenisch et al. 2023).
    """
    weight, bias = gradients.weight, gradients.bias
    if flavour == "bins":
        weight = weight - np.concatenate((weight[1:], np.zeros_like(weight[:1])))
        bias = bias - np.concatenate((bias[1:], np.zeros_like(bias[:1])))
    return directions(weight * np.sign(bias)[:, None])


def isolated_images(activations: Activations, *, flavour: Flavour) -> NDArray[np.int64]:
    """Images that some candidate consists of alone: every view in its sum shows the same image.

    Returns:
        Indices of training images, each once, in order.
    """
    members = activations.active
    if flavour == "bins":
        above = np.concatenate((members[:, 1:], np.zeros_like(members[:, :1])), axis=1)
        members = members & ~above
    shown = activations.image[:, None]
    least = np.where(members, shown, np.iinfo(np.int64).max).min(axis=0)
    most = np.where(members, shown, -1).max(axis=0)
    return np.unique(least[least == most])


def best_similarities(
    candidates: NDArray[np.float64],
    *,
    images: NDArray[np.uint8],
    mean: NDArray[np.float64],
    measure: Measure,
) -> NDArray[np.float64]:
    """The similarity of each image with the candidate that is closest to it by NCC, shape (images,).

    By NCC that is the best candidate; by SSIM the closest one is compared (as attack A compares: with the true norm),
    and the null's strangers are chosen alike.

    Args:
        candidates: as `read_out` gives them, shape (candidates, pixels).
        images: uint8, shape (images, channels, *spatial).
        mean: m.
        measure: how the closest candidate is compared.
    """
    found = closest(candidates, images=images, mean=mean)
    if measure == "ncc":
        return found.ncc
    return compare(candidates[found.index], images=images, mean=mean, measure=measure)
