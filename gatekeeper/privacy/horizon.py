"""How many steps a budget allows with a given noise: the inverse of `accounting.account` in T, on the safe side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Adjacency, Mechanism, Sampling
from gatekeeper.privacy.accounting import account

_MOST_STEPS = 10**9
_GROWTH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Search:
    """ε as a function of how many units of steps are taken: single steps, or whole epochs of balls and bins.

    Attributes:
        one: the mechanism with any number of steps.
        budget: the budget.
        unit: steps in a unit.
    """

    one: Mechanism
    budget: Budget
    unit: int

    @property
    def most(self) -> int:
        """As many units as can be accounted."""
        return _MOST_STEPS // self.unit

    def excess(self, count: int) -> float:
        """Log of (ε over the budget's): at most 0 where the budget allows so many units."""
        spent = account(replace(self.one, steps=count * self.unit), self.budget.delta).epsilon.high
        return math.log(max(spent, 1e-300) / self.budget.epsilon)


def _bracket(search: _Search) -> tuple[int, float, int, float]:
    """(count, excess) that is allowed, and one that is not; the latter is `most` + 1 if there is none."""
    low, below, high = 0, -math.inf, 1
    while (above := search.excess(high)) <= 0:
        if high == search.most:
            return high, above, high + 1, math.inf
        low, below, high = high, above, min(search.most, high * _GROWTH)
    return low, below, high, above


def _between(low: int, below: float, high: int, above: float) -> int:
    """Where the straight line in log count meets 0; the middle where there is no line."""
    if low == 0 or not math.isfinite(above - below):
        return (low + high) // 2
    slope = (math.log(high) - math.log(low)) / (above - below)
    guess = round(math.exp(math.log(low) - below * slope))
    return min(high - 1, max(low + 1, guess))


def _most(search: _Search) -> int:
    low, below, high, above = _bracket(search)
    turn = 0
    while high - low > 1:
        # Every third guess halves the bracket, so that a crooked function can't slow the search down for long.
        middle = (low + high) // 2 if turn % 3 == 2 else _between(low, below, high, above)
        here = search.excess(middle)
        # Once the line is good the root is next to the guess: look there.
        if here <= 0:
            low, below = middle, here
        else:
            high, above = middle, here
        turn += 1
    return low


def most_steps(
    budget: Budget,
    *,
    sampling: Sampling,
    sampling_rate: float,
    noise_multiplier: float,
    adjacency: Adjacency,
    unit: str,
    sensitivity_slack: float = 0.0,
) -> int:
    """The most steps that keep the budget with a given noise.

    Args:
        budget: (ε, δ).
        sampling: `poisson` or `balls-and-bins`.
        sampling_rate: q in (0, 1].
        noise_multiplier: σ, above 0.
        adjacency: see `Mechanism`.
        unit: whose privacy is protected.
        sensitivity_slack: η ≥ 0, see `Mechanism`.

    Returns:
        T, for which `account` stays within the budget, while it does not for T + 1 (for balls and bins: for an epoch
        more; T is a number of whole epochs). 0 where not even one step (epoch) is allowed; at most 1e9.

    Raises:
        InvalidValueError: an argument outside its range.

    >>> most_steps(Budget(epsilon=1e6, delta=1e-5), sampling="balls-and-bins", sampling_rate=0.01,
    ...            noise_multiplier=0.002242821, adjacency="zero-out", unit="image")
    1000
    """
    one = Mechanism(
        sampling=sampling,
        sampling_rate=sampling_rate,
        noise_multiplier=noise_multiplier,
        steps=0,
        adjacency=adjacency,
        unit=unit,
        sensitivity_slack=sensitivity_slack,
    )
    steps = one.batches_per_epoch if sampling == "balls-and-bins" else 1
    return steps * _most(_Search(one=one, budget=budget, unit=steps))
