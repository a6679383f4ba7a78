"""How often a unit takes part, and the two bounds on ε that follow from telling the adversary when.

Upper: condition on the pattern of steps that the unit takes part in. Given that it takes part in K of them
the run is a Gaussian mechanism of parameter √K/σ, and the hockey-stick divergence is jointly convex, so

    δ(ε) ≤ Σ_k P(K = k) δ_Gauss(ε; √k/σ)        (the participation bound, for removing and adding alike).

Lower (removing): the likelihood ratio is a sum over patterns S of P(S)·Λ_S, so it is at least any one of its
terms, and the privacy loss under S is at least that of S alone less the price −log P(S):

    δ(ε) ≥ Σ_k P(K = k) δ_Gauss(ε − log P(S_k); √k/σ).

Both are tight at large ε, where the price is small against ε. Counts that are cut off the distribution are
added to δ in the upper bound and left out of the lower one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.budget import Interval
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.privacy import gaussian
from gatekeeper.privacy.roots import failing_root, passing_root

Array = NDArray[np.float64]

_UNIT_ROUNDOFF = 2.0**-53
_SMALLEST_TAIL = 1e-305  # below it floating-point numbers lose digits
_LOG_NOTHING = -1e4  # the logarithm that stands for δ = 0: far below that of any number


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """P(K = k) as arrays, with what the bounds need.

    Attributes:
        counts: k, increasing.
        masses: P(K = k), adding up to 1.
        prices: −log of the probability of one pattern with k participations, in nats.
        tail: an upper bound on the mass that was cut off.
        rounding: a bound on the relative error of `masses`.
    """

    counts: Array
    masses: Array
    prices: Array
    tail: float
    rounding: float

    @property
    def chance_of_any(self) -> float:
        """An upper bound on P(K > 0)."""
        return float(self.masses[self.counts > 0].sum()) * (1 + self.rounding) + self.tail


def _binomial(*, steps: int, rate: float, tail: float) -> Spread:
    """Binomial(T, q) cut on both sides where Bernstein's inequality leaves less than `tail` in all.

    The masses follow from P(k+1)/P(k) = (T−k)/(k+1)·q/(1−q), outwards from the mode: products of exact
    ratios, without logarithms of factorials, normalised at the end; n of them err by 6n units of roundoff.
    """
    tail = max(tail, _SMALLEST_TAIL)
    mean, odds, log_tail = steps * rate, rate / (1 - rate), math.log(2 / tail)
    reach = log_tail / 3 + math.sqrt(log_tail**2 / 9 + 2 * log_tail * mean * (1 - rate))
    mode = min(steps, math.floor((steps + 1) * rate))
    low, high = max(0, math.floor(mean - reach)), min(steps, math.ceil(mean + reach))
    above = np.arange(mode, high, dtype=float)
    below = np.arange(mode, low, -1, dtype=float)
    rising = np.cumprod((steps - above) / (above + 1) * odds)
    falling = np.cumprod(below / (steps - below + 1) / odds)
    counts = np.arange(low, high + 1, dtype=float)
    weights = np.concatenate([falling[::-1], [1.0], rising])
    prices = -counts * math.log(rate) - (steps - counts) * math.log1p(-rate)
    rounding = 16 * len(counts) * _UNIT_ROUNDOFF
    return Spread(counts=counts, masses=weights / weights.sum(), prices=prices, tail=tail, rounding=rounding)


def _certain(count: int, *, price: float = 0.0) -> Spread:
    """K = count with certainty."""
    one = np.ones(1)
    return Spread(counts=one * count, masses=one, prices=one * price, tail=0.0, rounding=0.0)


def _dealt(mechanism: Mechanism) -> Spread:
    """Balls and bins as they fall: the last epoch may stop before the unit's batch comes."""
    batches, epochs = mechanism.batches_per_epoch, mechanism.epochs_begun
    log_batches, last = math.log(batches), mechanism.steps - (epochs - 1) * batches
    if last == batches:
        return _certain(epochs, price=epochs * log_batches)
    share = last / batches
    prices = np.array([(epochs - 1) * log_batches - math.log1p(-share), epochs * log_batches])
    counts, masses = np.array([epochs - 1.0, epochs]), np.array([1 - share, share])
    return Spread(counts=counts, masses=masses, prices=prices, tail=0.0, rounding=_UNIT_ROUNDOFF)


def spread(mechanism: Mechanism, *, tail: float) -> Spread:
    """The distribution of K that the upper bound averages over (see `participations`)."""
    if mechanism.sampling == "balls-and-bins":
        return _certain(mechanism.epochs_begun)
    if mechanism.sampling_rate == 1 or mechanism.steps == 0:
        return _certain(mechanism.steps)
    return _binomial(steps=mechanism.steps, rate=mechanism.sampling_rate, tail=tail)


def participations(mechanism: Mechanism, *, tail: float = 1e-40) -> Participations:
    """How often one unit takes part in the run.

    | sampling        | K                                                        |
    | --------------- | -------------------------------------------------------- |
    | Poisson, q < 1  | Binomial(T, q), both tails cut                           |
    | Poisson, q = 1  | T                                                        |
    | balls and bins  | the epochs begun: the most often that a unit can be used |

    Args:
        mechanism: what ran, or will run.
        tail: the most probability that may be cut off, strictly between 0 and 1; not below 1e-305.

    Returns:
        The counts with their probabilities; `tail` bounds the mass that was cut off.

    Raises:
        InvalidValueError: `tail` outside its range.

    >>> run = Mechanism(sampling="poisson", sampling_rate=0.5, noise_multiplier=1.0, steps=2,
    ...                 adjacency="zero-out", unit="image")
    >>> participations(run).probabilities
    (0.25, 0.5, 0.25)
    """
    check_open_probability(tail=tail)
    found = spread(mechanism, tail=tail)
    return Participations(
        counts=tuple(int(count) for count in found.counts),
        probabilities=tuple(found.masses.tolist()),
        tail=found.tail,
    )


def _log_mixture(epsilons: Array | float, sigma: float, found: Spread) -> float:
    """Log Σ_k P(k) δ_Gauss(ε_k; √k/σ) over k > 0."""
    used = (found.counts > 0) & (found.masses > 0)
    if not used.any():
        return _LOG_NOTHING
    where = epsilons[used] if isinstance(epsilons, np.ndarray) else epsilons
    terms = np.log(found.masses[used]) + gaussian.log_delta(where, np.sqrt(found.counts[used]) / sigma)
    largest = float(terms.max())
    if largest <= _LOG_NOTHING:
        return _LOG_NOTHING
    return largest + math.log(float(np.exp(terms - largest).sum()))


def log_excess(*, epsilon: float, sigma: float, delta: float, found: Spread) -> float:
    """Log of (the bound's δ at ε, over δ), rounding included: at most 0 where the bound proves (ε, δ).

    Args:
        epsilon: ε in nats, at least 0.
        sigma: noise multiplier, above 0.
        delta: δ, above `found.tail`.
        found: the distribution of K.
    """
    rounding = 1e-11 + found.rounding
    return _log_mixture(epsilon, sigma, found) + rounding - math.log(delta - found.tail)


def log_shortfall(*, epsilon: float, sigma: float, delta: float, found: Spread) -> float:
    """Log of (the lower bound on δ at ε, over δ), rounding included: above 0 where ε is not enough.

    Args:
        epsilon: ε in nats, at least 0.
        sigma: noise multiplier, above 0.
        delta: δ.
        found: the distribution of K, with the prices of its patterns.
    """
    return _log_mixture(epsilon + found.prices, sigma, found) - math.log(delta) - 1e-11 - found.rounding


def _upper(mechanism: Mechanism, delta: float) -> float:
    sigma = mechanism.relative_noise
    found = spread(mechanism, tail=delta * 1e-12)
    if found.tail >= delta:
        return math.inf
    most = float(found.counts[-1])
    top = gaussian.epsilon(mu=math.sqrt(most) / sigma, delta=(delta - found.tail) / 2).high
    return passing_root(
        lambda epsilon: log_excess(epsilon=epsilon, sigma=sigma, delta=delta, found=found), low=0.0, high=top
    )


def _lower(mechanism: Mechanism, delta: float, upper: float) -> float:
    dealt = mechanism.sampling == "balls-and-bins"
    found = _dealt(mechanism) if dealt else spread(mechanism, tail=delta * 1e-12)
    sigma = mechanism.relative_noise
    return failing_root(
        lambda epsilon: log_shortfall(epsilon=epsilon, sigma=sigma, delta=delta, found=found), low=0.0, high=upper
    )


def epsilon(mechanism: Mechanism, *, delta: float) -> Interval:
    """Bounds on ε(δ) from the participation pattern; see the module's docstring for both.

    Args:
        mechanism: what ran, with at least one step.
        delta: δ, strictly between 0 and 1.

    Returns:
        `high` is a proven ε, rounded up; infinite where δ is below 1e-305. `low` is a proven lower bound on
        the smallest ε, rounded down; `estimate` is halfway.

    Raises:
        InvalidValueError: `delta` outside its range.
    """
    check_open_probability(delta=delta)
    high = _upper(mechanism, delta)
    if math.isinf(high):
        return Interval(low=0.0, estimate=math.inf, high=math.inf)
    low = min(high, _lower(mechanism, delta, high))
    return Interval(low=low, estimate=(low + high) / 2, high=high)
