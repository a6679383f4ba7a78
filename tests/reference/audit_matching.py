"""Candidate matching, the slow and obvious way."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm


def scores(
    sums: list[NDArray[np.float64]], *, known: NDArray[np.float64], contributions: NDArray[np.float64]
) -> list[Fraction]:
    """Σ_t ⟨g_t − known, c⟩ − ½‖c‖² of each candidate, term by term, in exact fractions."""
    found = []
    for contribution in contributions:
        score = Fraction(0)
        for noisy in sums:
            for value, base, part in zip(noisy, known, contribution, strict=True):
                score += (Fraction(float(value)) - Fraction(float(base))) * Fraction(float(part))
                score -= Fraction(float(part)) ** 2 / 2
        found.append(score)
    return found


def orthogonal_success(*, candidates: int, mu: float) -> float:
    """How often the best attack picks among n orthogonal contributions of norm C, where √T/σ = μ.

    ∫ φ(z − μ) Φ(z)^(n−1) dz: the target's score is above every other's.
    """
    return float(quad(lambda z: norm.pdf(z - mu) * norm.cdf(z) ** (candidates - 1), -12, 12 + mu)[0])
