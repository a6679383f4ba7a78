"""The relaxed adversary: candidates are known, the other training records are not.

Not knowing the rest of the sum, the adversary must use a generalised likelihood-ratio test (Kaissis et al., "Optimal
privacy guarantees for a relaxed threat model", NeurIPS 2023). Its conservative case is one dimension, where all
that is unknown of the target's shift is the sign.

Derivation: given k, X ~ N(±m_k, 1) against N(0, 1). The problem is symmetric under X → −X, so a test that is best
against the less favourable sign can be taken symmetric, and a symmetric test depends on |X| alone. The likelihood
ratio of |X| is cosh(m_k x) e^{−m_k²/2}, increasing in |x|; with one threshold t on its logarithm common to all
patterns the test is the most powerful of its level (see `neyman_pearson`), and accepts where
|X| ≥ c_k = arccosh(e^{t + m_k²/2})/m_k. In more dimensions the direction is unknown too, and the power is lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gatekeeper.audit.neyman_pearson import best_power
from gatekeeper.audit.patterns import patterns
from gatekeeper.core.checks import check_positive, check_probability
from gatekeeper.core.participation import Participations


def _cut(threshold: float, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """c_k = arccosh(e^a)/m_k with a = t + m_k²/2, in a form that neither overflows nor cancels; 0 where a ≤ 0."""
    exponent = np.maximum(threshold + shifts**2 / 2, 0.0)
    return np.asarray((exponent + np.log1p(np.sqrt(-np.expm1(-2 * exponent)))) / shifts)


def relaxed(*, participations: Participations, noise_multiplier: float, prior_success: float) -> float:
    """γ, an upper bound on the success of adversaries who know the target's gradient only up to its sign.

    With c_k(t) as in the module's derivation and t such that Σ_k P(K=k) 2Φ(−c_k) = κ,

        γ ≤ Σ_k P(K=k) [Φ(m_k − c_k) + Φ(−m_k − c_k)] + P(K cut off).

    For one fixed K this is SF(z − √K/σ) + SF(z + √K/σ) with z = Φ⁻¹(1 − κ/2).

    Args:
        participations: the distribution of K.
        noise_multiplier: σ, above 0.
        prior_success: κ in [0, 1], above 0.

    Returns:
        γ in [κ, 1], rounded up.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_positive(prior_success=prior_success)
    check_probability(prior_success=prior_success)
    told = patterns(participations=participations, noise_multiplier=noise_multiplier)

    def level(threshold: float) -> NDArray[np.float64]:
        return np.asarray(2 * ndtr(-_cut(threshold, told.shifts)))

    def power(threshold: float) -> NDArray[np.float64]:
        cut = _cut(threshold, told.shifts)
        return np.asarray(ndtr(told.shifts - cut) + ndtr(-told.shifts - cut))

    return best_power(level=level, power=power, patterns=told, prior_success=prior_success)
