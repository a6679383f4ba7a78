"""Participation patterns: what an adversary faces who is told in which steps the unit took part.

Given that a unit took part in k steps, the noisy gradients amount to one Gaussian observation whose mean the
unit shifts by m_k = √k/σ standard deviations. Being told the pattern can only help the adversary, because
K has the same distribution whether or not the record is the target; so a bound for the told adversary holds for
everyone (joint convexity, as in Balle et al. 2018, "Privacy amplification by subsampling").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.participation import Participations


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """The distribution of the shift that a unit causes.

    Attributes:
        weights: P(K = k) of every k ≥ 1 that carries mass, shape (counts,).
        shifts: m_k = √k/σ of each, shape (counts,).
        absent: P(K = 0).
        tail: the probability that the others leave: an upper bound on what was cut off.
    """

    weights: NDArray[np.float64]
    shifts: NDArray[np.float64]
    absent: float
    tail: float


def patterns(*, participations: Participations, noise_multiplier: float) -> Patterns:
    """The shifts √k/σ and their probabilities.

    Args:
        participations: the distribution of K.
        noise_multiplier: σ, above 0.
    """
    counts = np.array(participations.counts, dtype=np.float64)
    weights = np.array(participations.probabilities, dtype=np.float64)
    taken = (counts > 0) & (weights > 0)
    return Patterns(
        weights=weights[taken],
        shifts=np.sqrt(counts[taken]) / noise_multiplier,
        absent=math.fsum(weights[counts == 0]),
        # Participations may add up to a little less than 1; whatever is missing counts as lost.
        tail=max(participations.tail, 1.0 - math.fsum(weights)),
    )


def upper_quantile(participations: Participations, *, probability: float = 0.99) -> int:
    """The smallest k with P(K ≤ k) ≥ `probability`, or the largest count kept where the tail hides it.

    >>> upper_quantile(Participations(counts=(3,), probabilities=(1.0,), tail=0.0))
    3
    """
    cumulative = np.cumsum(participations.probabilities)
    index = int(np.searchsorted(cumulative, probability - 1e-12))
    return participations.counts[min(index, len(participations.counts) - 1)]
