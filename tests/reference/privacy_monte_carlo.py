"""δ(ε) by drawing: P(L > ε + E) = E[(1 − e^{ε−L})⁺] for an exponential E, so that δ is a plain proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def losses(runs: Sequence[tuple[float, float, int]], *, draws: int, seed: int) -> np.ndarray:
    """Losses of removing a unit from all of several Poisson-sampled runs (q, σ, T), drawn under P."""
    generator = np.random.default_rng(seed)
    total = np.zeros(draws)
    for q, sigma, steps in runs:
        for _ in range(steps):
            x = sigma * generator.standard_normal(draws) + (generator.random(draws) < q)
            total += np.logaddexp(math.log1p(-q) if q < 1 else -math.inf, math.log(q) + (x - 0.5) / sigma**2)
    return total


def hits(drawn: np.ndarray, epsilon: float, *, seed: int) -> int:
    """How many of the draws count for δ(ε)."""
    return int((drawn > epsilon + np.random.default_rng(seed).exponential(size=len(drawn))).sum())
