"""The best test between "the target was there" and "it was not", played out: draws, a sort, and a count."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def _ratios(*, counts: NDArray[np.int64], sigma: float, present: bool, signed: bool, rng: np.random.Generator):
    """Log-likelihood ratios of (K, X) for each K in `counts`."""
    ratios = np.zeros(len(counts))
    for index, count in enumerate(counts):
        shift = math.sqrt(count) / sigma
        x = rng.standard_normal() + shift * present
        if signed:
            ratios[index] = shift * x - shift**2 / 2
        else:
            ratios[index] = np.logaddexp(shift * x, -shift * x) - math.log(2) - shift**2 / 2
    return ratios


def power_by_simulation(
    *, counts: tuple[int, ...], probabilities: tuple[float, ...], sigma: float, level: float, signed: bool, draws: int
) -> float:
    """The share of draws under "present" above the threshold that a share `level` of those under "absent" exceeds.

    Ties at the atom K = 0 are broken at random, which is what randomisation does.
    """
    rng = np.random.default_rng(1)
    sides = []
    for present in (False, True):
        drawn = rng.choice(counts, size=draws, p=probabilities)
        ratios = _ratios(counts=drawn, sigma=sigma, present=present, signed=signed, rng=rng)
        sides.append(ratios + 1e-12 * rng.random(draws))
    absent, present_side = sides
    threshold = np.sort(absent)[draws - round(level * draws)]
    return float(np.mean(present_side >= threshold))
