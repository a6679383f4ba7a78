"""The worst case: reconstruction robustness against an adversary who knows everything else.

The adversary picks the target among candidates of which chance finds it with probability κ; its success is at
most γ = 1 − f(κ), f being the trade-off function of the mechanism (Balle, Cherubin and Hayes 2022,
"Reconstructing training data with informed adversaries"; Hayes, Mahloujifar and Balle 2023, "Bounding training data
reconstruction in DP-SGD"; Kaissis et al. 2023, "Bounding data reconstruction attacks with the hypothesis
testing interpretation of differential privacy").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from gatekeeper.audit.neyman_pearson import best_power
from gatekeeper.audit.patterns import patterns
from gatekeeper.core.checks import check_positive, check_probability
from gatekeeper.core.participation import Participations


def worst_case(*, participations: Participations, noise_multiplier: float, prior_success: float) -> float:
    """γ, an upper bound on the success of every attack of an adversary whose guess succeeds with probability κ.

    With m_k = √k/σ and the threshold t at which Σ_k P(K=k) Φ(−t/m_k − m_k/2) = κ,

        γ ≤ Σ_k P(K=k) Φ(−t/m_k + m_k/2) + P(K cut off),

    the atom K = 0 being shared out at t = 0. For one fixed K this is Φ(Φ⁻¹(κ) + √K/σ).

    Args:
        participations: the distribution of K.
        noise_multiplier: σ, above 0.
        prior_success: κ in [0, 1], above 0.

    Returns:
        γ in [κ, 1], rounded up.

    Raises:
        InvalidValueError: an argument is out of its range.

    >>> from gatekeeper.core.participation import Participations
    >>> once = Participations(counts=(1,), probabilities=(1.0,), tail=0.0)
    >>> round(worst_case(participations=once, noise_multiplier=1.0, prior_success=0.1), 6)
    0.389144
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_positive(prior_success=prior_success)
    check_probability(prior_success=prior_success)
    told = patterns(participations=participations, noise_multiplier=noise_multiplier)

    def level(threshold: float) -> NDArray[np.float64]:
        return np.asarray(ndtr(-threshold / told.shifts - told.shifts / 2))

    def power(threshold: float) -> NDArray[np.float64]:
        return np.asarray(ndtr(-threshold / told.shifts + told.shifts / 2))

    return best_power(level=level, power=power, patterns=told, prior_success=prior_success)
