"""The power of the best test between "the target was there" and "it was not", under participation patterns.

Told the pattern, the adversary observes (K, X). K has the same law under both hypotheses, so the likelihood
ratio is that of X given K, and the most powerful test of level κ (Neyman and Pearson 1933) compares it with
*one* threshold t that is common to all k. Where K = 0 the log-likelihood ratio is 0: an atom, which
randomisation shares out when t = 0. A test whose threshold is a little too low has a level above κ, hence at
least the power sought: bisection returns that side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.probability import rounded_up
from gatekeeper.privacy.patterns import Patterns

Tail = Callable[[float], NDArray[np.float64]]


def _bisect(mass: Callable[[float], float], *, target: float, low: float, high: float) -> float:
    """The largest threshold found whose mass is at least `target`; `mass` falls, and mass(low) ≥ target."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return low
        if mass(middle) >= target:
            low = middle
        else:
            high = middle


def best_power(*, level: Tail, power: Tail, patterns: Patterns, prior_success: float) -> float:
    """An upper bound on the power of any test of level κ.

    Args:
        level: for a threshold t on the log-likelihood ratio, P(it exceeds t | k, target absent) for each k.
        power: the same with the target present.
        patterns: the distribution of the shifts.
        prior_success: κ, the level, in (0, 1].

    Returns:
        Σ_k p_k P(exceeds t | k, present) + the share of the atom + the tail, at the threshold of level κ;
        rounded up, and at most 1 − P(K = 0)(1 − κ), since a unit that never took part can only be guessed.
    """

    def level_at(threshold: float) -> float:
        return float(patterns.weights @ level(threshold))

    if prior_success + patterns.tail >= 1:
        return 1.0
    reach = float(np.max(patterns.shifts, initial=0.0))
    without_atom = level_at(0.0)
    if without_atom >= prior_success:
        threshold = _bisect(level_at, target=prior_success, low=0.0, high=40 * reach + 1)
        value = float(patterns.weights @ power(threshold))
    elif without_atom + patterns.absent >= prior_success:
        value = float(patterns.weights @ power(0.0)) + prior_success - without_atom
    else:
        lowest = -reach * (reach / 2 + 40)
        threshold = _bisect(level_at, target=prior_success - patterns.absent, low=lowest, high=0.0)
        value = float(patterns.weights @ power(threshold)) + patterns.absent
    return rounded_up(min(value + patterns.tail, 1.0 - patterns.absent * (1.0 - prior_success)))
