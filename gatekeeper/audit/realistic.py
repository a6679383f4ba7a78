"""The realistic adversary: a planted layer, no image known, no prior (Riess et al. 2024, "From Mean to Extreme").

A planted linear row that isolates one image reads out u + (σ/√k)·z, where u is the image minus the held-out mean
image, scaled to norm 1 (the loss is scaled so that the clip binds: the clipping norm cancels), and z ~ N(0, I_N).
Rotating u onto an axis, NCC ≥ τ means

    √k/σ + z₁ ≥ c·χ,   c = τ/√(1 − τ²),   z₁ ~ N(0, 1),   χ² ~ chi-squared with N − 1 degrees of freedom,

a noncentral t probability. Libraries lose it at N ~ 10⁵ and √k/σ ~ 10⁹, so it is bounded from above by a sum over
cells of χ, each at its lower end, where the probability over z₁ is largest. Where a unit's clipped gradient is not that
of one image alone (several views, a clip that does not bind) the noise is centred elsewhere than on u, which lowers the
probability of the cone around u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc, ndtr

from gatekeeper.core.checks import check_integer, check_open_probability, check_positive
from gatekeeper.core.participation import Participations
from gatekeeper.core.probability import rounded_up

# χ concentrates around √(N − 1) with a standard deviation below 0.71: it lies more than 7 below or 9 above with a
# probability below 1e-17. A cell is then about 1e-3 wide, and the bound exceeds the probability by at most 6e-4, in the
# middle of its step.
_CELLS = 16_384
_BELOW, _ABOVE = 7.0, 9.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cells:
    """A partition of [0, ∞) into cells of χ: their lower ends and their probabilities."""

    low: NDArray[np.float64]
    mass: NDArray[np.float64]


def _cells(freedom: int) -> _Cells:
    """Cells of the chi distribution with `freedom` degrees of freedom; the last one reaches to infinity."""
    centre = math.sqrt(freedom)
    inner = np.linspace(max(0.0, centre - _BELOW), centre + _ABOVE, _CELLS)
    low = np.concatenate(([0.0], inner))
    below, above = gammainc(freedom / 2, low**2 / 2), gammaincc(freedom / 2, low**2 / 2)
    # A difference of whichever tail is the smaller one: no cancellation on either side.
    mass = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
    return _Cells(low=low, mass=np.concatenate((np.maximum(mass, 0.0), above[-1:])))


def _exceeds(*, threshold: float, signal: float, cells: _Cells) -> float:
    """Σ over cells of mass · Φ(√k/σ − c·χ_low)."""
    ratio = threshold / math.sqrt((1 - threshold) * (1 + threshold))
    return float(cells.mass @ ndtr(signal - ratio * cells.low))


def _check(*, threshold: float, noise_multiplier: float, pixels: int) -> None:
    check_open_probability(threshold=threshold)
    check_positive(noise_multiplier=noise_multiplier)
    check_integer(pixels=pixels, at_least=2)


def one_step(*, threshold: float, noise_multiplier: float, pixels: int) -> float:
    """P(NCC ≥ τ) from one noisy gradient that the image took part in; rounded up.

    Args:
        threshold: τ, strictly between 0 and 1.
        noise_multiplier: σ, above 0.
        pixels: N, the number of values of an image (channels × height × width), at least 2.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    _check(threshold=threshold, noise_multiplier=noise_multiplier, pixels=pixels)
    return rounded_up(_exceeds(threshold=threshold, signal=1 / noise_multiplier, cells=_cells(pixels - 1)))


def all_steps(*, threshold: float, noise_multiplier: float, pixels: int, participations: Participations) -> float:
    """P(NCC ≥ τ) from the mean of all K noisy gradients that the image took part in, over K; rounded up.

    An image that took part in no step is never read out; all that was cut off of K counts as read out.

    Args:
        threshold: τ, strictly between 0 and 1.
        noise_multiplier: σ, above 0.
        pixels: N, at least 2.
        participations: the distribution of K.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    _check(threshold=threshold, noise_multiplier=noise_multiplier, pixels=pixels)
    cells = _cells(pixels - 1)
    terms = [
        probability * _exceeds(threshold=threshold, signal=math.sqrt(count) / noise_multiplier, cells=cells)
        for count, probability in zip(participations.counts, participations.probabilities, strict=True)
        if count
    ]
    tail = max(participations.tail, 1.0 - math.fsum(participations.probabilities))
    return rounded_up(math.fsum(terms) + tail)


def median_ncc(*, noise_multiplier: float, participations: int, pixels: int) -> float:
    """The typical NCC of the planted layer's read-out, 1/√(1 + Nσ²/k): a median, not a bound.

    >>> round(median_ncc(noise_multiplier=0.01, participations=1, pixels=12288), 3)
    0.67
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_integer(participations=participations, at_least=1)
    check_integer(pixels=pixels, at_least=1)
    return 1 / math.sqrt(1 + pixels * noise_multiplier**2 / participations)
