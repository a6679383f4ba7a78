"""The sum of T squared binomials by plain convolution, and the bound that averages over it."""

from __future__ import annotations

import math

import numpy as np

from tests.reference import gaussian_mpmath


def delta(*, epsilon: float, images: int, rate: float, steps: int, sigma: float) -> float:
    """Σ_s P(S = s) δ_Gauss(ε; √s/σ), S = Σ_t N_t², N_t ~ Bin(m, q)."""
    one = np.zeros(images**2 + 1)
    for n in range(images + 1):
        one[n * n] = math.comb(images, n) * rate**n * (1 - rate) ** (images - n)
    masses = np.ones(1)
    for _ in range(steps):
        masses = np.convolve(masses, one)
    return float(
        sum(
            float(mass) * float(gaussian_mpmath.delta(epsilon=epsilon, mu=math.sqrt(s) / sigma))
            for s, mass in enumerate(masses)
            if s > 0 and mass > 0
        )
    )
