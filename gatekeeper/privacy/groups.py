"""Sampling and clipping per image, privacy per unit of several images.

Derivation. A unit has m images; a step takes each of them independently with probability q and moves the sum by at most
the number N_t that it takes, in clipping norms. Tell the adversary the numbers N_1, …, N_T: the run is then a Gaussian
mechanism of squared parameter S/σ² with S = Σ N_t², and the hockey-stick divergence is jointly convex, so

    δ(ε) ≤ Σ_s P(S = s) δ_Gauss(ε; √s/σ),    N_t ~ Bin(m, q) independent.

Design note. S is a whole number, and its distribution a T-fold convolution on whole numbers. It is formed by repeated
doubling with direct convolution, positive numbers of relative accuracy; values too rare to matter are cut off and
added to δ. Where S is spread over more than `_CELLS` values, they are rounded up to multiples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.checks import check_integer, check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import PrivacyError
from gatekeeper.privacy import gaussian, participation
from gatekeeper.privacy.intervals import UNIT_ROUNDOFF, Array
from gatekeeper.privacy.roots import passing_root

_CELLS = 2**13
_MOST_IMAGES = 1000
_CUT = 1e-12  # share of δ that the cut values may take
_THEOREM = "joint convexity of the hockey-stick divergence over how many of a unit's images each step takes"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Squares:
    """The distribution of a sum of N_t², rounded up.

    Attributes:
        low: the smallest value, in cells.
        cell: the distance of values, a power of two.
        masses: the probabilities.
        tail: at least the probability of what was cut off.
        rounding: a bound on the relative error of the masses.
    """

    low: int
    cell: int
    masses: Array
    tail: float
    rounding: float


def _one(images: int, rate: float) -> _Squares:
    """N² for one step."""
    odds = rate / (1 - rate)
    # Products of exact ratios from the more likely end would underflow nowhere that matters: at most 1000 images.
    logs = np.array(
        [
            math.lgamma(images + 1) - math.lgamma(n + 1) - math.lgamma(images - n + 1) + n * math.log(odds)
            for n in range(images + 1)
        ]
    )
    weights = np.exp(logs + images * math.log1p(-rate))
    masses = np.zeros(images * images + 1)
    masses[np.arange(images + 1) ** 2] = weights
    size = float(np.abs(logs).max()) + images * (abs(math.log1p(-rate)) + abs(math.log(odds)) + math.log(images + 1))
    return _Squares(low=0, cell=1, masses=masses, tail=0.0, rounding=32 * UNIT_ROUNDOFF * (size + 8))


def _coarser(squares: _Squares, cell: int) -> _Squares:
    """The same values rounded up to multiples of a larger cell."""
    if cell <= squares.cell:
        return squares
    ratio = cell // squares.cell
    places = -(-(squares.low + np.arange(len(squares.masses))) // ratio)
    low = int(places[0])
    return replace(
        squares, low=low, cell=cell, masses=np.asarray(np.bincount(places - low, weights=squares.masses), dtype=float)
    )


def _trimmed(squares: _Squares, tail: float) -> _Squares:
    """Without values whose probability is below `tail` at either end, and on at most `_CELLS` of them."""
    above = np.cumsum(squares.masses[::-1])[::-1]
    last = int(np.flatnonzero(above > tail)[-1])
    below = np.cumsum(squares.masses)
    first = int(np.flatnonzero(below > tail)[0])
    gone = float(squares.masses[last + 1 :].sum() + squares.masses[:first].sum())
    kept = replace(
        squares,
        low=squares.low + first,
        masses=squares.masses[first : last + 1],
        tail=squares.tail + gone * (1 + 1e-9),
    )
    cell = kept.cell
    while len(kept.masses) * kept.cell > _CELLS * cell:
        cell *= 2
    return _coarser(kept, cell)


def _added(first: _Squares, second: _Squares, tail: float) -> _Squares:
    cell = max(first.cell, second.cell)
    first, second = _coarser(first, cell), _coarser(second, cell)
    masses = np.convolve(first.masses, second.masses)
    shorter = min(len(first.masses), len(second.masses))
    added = _Squares(
        low=first.low + second.low,
        cell=cell,
        masses=masses,
        tail=first.tail + second.tail,
        rounding=first.rounding + second.rounding + 4 * shorter * UNIT_ROUNDOFF,
    )
    return _trimmed(added, tail)


def _sum_of_squares(images: int, rate: float, steps: int, tail: float) -> _Squares:
    """S = Σ N_t² over T steps, by doubling; at most `tail` is cut off in all."""
    share = tail / (8 * steps)
    doubled = _trimmed(_one(images, rate), share)
    total: _Squares | None = None
    while True:
        if steps & 1:
            total = doubled if total is None else _added(total, doubled, share)
        steps >>= 1
        if not steps and total is not None:
            return total
        doubled = _added(doubled, doubled, share)


def account_images(mechanism: Mechanism, delta: float, *, images_per_unit: int) -> Guarantee:
    """The (ε, δ)-differential privacy of a unit of several images where images are sampled and clipped one by one.

    Args:
        mechanism: what ran, with Poisson sampling and clipping of *images*; `sampling_rate` is each image's.
        delta: δ, strictly between 0 and 1.
        images_per_unit: m, the most images that one unit has, from 1 to 1000.

    Returns:
        ε in nats: `high` is proven for the whole unit, whose images are removed or added together; `low` is 0: no
        lower bound is computed.

    Raises:
        InvalidValueError: an argument outside its range.
        PrivacyError: balls and bins, or a δ for which the bound is not computed.

    >>> run = Mechanism(sampling="poisson", sampling_rate=0.01, noise_multiplier=6.745e-3, steps=1000,
    ...                 adjacency="zero-out", unit="patient")
    >>> f"{account_images(run, 1e-5, images_per_unit=5).epsilon.high:.4g}"
    '9.999e+05'
    """
    check_open_probability(delta=delta)
    check_integer(images_per_unit=images_per_unit, at_least=1)
    if images_per_unit > _MOST_IMAGES or mechanism.sampling != "poisson":
        raise PrivacyError(
            f"units of up to {_MOST_IMAGES} images under Poisson sampling can be accounted, got {images_per_unit} "
            f"images under {mechanism.sampling}",
            hint="sample and clip per unit: a unit's images then cost nothing extra",
        )
    if mechanism.steps == 0:
        nothing = Interval(low=0.0, estimate=0.0, high=0.0)
        return Guarantee(epsilon=nothing, delta=delta, accountant="image-groups", theorem=_THEOREM)
    high = _bound(mechanism, delta, images_per_unit)
    epsilon = Interval(low=0.0, estimate=high, high=high)
    return Guarantee(epsilon=epsilon, delta=delta, accountant="image-groups", theorem=_THEOREM)


def _bound(mechanism: Mechanism, delta: float, images: int) -> float:
    sigma, steps = mechanism.relative_noise, mechanism.steps
    certain = gaussian.epsilon(mu=images * math.sqrt(steps) / sigma, delta=delta).high
    if mechanism.sampling_rate == 1 or delta < 1e-290:
        return certain
    squares = _sum_of_squares(images, mechanism.sampling_rate, steps, delta * _CUT)
    if squares.tail >= delta / 2:
        return certain
    found = participation.Spread(
        counts=np.asarray((squares.low + np.arange(len(squares.masses))) * squares.cell, dtype=float),
        masses=squares.masses,
        prices=np.zeros(len(squares.masses)),
        tail=squares.tail,
        rounding=squares.rounding,
    )
    return passing_root(
        lambda epsilon: participation.log_excess(epsilon=epsilon, sigma=sigma, delta=delta, found=found),
        low=0.0,
        high=certain * (1 + 1e-9),
    )
