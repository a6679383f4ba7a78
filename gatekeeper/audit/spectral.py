"""The realistic adversary with a linear prior: it knows the covariance of such images, and may shape what it plants.

Everything here follows from a `Spectrum`, σ and the participations: whoever verifies a release computes it again,
without data. Three read-outs are played: that of an unshaped layer without prior (`realistic`), the Wiener filter
behind an unshaped layer, and the layer shaped by water-filling (`shaping`). A rate is the largest of theirs.

What a rate covers: these linear read-outs of images that are Gaussian with this covariance. It is an upper limit, at
the confidence below, on a simulated rate, and no proof against others: images of another distribution, read-outs that
are not linear (diffusion models, nearest neighbours) and layers that make more of the clip may do better. An attack on
the images themselves measures what these read-outs reach there.

The spectrum is what held-out images teach: whoever has far more images of the kind knows fine detail better.
The rate does not vanish as the noise grows: an adversary who hands in the most varied direction is now and then right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit import realistic
from gatekeeper.audit.gaussian_images import IMAGES, draw
from gatekeeper.audit.shaping import Gains, ReadOut, gains
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.checks import check_integer, check_open_probability, check_positive
from gatekeeper.core.participation import Participations
from gatekeeper.core.probability import rounded_up
from gatekeeper.core.spectrum import Spectrum

Floats = NDArray[np.float64]

# Each simulated rate is its one-sided Clopper–Pearson limit: above the true rate but for one choice of draws in 10⁶.
# Images that are never read out in the simulation still give 0.00084.
CONFIDENCE = 1 - 1e-6
# Rounding must not lose a success.
_SLACK = 1e-9
# Counts of participations are taken together in this many cells, each at its largest count.
_CELLS = 32


def _gains(read_out: ReadOut, spectrum: Spectrum, *, noise: float) -> Gains:
    variances = np.array([band.variance for band in spectrum.bands])
    counts = np.array([float(band.count) for band in spectrum.bands])
    return gains(read_out, variances=variances, counts=counts, noise=noise)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """Neighbouring counts of participations above 0: the largest, and the probability of all."""

    largest: int
    mass: float


def _cells(participations: Participations) -> list[_Cell]:
    """The counts above 0 in at most `_CELLS` cells, in increasing order."""
    pairs = [pair for pair in zip(participations.counts, participations.probabilities, strict=True) if pair[0]]
    size = max(1, math.ceil(len(pairs) / _CELLS))
    pieces = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return [_Cell(largest=piece[-1][0], mass=math.fsum(mass for _, mass in piece)) for piece in pieces]


def wiener_ncc(*, spectrum: Spectrum, noise_multiplier: float, participations: int) -> float:
    """The typical NCC of the Wiener filter's read-out, √(1 − MMSE/v): a typical figure, no bound.

    MMSE = (1/N) Σ λs²/(λ + s²) with s² = σ²Σλ/k, v = (1/N) Σ λ.

    Args:
        spectrum: what the adversary knows.
        noise_multiplier: σ, above 0.
        participations: k, at least 1.
    """
    return _typical("wiener", spectrum, noise_multiplier=noise_multiplier, participations=participations)


def shaped_ncc(*, spectrum: Spectrum, noise_multiplier: float, participations: int) -> float:
    """The typical NCC of the best shaped layer, which spends the clip by water-filling; no bound.

    The arguments are those of `wiener_ncc`, which it is never below.
    """
    return _typical("shaped", spectrum, noise_multiplier=noise_multiplier, participations=participations)


def _typical(read_out: ReadOut, spectrum: Spectrum, *, noise_multiplier: float, participations: int) -> float:
    check_positive(noise_multiplier=noise_multiplier)
    check_integer(participations=participations, at_least=1)
    return _gains(read_out, spectrum, noise=noise_multiplier / math.sqrt(participations)).ncc


def _similarities(read_out: ReadOut, *, spectrum: Spectrum, noises: list[float]) -> Floats:
    """The NCC that each drawn image reaches at each noise level t, shape (images, noises).

    With D = ‖Ax‖ the clip leaves Ax/D, so that ⟨x, x̂⟩ = Σ b(a·x²/D + t·xz) and ‖x̂‖² = Σ b²(a²x²/D² + 2at·xz/D + t²z²).
    """
    draws = draw(tuple(band.count for band in spectrum.bands))
    variances = np.array([band.variance for band in spectrum.bands])
    image, cross = draws.image * variances, draws.cross * np.sqrt(variances)
    chosen = [_gains(read_out, spectrum, noise=noise) for noise in noises]
    t = np.array(noises)
    planted = np.stack([item.planted for item in chosen], axis=1)
    # Of any scale, as NCC is free of it; so that squares of it don't vanish.
    read = np.stack([item.read / item.read.max() for item in chosen], axis=1)
    length = np.sqrt(image @ planted**2)
    product = image @ (planted * read) / length + t * (cross @ read)
    energy = (
        image @ (planted * read) ** 2 / length**2
        + 2 * t * (cross @ (planted * read**2)) / length
        + t**2 * (draws.noise @ read**2)
    )
    return np.asarray(product / np.sqrt(energy * image.sum(axis=1, keepdims=True)))


def _limits(read_out: ReadOut, *, threshold: float, spectrum: Spectrum, noises: list[float]) -> list[float]:
    """Upper limits on P(NCC ≥ τ) at each noise level."""
    reached = _similarities(read_out, spectrum=spectrum, noises=noises) >= threshold - _SLACK
    return [
        upper_limit(successes=int(successes), trials=IMAGES, confidence=CONFIDENCE) for successes in reached.sum(axis=0)
    ]


def _rates(*, threshold: float, spectrum: Spectrum, noises: list[float]) -> list[float]:
    """The larger rate of the two read-outs with a prior at each noise level, from the highest level to the lowest."""
    if not noises:
        return []
    both = [_limits(name, threshold=threshold, spectrum=spectrum, noises=noises) for name in ("wiener", "shaped")]
    # Less noise never helps less: an adversary can add noise, or leave a gradient out.
    return list(accumulate(map(max, *both), max))


def one_step(*, threshold: float, noise_multiplier: float, spectrum: Spectrum) -> float:
    """P(NCC ≥ τ) from one noisy gradient that the image took part in, by the best of three read-outs; rounded up.

    Args:
        threshold: τ, strictly between 0 and 1.
        noise_multiplier: σ, above 0.
        spectrum: what the adversary knows of such images.

    Returns:
        At least the rate without a prior.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    check_open_probability(threshold=threshold)
    check_positive(noise_multiplier=noise_multiplier)
    (rate,) = _rates(threshold=threshold, spectrum=spectrum, noises=[noise_multiplier])
    raw = realistic.one_step(threshold=threshold, noise_multiplier=noise_multiplier, pixels=spectrum.pixels)
    return rounded_up(max(rate, raw))


def all_steps(
    *, threshold: float, noise_multiplier: float, spectrum: Spectrum, participations: Participations
) -> float:
    """P(NCC ≥ τ) from the mean of all K noisy gradients that the image took part in, over K; rounded up.

    The adversary is granted k when it shapes the layer. An image that took part in no step is never read out; all that
    was cut off of K counts as read out.

    Args:
        threshold: τ, strictly between 0 and 1.
        noise_multiplier: σ, above 0.
        spectrum: what the adversary knows of such images.
        participations: the distribution of K.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    check_open_probability(threshold=threshold)
    check_positive(noise_multiplier=noise_multiplier)
    raw = realistic.all_steps(
        threshold=threshold,
        noise_multiplier=noise_multiplier,
        pixels=spectrum.pixels,
        participations=participations,
    )
    cells = _cells(participations)
    noises = [noise_multiplier / math.sqrt(cell.largest) for cell in cells]
    rates = _rates(threshold=threshold, spectrum=spectrum, noises=noises)
    read = math.fsum(cell.mass * rate for cell, rate in zip(cells, rates, strict=True))
    tail = max(participations.tail, 1.0 - math.fsum(participations.probabilities))
    return rounded_up(max(read + tail, raw))
