"""The power of the best tests of an adversary who is told the participation pattern, with and without the sign.

Signed: given k, X ~ N(m_k, 1) against N(0, 1), and the test compares X with (t + m_k²/2)/m_k.

Unsigned, derivation: given k, X ~ N(±m_k, 1) against N(0, 1), one unknown sign for the whole run. The problem is
symmetric under X → −X, so a test that is best against the less favourable sign can be taken symmetric, and a
symmetric test depends on |X| alone. The likelihood ratio of |X| is cosh(m_k x) e^{−m_k²/2}, increasing in |x|; with
one threshold t on its logarithm common to all patterns the test is the most powerful of its level (see
`neyman_pearson`), and accepts where |X| ≥ c_k = arccosh(e^{t + m_k²/2})/m_k. In more dimensions the direction is
unknown too, and the power is lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gatekeeper.privacy.neyman_pearson import best_power
from gatekeeper.privacy.patterns import Patterns


def signed_power(told: Patterns, *, prior_success: float) -> float:
    """An upper bound on the power of every test of level κ.

    With the threshold t at which Σ_k P(K=k) Φ(−t/m_k − m_k/2) = κ,

        γ ≤ Σ_k P(K=k) Φ(−t/m_k + m_k/2) + P(K cut off),

    the atom K = 0 being shared out at t = 0. For one fixed K this is Φ(Φ⁻¹(κ) + √K/σ), exactly.

    Args:
        told: the distribution of the shifts.
        prior_success: κ, in (0, 1].

    Returns:
        γ in [κ, 1], rounded up.

    >>> once = Patterns(weights=np.ones(1), shifts=np.ones(1), absent=0.0, tail=0.0)
    >>> round(signed_power(once, prior_success=0.1), 6)
    0.389144
    """

    def level(threshold: float) -> NDArray[np.float64]:
        return np.asarray(ndtr(-threshold / told.shifts - told.shifts / 2))

    def power(threshold: float) -> NDArray[np.float64]:
        return np.asarray(ndtr(-threshold / told.shifts + told.shifts / 2))

    return best_power(level=level, power=power, patterns=told, prior_success=prior_success)


def _cut(threshold: float, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """c_k = arccosh(e^a)/m_k with a = t + m_k²/2, in a form that neither overflows nor cancels; 0 where a ≤ 0."""
    exponent = np.maximum(threshold + shifts**2 / 2, 0.0)
    return np.asarray((exponent + np.log1p(np.sqrt(-np.expm1(-2 * exponent)))) / shifts)


def unsigned_power(told: Patterns, *, prior_success: float) -> float:
    """An upper bound on the power of tests that know the target's gradient only up to one sign.

    With c_k(t) as in the module's derivation and t such that Σ_k P(K=k) 2Φ(−c_k) = κ,

        γ ≤ Σ_k P(K=k) [Φ(m_k − c_k) + Φ(−m_k − c_k)] + P(K cut off).

    For one fixed K this is SF(z − √K/σ) + SF(z + √K/σ) with z = Φ⁻¹(1 − κ/2).

    Args:
        told: the distribution of the shifts.
        prior_success: κ, in (0, 1].

    Returns:
        γ in [κ, 1], rounded up.
    """

    def level(threshold: float) -> NDArray[np.float64]:
        return np.asarray(2 * ndtr(-_cut(threshold, told.shifts)))

    def power(threshold: float) -> NDArray[np.float64]:
        cut = _cut(threshold, told.shifts)
        return np.asarray(ndtr(told.shifts - cut) + ndtr(-told.shifts - cut))

    return best_power(level=level, power=power, patterns=told, prior_success=prior_success)
