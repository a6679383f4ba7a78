"""The privacy loss of T subsampled Gaussian steps, the slow and obvious way.

Each loss is rounded up (or down) to a coarse grid, and the sum is formed by T plain convolutions. Rounding up
gives an upper bound on δ(ε), rounding down a lower one, but for 1e-13 of mass in the tails of one step.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

WIDTHS = 14.0


def _loss(x: np.ndarray, rate: float, sigma: float) -> np.ndarray:
    return np.logaddexp(math.log1p(-rate), math.log(rate) + (x - 0.5) / sigma**2)


def delta(*, epsilon: float, rate: float, sigma: float, steps: int, remove: bool, up: bool, width: float) -> float:
    """δ(ε) with the losses rounded up or down to multiples of `width`."""
    x = np.linspace(-WIDTHS * sigma, 1 + WIDTHS * sigma, 400_001)
    base, moved = np.diff(ndtr(x / sigma)), np.diff(ndtr((x - 1) / sigma))
    losses = _loss(x, rate, sigma)
    if remove:
        masses, edges = (1 - rate) * base + rate * moved, losses
    else:
        masses, edges = base, -losses
    cells = np.maximum(edges[:-1], edges[1:]) if up else np.minimum(edges[:-1], edges[1:])
    index = (np.ceil(cells / width) if up else np.floor(cells / width)).astype(int)
    lowest = index.min()
    one = np.bincount(index - lowest, weights=masses)
    total = np.ones(1)
    for _ in range(steps):
        total = np.convolve(total, one)
    sums = (np.arange(len(total)) + steps * lowest) * width
    beyond = sums > epsilon
    return float((total[beyond] * -np.expm1(epsilon - sums[beyond])).sum()) + (1e-13 * steps if up else 0.0)
