"""Participation patterns: what an adversary faces who is told in which steps the unit took part.

Given that a unit took part in k steps, the noisy gradients amount to one Gaussian observation whose mean the
unit shifts by m_k = √k/σ standard deviations. Being told the pattern can only help the adversary, because
K has the same distribution whether or not the record is the target; so a bound for the told adversary holds for
everyone (joint convexity, as in Balle et al. 2018, "Privacy amplification by subsampling").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy.participation import spread

_TAIL = 1e-40


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """The distribution of the shift that a unit causes.

    Attributes:
        weights: P(K = k) of every k ≥ 1 that carries mass, shape (counts,).
        shifts: m_k = √k/σ of each, shape (counts,).
        absent: P(K = 0).
        tail: what the tests gain at most from counts that were cut off and from rounding of the weights.
    """

    weights: NDArray[np.float64]
    shifts: NDArray[np.float64]
    absent: float
    tail: float


def patterns(mechanism: Mechanism) -> Patterns:
    """The shifts √k/σ and their probabilities, σ being the noise relative to what one unit can change."""
    found = spread(mechanism, tail=_TAIL)
    taken = (found.counts > 0) & (found.masses > 0)
    return Patterns(
        weights=found.masses[taken],
        shifts=np.sqrt(found.counts[taken]) / mechanism.relative_noise,
        absent=float(found.masses[found.counts == 0].sum()),
        # The power is concave in the level: weights that err by r change it by at most r each, in level and in power.
        tail=found.tail + 2 * found.rounding,
    )
