"""The least noise that meets a budget: the inverse of `accounting.account`, on the safe side.

The result is checked with `account` itself, so account(calibrate(budget)).epsilon.high ≤ budget.epsilon holds by
construction and not by the accuracy of a search.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from typing import Literal

from gatekeeper.core.budget import Budget
from gatekeeper.core.checks import check_choice, check_integer
from gatekeeper.core.mechanism import Adjacency, Mechanism
from gatekeeper.errors import PrivacyError
from gatekeeper.privacy import gaussian, participation
from gatekeeper.privacy.accounting import account, quick_delta
from gatekeeper.privacy.roots import passing_root

Choice = Literal["poisson", "balls-and-bins", "best"]

_WORTH_REFINING = 1.0005  # of the budget's ε: below it the participation bound is as good as it gets
_TOLERANCE = 1e-4  # relative, in the logarithm of σ over a value that fails
_NEARLY_ONE = 1 - 2.0**-53


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """The mechanism but for its noise, which is counted in multiples of what one unit can change."""

    mechanism: Mechanism
    budget: Budget

    def with_noise(self, relative: float) -> Mechanism:
        return replace(self.mechanism, noise_multiplier=relative * (1 + self.mechanism.sensitivity_slack))

    def spends(self, relative: float) -> float:
        return account(self.with_noise(relative), self.budget.delta).epsilon.high


def _certain_noise(run: _Run, uses: int) -> float:
    """σ where the unit is used exactly `uses` times: √K/μ (Balle and Wang 2018, theorem 8)."""
    return math.sqrt(uses) / gaussian.mu(epsilon=run.budget.epsilon, delta=run.budget.delta)


def _refuse_if_no_noise_is_needed(found: participation.Spread, delta: float) -> None:
    chance = found.chance_of_any
    if chance <= delta * (1 + 1e-9):
        raise PrivacyError(
            f"δ = {delta!r} is at least the chance {chance!r} that a unit takes part at all: such a budget is met "
            "without any noise, by publishing the units that were sampled",
            hint="choose δ well below 1 / (number of units)",
        )


def _participation_noise(run: _Run) -> float:
    """The smallest σ for which the participation bound proves the budget."""
    epsilon, delta = run.budget.epsilon, run.budget.delta
    found = participation.spread(run.mechanism, tail=delta * 1e-12)
    if found.tail >= delta:
        return _certain_noise(run, run.mechanism.steps)
    _refuse_if_no_noise_is_needed(found, delta)
    # δ is at most that of the most participations, and at least P(K > 0) times that of one.
    top = math.sqrt(float(found.counts[-1])) / gaussian.mu(epsilon=epsilon, delta=(delta - found.tail) / 2)
    bottom = 0.5 / gaussian.mu(epsilon=epsilon, delta=_NEARLY_ONE)

    def excess(log_ratio: float) -> float:
        sigma = bottom * math.exp(log_ratio)
        return participation.log_excess(epsilon=epsilon, sigma=sigma, delta=delta, found=found)

    return bottom * math.exp(passing_root(excess, low=0.0, high=math.log(top / bottom) + 1e-9))


def _refined_noise(run: _Run, sufficient: float) -> float:
    """A smaller σ than `sufficient` that the losses allow.

    The search's grid is coarser than `account`'s, whose ε may be a per cent lower. So what it finds is accounted
    once, and the search repeated for the ε of its own that stands for the budget's; `_checked` has the last word.
    """
    epsilon = run.budget.epsilon
    sigma = _quick_noise(run, sufficient, epsilon)
    spent = run.spends(sigma)
    return sigma if spent * _WORTH_REFINING >= epsilon else _quick_noise(run, sigma, epsilon * epsilon / spent)


def _quick_noise(run: _Run, sufficient: float, epsilon: float) -> float:
    """The smallest σ, at most `sufficient`, whose losses on the search's grid prove ε: one sum a σ."""
    delta = run.budget.delta

    def excess(sigma: float) -> float:
        found = quick_delta(run.with_noise(sigma), epsilon=epsilon, delta=delta)
        return math.log(max(found, sys.float_info.min) / delta)

    if excess(sufficient) > 0:
        return sufficient
    bottom = sufficient * 0.95
    while excess(bottom) <= 0:
        bottom, sufficient = bottom * 0.7, bottom
    ratio = math.log(sufficient / bottom)
    found = passing_root(lambda x: excess(bottom * math.exp(x)), low=0.0, high=ratio, tolerance=_TOLERANCE)
    return bottom * math.exp(min(found, ratio))


def _checked(run: _Run, sigma: float) -> Mechanism:
    """The mechanism with σ, or with as little more as `account` asks for."""
    step = 1e-12
    while (spent := run.spends(sigma)) > run.budget.epsilon:
        # Where the excess is plain, at once by as much as repairs it: ε falls at least as fast as 1/√σ.
        step = max(step, 0.2 * (spent / run.budget.epsilon - 1))
        sigma, step = sigma * (1 + step), step * 4
    return run.with_noise(sigma)


def _calibrated(run: _Run) -> Mechanism:
    mechanism = run.mechanism
    if mechanism.sampling_rate == 1:
        return _checked(run, _certain_noise(run, mechanism.steps))
    if mechanism.sampling == "balls-and-bins":
        sigma = _certain_noise(run, mechanism.epochs_begun)
    else:
        sigma = _participation_noise(run)
    if run.spends(sigma) * _WORTH_REFINING < run.budget.epsilon:
        sigma = _refined_noise(run, sigma)
    return _checked(run, sigma)


def _has_whole_batches(rate: float) -> bool:
    return 0 < rate <= 1 and 1 / round(1 / rate) == rate


def calibrate(
    budget: Budget,
    *,
    sampling: Choice,
    sampling_rate: float,
    steps: int,
    adjacency: Adjacency,
    unit: str,
    sensitivity_slack: float = 0.0,
) -> Mechanism:
    """The mechanism with the least noise that keeps the budget.

    Args:
        budget: (ε, δ), with ε from about 0.01 to 1e15 and beyond.
        sampling: `poisson`, `balls-and-bins`, or `best` for whichever needs less noise; `best` considers balls
            and bins only where 1/q is a whole number of batches.
        sampling_rate: q in (0, 1].
        steps: T, at least 1.
        adjacency: see `Mechanism`.
        unit: whose privacy is protected.
        sensitivity_slack: η ≥ 0, see `Mechanism`; the noise multiplier found is 1 + η times that without it.

    Returns:
        A mechanism with account(mechanism, budget.delta).epsilon.high ≤ budget.epsilon; its σ is within 1e-11 of the
        smallest that `account` accepts where ε is large or K certain, within 1e-3 otherwise.

    Raises:
        InvalidValueError: an argument outside its range, or balls and bins with a rate that is not 1/batches.
        PrivacyError: the budget would be met without noise, because δ is at least the chance to take part.

    >>> run = calibrate(Budget(epsilon=1e9, delta=1e-5), sampling="best", sampling_rate=0.01, steps=1000,
    ...                 adjacency="zero-out", unit="image")
    >>> run.sampling, f"{run.noise_multiplier:.4g}"
    ('balls-and-bins', '7.072e-05')
    """
    check_choice(sampling=sampling, choices=("poisson", "balls-and-bins", "best"))
    check_integer(steps=steps, at_least=1)
    bare = Mechanism(
        sampling="balls-and-bins" if sampling == "balls-and-bins" else "poisson",
        sampling_rate=sampling_rate,
        noise_multiplier=1.0,
        steps=steps,
        adjacency=adjacency,
        unit=unit,
        sensitivity_slack=sensitivity_slack,
    )
    first = _calibrated(_Run(mechanism=bare, budget=budget))
    if sampling != "best" or sampling_rate == 1 or not _has_whole_batches(sampling_rate):
        return first
    second = _calibrated(_Run(mechanism=replace(bare, sampling="balls-and-bins"), budget=budget))
    return min(first, second, key=lambda found: found.noise_multiplier)
