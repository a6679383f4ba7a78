"""The trade-off function of the mechanism: how often an adversary who knows candidates can pick the target.

A test A that accepts without the target (Q) with probability at most κ accepts with it (P) with probability at most
γ(κ) = 1 − f(κ). Since P(A) ≤ δ(ε) + e^ε Q(A) for every real ε, negative ones included,

    γ(κ) ≤ min over ε of δ(ε) + e^ε κ,

with equality where δ is the hockey-stick divergence of P from Q itself and ε the threshold of the best test: there
δ(ε) = P(A) − e^ε Q(A). Every ε and every upper bound on δ give a bound: a rough search costs tightness, never validity.
(The duality of trade-off functions and privacy profiles: Dong, Roth and Su 2022, "Gaussian Differential Privacy".)

| method                      | applies to                                    | tight                                  |
| --------------------------- | --------------------------------------------- | -------------------------------------- |
| `gaussian`                  | q = 1                                         | exact                                  |
| `participation-bound`       | Poisson sampling, pattern revealed            | as σ → 0: 1 − (1−q)^T (1−κ)            |
| `balls-and-bins`            | one use an epoch, bins revealed               | as σ → 0                               |
| `privacy-loss-distribution` | Poisson; relaxed also with K certain, K > 1   | to 0.1 % up to a million steps         |
|                             | bins secret; 1/σ ≤ 5, at most 10⁵ batches     | to a few per cent                      |

The smallest wins. The relaxed adversary knows the target's gradient in each step up to its sign (`folded`). One who
knows up to one sign for all steps can turn each step's output at random, and is then this one; so what bounds the
adversary of one sign (`pattern_power.unsigned_power`), or one who knows every sign, bounds this one too.

Design note. One grid per adversary, about as fine as `_CELLS` and `_POINTS` allow: its error is of second order, 1e-5
and mostly less where q ≥ 1e-3, and the tilt keeps the transform's error far below κ. No grid is made where 1/σ > 40:
there the pattern can be read off the outputs, up to an error of T Φ(−20) < 1e-79, and nothing is left to gain.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatekeeper.core.checks import check_positive, check_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.probability import rounded_up
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.privacy.balls_and_bins import LARGEST_MU, Epochs
from gatekeeper.privacy.convolution import OUTSIDE, LossSum, convolve, transform_size
from gatekeeper.privacy.folded import Folded
from gatekeeper.privacy.losses import Subsampled
from gatekeeper.privacy.pattern_power import signed_power, unsigned_power
from gatekeeper.privacy.patterns import patterns
from gatekeeper.privacy.search import least
from gatekeeper.privacy.sources import Source, Steps
from gatekeeper.privacy.tilting import Tilt, tilt

_CELLS = 2**17  # of one step's loss
_POINTS = 2**18  # of the sum's window
_ROUGH_CELLS = 2**12
_MOST_BATCHES = 10**5  # an epoch of more takes seconds
_CUT = 1e-7  # share of κ that all cut-off tails may take
_LEGIBLE = 40.0  # 1/σ beyond which the pattern is as good as revealed
_WORTH_WHILE = 1e-4  # relative: nothing below κ can be gained, and smaller gains aren't worth the time
_CLEARLY = 1e-5  # relative gain at which another method is named: rounding must not choose between two
_COARSE = 32  # intervals in which the best ε is sought first
_SEARCH = 1e-5  # of two of them, in the second search; the minimum is flat there


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bound:
    """One method's answer."""

    value: float
    method: str


def _sum_of(source: Source, *, delta: float, tail: float) -> LossSum:
    """The sum of the copies on about the finest grid that `_CELLS` and `_POINTS` allow, as a rough one tells."""

    def tilted(width: float) -> Tilt:
        return tilt([source.above(width, tail)], delta=delta)

    low, high = source.extent(tail)
    rough = (high - low) / _ROUGH_CELLS
    start, end = tilted(rough).window(OUTSIDE)
    width = max((high - low) / _CELLS, rough * (end - start) / _POINTS)
    while True:
        found = tilted(width)
        start, end = found.window(OUTSIDE)
        if end - start < _POINTS:
            return convolve(found, start, transform_size(end - start + 1))
        width *= 1.05 * (end - start) / _POINTS


def dual_bound(source: Source, *, prior_success: float, at_most: float) -> float:
    """An upper bound on γ from the sum of independent losses.

    Args:
        source: losses of P against Q, P with the target; at least one copy.
        prior_success: κ, strictly between 0 and 1.
        at_most: a proven upper bound on γ, which says where accuracy matters.

    Returns:
        γ in [κ, 1], rounded up.
    """
    tail = max(prior_success * _CUT / source.times, 1e-305)
    # γ lies between κ and `at_most`: a tilt for the middle is good enough for both.
    total = _sum_of(source, delta=math.sqrt(prior_success * at_most) / 2, tail=tail)

    def bound(epsilon: float) -> float:
        return total.delta_upper(epsilon) + math.exp(min(700.0, epsilon)) * prior_success

    # Beyond −log κ the price alone exceeds 1.
    low, high = float(total.sums[0]), min(float(total.sums[-1]), -math.log(prior_success))
    return max(prior_success, rounded_up(min(1.0, _least_value(bound, low, high)))) if low < high else 1.0


def _least_value(function: Callable[[float], float], low: float, high: float) -> float:
    """About the least value of a function that is convex in e^ε but for errors near `low`; never below it."""
    points = np.linspace(low, high, _COARSE + 1)
    values = [function(float(point)) for point in points]
    best = int(np.argmin(values))
    ends = (float(points[max(0, best - 1)]), float(points[min(_COARSE, best + 1)]))
    return min(values[best], least(function, *ends, tolerance=_SEARCH * (ends[1] - ends[0])).value)


def _least(told: _Bound, composed: Source, *, prior_success: float) -> _Bound:
    """The smaller of what the pattern gives and what the losses give, where those can give anything."""
    if told.value <= prior_success * (1 + _WORTH_WHILE):
        return told
    value = dual_bound(composed, prior_success=prior_success, at_most=told.value)
    gain = told.value - value
    return _Bound(value=value, method="privacy-loss-distribution") if gain > _CLEARLY * told.value else told


def _told_method(mechanism: Mechanism) -> str:
    if mechanism.sampling == "balls-and-bins":
        return "balls-and-bins"
    return "gaussian" if mechanism.sampling_rate == 1 else "participation-bound"


# Kept, since a run asks for the same figures when it is planned, bounded, audited and judged.
@functools.lru_cache(maxsize=32)
def _worst_case(mechanism: Mechanism, told: _Bound, prior_success: float) -> _Bound:
    composed = _composed(mechanism)
    return told if composed is None else _least(told, composed, prior_success=prior_success)


def _composed(mechanism: Mechanism) -> Source | None:
    """The losses of the run with the participation secret; None where they gain nothing or cost too much."""
    rate, mu, batches = mechanism.sampling_rate, 1 / mechanism.relative_noise, mechanism.batches_per_epoch
    if rate == 1:
        return None
    if mechanism.sampling == "poisson":
        step = Subsampled(rate=rate, sigma=mechanism.relative_noise, direction="remove")
        return Steps(step=step, times=mechanism.steps) if mu <= _LEGIBLE else None
    if mu > LARGEST_MU or batches > _MOST_BATCHES:
        return None
    return Epochs(batches=batches, mu=mu, times=mechanism.epochs_begun, direction="remove")


@functools.lru_cache(maxsize=32)
def _relaxed(mechanism: Mechanism, told: _Bound, prior_success: float) -> _Bound:
    """Balls and bins with the bins revealed are K steps, each of which uses the target."""
    dealt = mechanism.sampling == "balls-and-bins"
    rate, steps = (1.0, mechanism.epochs_begun) if dealt else (mechanism.sampling_rate, mechanism.steps)
    if 1 / mechanism.relative_noise > _LEGIBLE or (rate == 1 and steps == 1):
        return told
    step = Folded(rate=rate, sigma=mechanism.relative_noise)
    return _least(told, Steps(step=step, times=steps), prior_success=prior_success)


def identification_power(mechanism: Mechanism, *, prior_success: float) -> IdentificationPower:
    """Upper bounds on the success of adversaries who see every step and pick the target among candidates.

    | case             | worst case and relaxed                                                    |
    | ---------------- | ------------------------------------------------------------------------- |
    | no steps, κ = 1  | κ                                                                         |
    | q = 1            | worst case exactly Φ(Φ⁻¹(κ) + √T/σ)                                       |
    | σ → 0, σ → ∞     | 1 − (1−q)^T (1−κ) or 1 (balls and bins), and κ                            |

    Args:
        mechanism: what ran, or will run; add-or-remove-one adjacency, to which zero-out is equal.
        prior_success: κ, the success of guessing, above 0 and at most 1.

    Returns:
        γ for the worst-case and the relaxed adversary, rounded up, and which method proved each.

    Raises:
        InvalidValueError: κ is outside its range.

    >>> run = Mechanism(sampling="poisson", sampling_rate=0.01, noise_multiplier=1.0, steps=1000,
    ...                 adjacency="zero-out", unit="image")
    >>> found = identification_power(run, prior_success=0.1)
    >>> f"{found.worst_case:.4f} {found.relaxed:.4f}", found.worst_case_method
    ('0.1942 0.1485', 'privacy-loss-distribution')
    """
    check_positive(prior_success=prior_success)
    check_probability(prior_success=prior_success)
    told, method = patterns(mechanism), _told_method(mechanism)
    signed = _Bound(value=signed_power(told, prior_success=prior_success), method=method)
    worst = _worst_case(mechanism, signed, prior_success)
    unsigned = _Bound(value=unsigned_power(told, prior_success=prior_success), method=method)
    relaxed = _relaxed(mechanism, unsigned, prior_success)
    if relaxed.value >= worst.value:
        relaxed = worst
    return IdentificationPower(
        prior_success=float(prior_success),
        worst_case=worst.value,
        worst_case_method=worst.method,
        relaxed=relaxed.value,
        relaxed_method=relaxed.method,
    )
