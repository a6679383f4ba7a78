"""Several runs on the same units: one guarantee for all of them together.

The runs' noise, sampling and steps are fixed beforehand (what they ask may depend on what earlier ones answered). Three
bounds are proven, and the smallest counts:

| accountant                  | bound                                                                                 |
| --------------------------- | ------------------------------------------------------------------------------------- |
| `gaussian`                  | every step uses each unit: one Gaussian of μ² = Σ K_r/σ_r² (exact where q = 1)        |
| `participation-bound`       | patterns revealed: δ(ε) ≤ E δ_Gauss(ε; √V) with V = Σ K_r/σ_r², K_r independent       |
| `privacy-loss-distribution` | the losses of all runs added: Poisson steps, secret bins, one Gaussian for the rest   |

Design note. V has a certain part and a random part. The random part lives on a grid of `_CELLS` cells, each run's
values rounded up to it for the upper bound and down for the lower one (`participation` has both), and is convolved
directly: positive numbers, relative accuracy, no transform. The lower bound is taken over an event: all K_r within
their own cut, whose patterns cost at most the sum of the dearest ones. More than `_MOST_LOSSES` different runs are
brought down to fewer by raising q and lowering σ: which can only raise δ, for a smaller q is a mixture of the larger
one with no use at all, and more noise is post-processing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import gaussian, participation, pld
from gatekeeper.privacy.accounting import account, amplifiable, epochs
from gatekeeper.privacy.gaussian_step import GaussianStep
from gatekeeper.privacy.losses import Direction, Subsampled
from gatekeeper.privacy.roots import failing_root, passing_root
from gatekeeper.privacy.sources import Source, Steps

_CELLS = 2**13
_MOST_LOSSES = 32
_NARROW = 0.002
_LEAST_DELTA_OF_LOSSES = 1e-300
_ROUNDING = 1e-12
_KEPT = 1e-3  # share of δ that the lower bound gives up to have cheaper patterns

_CERTAIN = "Balle and Wang 2018, theorem 8, for the sum of all runs' squared signals"
_PATTERNS = "joint convexity of the hockey-stick divergence over the patterns of participation of all runs"
_LOSSES = "Zhu, Dong and Wang 2022, theorem 10, discretised as by Doroshenko et al. 2022"


def _certain(mechanism: Mechanism) -> bool:
    return mechanism.sampling == "balls-and-bins" or mechanism.sampling_rate == 1


def _merged(mechanisms: Sequence[Mechanism]) -> list[Mechanism]:
    """Runs with the same sampling and noise as one run with all their steps; none without steps."""
    whole: dict[tuple[str, float, float], Mechanism] = {}
    ragged: list[Mechanism] = []
    for one in mechanisms:
        key = (one.sampling, one.sampling_rate, one.relative_noise)
        # Only whole epochs add up to epochs.
        if one.sampling == "balls-and-bins" and one.steps % one.batches_per_epoch != 0:
            ragged.append(one)
        elif one.steps > 0:
            whole[key] = replace(one, steps=one.steps + whole[key].steps) if key in whole else one
    return [*whole.values(), *ragged]


def _signal(mechanism: Mechanism) -> float:
    """1/σ², one use's share of V, rounded up."""
    return (1 + _ROUNDING) / mechanism.relative_noise**2


def _certain_signal(mechanisms: Sequence[Mechanism]) -> float:
    """V where every step of the runs uses each unit, or each epoch once."""
    return sum(
        (one.epochs_begun if one.sampling == "balls-and-bins" else one.steps) * _signal(one) for one in mechanisms
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signals:
    """The distribution of V = Σ K_r/σ_r², rounded up or down, with the dearest pattern's price in nats."""

    spread: participation.Spread
    price: float


def _signals(mechanisms: Sequence[Mechanism], *, tail: float, up: bool) -> _Signals:
    """V on a grid."""
    certain = [one for one in mechanisms if _certain(one)]
    spreads = [(one, participation.spread(one, tail=tail)) for one in mechanisms if not _certain(one)]
    base = _certain_signal(certain if up else [one for one in certain if one.sampling == "poisson"])
    base += sum(found.counts[0] * _signal(one) for one, found in spreads)
    span = sum((found.counts[-1] - found.counts[0]) * _signal(one) for one, found in spreads)
    cell = max(span / _CELLS, 1e-300)
    masses, total, rounding, price = np.ones(1), 0.0, 0.0, 0.0
    for one, found in spreads:
        cells = (found.counts - found.counts[0]) * _signal(one) / cell
        places = (np.ceil(cells) if up else np.floor(cells)).astype(np.int64)
        masses = np.convolve(masses, np.bincount(places, weights=found.masses))
        total += found.tail
        # The masses of what was kept add up to 1, so each is too large by as much as was cut.
        rounding += found.rounding + 2 * found.tail + 4 * len(masses) * 2.0**-53
        price += max(float(found.prices[0]), float(found.prices[-1]))
    values = (base + np.arange(len(masses)) * cell) * (1 + _ROUNDING if up else 1 - 3 * _ROUNDING)
    spread = participation.Spread(
        counts=values, masses=masses, prices=np.full(len(masses), price), tail=total, rounding=rounding
    )
    return _Signals(spread=spread, price=price)


def _by_pattern(mechanisms: Sequence[Mechanism], delta: float) -> Interval:
    """The adversary is told in which steps of all runs the unit takes part."""
    above = _signals(mechanisms, tail=delta * 1e-12, up=True).spread
    if above.tail >= delta:
        return Interval(low=0.0, estimate=math.inf, high=math.inf)
    top = gaussian.epsilon(mu=math.sqrt(float(above.counts[-1])), delta=(delta - above.tail) / 2).high
    high = passing_root(
        lambda epsilon: participation.log_excess(epsilon=epsilon, sigma=1.0, delta=delta, found=above),
        low=0.0,
        high=top,
    )
    below = _signals(mechanisms, tail=delta * _KEPT, up=False).spread
    low = failing_root(
        lambda epsilon: participation.log_shortfall(epsilon=epsilon, sigma=1.0, delta=delta, found=below),
        low=0.0,
        high=high,
    )
    return Interval(low=min(low, high), estimate=high, high=high)


def _telling(one: Mechanism) -> float:
    """About how much a run tells: the variance of its privacy loss while that is small."""
    return one.steps * one.sampling_rate**2 * math.expm1(min(50.0, one.relative_noise**-2))


def _stronger(one: Mechanism, other: Mechanism) -> Mechanism:
    return replace(
        one,
        sampling_rate=max(one.sampling_rate, other.sampling_rate),
        noise_multiplier=min(one.relative_noise, other.relative_noise),
        sensitivity_slack=0.0,
        steps=one.steps + other.steps,
    )


def _fewer(poisson: list[Mechanism], most: int) -> list[Mechanism]:
    """At most `most` runs that are together at least as telling: neighbours in q are merged, the cheapest first."""
    runs = sorted(poisson, key=lambda one: (one.sampling_rate, one.relative_noise))
    while len(runs) > most:
        pairs = [_stronger(one, other) for one, other in itertools.pairwise(runs)]
        costs = [
            _telling(pair) - _telling(one) - _telling(other)
            for pair, (one, other) in zip(pairs, itertools.pairwise(runs), strict=True)
        ]
        # Many at once while there are many: no two of them neighbours.
        chosen: set[int] = set()
        for index in sorted(range(len(costs)), key=costs.__getitem__)[: max(1, (len(runs) - most) // 4)]:
            if index - 1 not in chosen and index + 1 not in chosen:
                chosen.add(index)
        runs = [pairs[index] if index in chosen else one for index, one in enumerate(runs) if index - 1 not in chosen]
    return runs


def _poisson_steps(runs: Sequence[Mechanism], direction: Direction) -> list[Source]:
    return [
        Steps(step=Subsampled(rate=one.sampling_rate, sigma=one.relative_noise, direction=direction), times=one.steps)
        for one in runs
    ]


def _one_gaussian(runs: Sequence[Mechanism], *, shrink: float = 0.0) -> list[Source]:
    """Runs that use each unit with certainty, as one release."""
    mu = math.sqrt(_certain_signal(runs)) * (1 - shrink)
    return [Steps(step=GaussianStep(mu=mu), times=1)] if runs else []


def _by_losses(runs: Sequence[Mechanism], delta: float, scale: float) -> Interval:
    """The losses of all runs, added; from below those of the most telling ones whose losses are known exactly."""
    poisson = sorted((one for one in runs if not _certain(one)), key=_telling, reverse=True)
    hidden = [one for one in runs if one.sampling == "balls-and-bins" and amplifiable(one, delta)][:_MOST_LOSSES]
    plain = [one for one in runs if _certain(one) and one not in hidden]
    known = [one for one in plain if one.sampling == "poisson"]
    fewer = _fewer(poisson, _MOST_LOSSES)

    def above(direction: Direction) -> list[Source]:
        secret: list[Source] = [epochs(one, direction) for one in hidden]
        return _poisson_steps(fewer, direction) + secret + _one_gaussian(plain)

    def below(direction: Direction) -> list[Source]:
        return _poisson_steps(poisson[:_MOST_LOSSES], direction) + _one_gaussian(known, shrink=_ROUNDING)

    if not poisson and not known:
        return pld.upper_interval(above, delta=delta, scale=scale)
    most = math.inf if plain or hidden else sum(pld.most_by_adding(one) for one in fewer)
    return pld.interval(above, delta=delta, scale=scale, most_by_adding=most, below=below)


def compose(mechanisms: Sequence[Mechanism], delta: float) -> Guarantee:
    """The (ε, δ)-differential privacy of several runs on the same units, taken together.

    Args:
        mechanisms: what ran, in any order, as many as there are; each with its own noise, rate and steps, fixed
            beforehand.
        delta: δ of all together, strictly between 0 and 1.

    Returns:
        ε in nats: `high` is the guarantee, with the accountant and theorem that prove it; `low` a proven lower bound
        on the smallest ε. For one run it is `account`'s answer.

    Raises:
        InvalidValueError: δ is outside its range.

    >>> run = Mechanism(sampling="poisson", sampling_rate=1.0, noise_multiplier=2.0, steps=2,
    ...                 adjacency="zero-out", unit="image")
    >>> compose([run, run], 1e-5) == account(run, 1e-5)
    False
    >>> compose([run], 1e-5) == account(run, 1e-5)
    True
    """
    check_open_probability(delta=delta)
    runs = _merged(mechanisms)
    if not runs:
        nothing = Interval(low=0.0, estimate=0.0, high=0.0)
        return Guarantee(epsilon=nothing, delta=delta, accountant="gaussian", theorem=_CERTAIN)
    if len(runs) == 1:
        return account(runs[0], delta)
    worst = gaussian.epsilon(mu=math.sqrt(_certain_signal(runs)), delta=delta)
    if all(one.sampling_rate == 1 for one in runs):
        return Guarantee(epsilon=worst, delta=delta, accountant="gaussian", theorem=_CERTAIN)
    pattern = _by_pattern(runs, delta)
    best, accountant, theorem = pattern, "participation-bound", _PATTERNS
    if worst.high < best.high:
        best, accountant, theorem = worst, "gaussian", _CERTAIN
    low = pattern.low
    if math.isfinite(best.high) and low < best.high * (1 - _NARROW) and delta >= _LEAST_DELTA_OF_LOSSES:
        losses = _by_losses(runs, delta, best.high)
        low = max(low, losses.low)
        if losses.high < best.high:
            best, accountant, theorem = losses, "privacy-loss-distribution", _LOSSES
    if low < best.high * (1 - _NARROW):
        low = max(low, _largest_alone(runs, delta))
    low = min(low, best.high)
    epsilon = Interval(low=low, estimate=best.high, high=best.high)
    return Guarantee(epsilon=epsilon, delta=delta, accountant=accountant, theorem=theorem)


def _largest_alone(runs: Sequence[Mechanism], delta: float) -> float:
    """A lower bound on ε of the run that seems to tell most: the others can only add to it."""

    def apparent(one: Mechanism) -> float:
        found = participation.epsilon(one, delta=delta)
        return found.high if math.isfinite(found.high) else 0.0

    return account(max(runs, key=apparent), delta).epsilon.low
