"""γ(κ) of T steps, the slow and obvious way: losses rounded up or down, T plain convolutions, and every threshold.

δ(ε) of a discrete loss is piecewise linear in e^ε with corners where the loss has mass, so the least value of
δ(ε) + e^ε κ is found among these corners.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

WIDTHS = 8.5  # in σ: 2e-17 of mass lies outside on each side


def _steps_masses(rate: float, sigma: float, folded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Losses at the edges of fine cells of x, symmetric about 0, and the masses under P."""
    reach = 1 + WIDTHS * sigma
    x = np.linspace(-reach, reach, 200_001)
    base, up, down = (np.diff(ndtr((x - mean) / sigma)) for mean in (0, 1, -1))
    if folded:
        ratio = (np.exp((x - 0.5) / sigma**2) + np.exp((-x - 0.5) / sigma**2)) / 2
        return np.log(1 - rate + rate * ratio), (1 - rate) * base + rate * (up + down) / 2
    return np.log(1 - rate + rate * np.exp((x - 0.5) / sigma**2)), (1 - rate) * base + rate * up


def power(*, rate: float, sigma: float, steps: int, kappa: float, folded: bool, up: bool, width: float) -> float:
    """γ(κ) with the losses rounded up (an upper bound) or down (a lower one) to multiples of `width`."""
    losses, masses = _steps_masses(rate, sigma, folded)
    cells = np.maximum(losses[:-1], losses[1:]) if up else np.minimum(losses[:-1], losses[1:])
    index = (np.ceil(cells / width) if up else np.floor(cells / width)).astype(int)
    lowest = index.min()
    one = np.bincount(index - lowest, weights=masses)
    total = np.ones(1)
    for _ in range(steps):
        total = np.convolve(total, one)
    sums = (np.arange(len(total)) + steps * lowest) * width
    beyond = np.cumsum(total[::-1])[::-1] - total
    discounted = total * np.exp(-sums)
    deltas = beyond - np.exp(sums) * (np.cumsum(discounted[::-1])[::-1] - discounted)
    return float((deltas + np.exp(sums) * kappa).min()) + (1e-15 * steps if up else -1e-15 * steps)


def largest_output_power(*, rate: float, sigma: float, steps: int, kappa: float, folded: bool) -> float:
    """What the attack "accept where the largest x, or |x|, exceeds c" achieves, exactly."""
    from scipy.stats import norm

    below = (1 - kappa) ** (1 / steps)  # of one step without the target
    if folded:
        c = norm.isf((1 - below) / 2)
        with_target = norm.cdf(c - 1 / sigma) - norm.cdf(-c - 1 / sigma)
    else:
        c = norm.isf(1 - below)
        with_target = norm.cdf(c - 1 / sigma)
    return float(1 - ((1 - rate) * below + rate * with_target) ** steps)


def sum_of_outputs_power(*, rate: float, sigma: float, steps: int, kappa: float, folded: bool) -> float:
    """What the attack "accept where Σ x, or Σ x², exceeds c" achieves, exactly, over K ~ Binomial(T, q)."""
    from scipy.stats import binom, chi2, ncx2, norm

    k = np.arange(1, steps + 1)
    chances = binom.pmf(k, steps, rate)
    if folded:
        hits = ncx2.sf(chi2.isf(kappa, steps), steps, k / sigma**2)
    else:
        hits = norm.sf(norm.isf(kappa) - k / (sigma * math.sqrt(steps)))
    return float(chances @ hits + binom.pmf(0, steps, rate) * kappa)
