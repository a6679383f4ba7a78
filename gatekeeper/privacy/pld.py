"""ε of the Poisson-subsampled Gaussian from the distribution of its privacy loss, composed by Fourier transform.

The loss of T steps is a sum of T independent losses of one step (`losses.grid_loss`), and

    δ(ε) = E[(1 − e^{ε − S})⁺] + P(S = ∞),    S = L̃₁ + … + L̃_T      (Sommer, Meiser and Mohammadi 2019)

for each of the two directions; ε is the larger one.

Design note. One grid gives both ends, and nothing is neglected:

| what                                     | upper end                       | lower end                              |
| ---------------------------------------- | ------------------------------- | -------------------------------------- |
| grid                                     | dominates (`losses`)            | ε less T·lift and a Hoeffding term     |
| tails of one step                        | T·infinite into δ               | T·clipped out of δ; infinity not used  |
| sums outside the window (wrap-around)    | Chernoff bound into δ           | Chernoff bound out of δ                |
| Fourier transform, power, tilt, sums     | a-priori bound into δ           | a-priori bound out of δ                |
| losses computed from outputs             | T·error into ε                  | T·error out of ε                       |
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from gatekeeper.core.budget import Interval
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import PrivacyError
from gatekeeper.privacy.convolution import OUTSIDE, LossSum, compose, tilt
from gatekeeper.privacy.losses import Direction, Subsampled, grid_loss
from gatekeeper.privacy.roots import failing_root, passing_root

_MOST_POINTS = 5 * 2**18
_LEAST_WIDTH = 1e-10
_CUT = 1e-7  # share of δ that all cut-off tails may take
_COUPLING = 1e-3  # share of δ that the Hoeffding term of the lower end takes
_COARSE = 0.02  # the grid is made fine enough that the lower end loses about this share of ε …
_FINE = 0.003  # … and this one in the last pass; the upper end loses a hundredth of it
_PASSES = 5
_TOLERANCE = 1e-8  # of ε, always to the safe side


def _upper(total: LossSum, *, delta: float) -> float:
    """The smallest ε at which the upper bound on δ(ε) is at most δ; infinity if the window holds none."""
    loss, steps = total.tilted.loss, total.tilted.steps
    relative = 1 + total.tilted.relative_error

    def excess(epsilon: float) -> float:
        value, error = total.bracket(epsilon)
        inside = math.exp(min(700.0, total.scale(epsilon))) * relative * (value + error + OUTSIDE)
        return math.log(max(inside + steps * loss.infinite, sys.float_info.min) / delta)

    low = max(0.0, float(total.sums[0]))
    high = float(total.sums[-1])
    if high <= low:
        return low if excess(low) <= 0 else math.inf
    root = passing_root(excess, low=low, high=high, tolerance=_TOLERANCE)
    return root + steps * loss.error


def _passing_start(function: Callable[[float], float], *, low: float, high: float, step: float) -> float:
    """A point below `high` where the function is positive, or `low`: far below the bulk the error terms prevail."""
    while high - step > low and function(high - step) <= 0:
        step *= 2
    return min(high, max(low, high - step))


def _lower(total: LossSum, *, delta: float, upper: float) -> float:
    """A proven lower bound on ε(δ) in this direction, from the coupling of L̃ with L."""
    loss, steps = total.tilted.loss, total.tilted.steps
    relative = (1 + total.tilted.relative_error) * math.exp(min(700.0, steps * math.log1p(loss.inflation)))

    def shortfall(epsilon: float) -> float:
        value, error = total.bracket(epsilon)
        inside = math.exp(min(700.0, total.scale(epsilon))) * (value / relative - error - 2 * OUTSIDE)
        found = inside - delta * _COUPLING - steps * loss.clipped
        return math.log(found / delta) if found > 0 else -1e3

    high = min(upper, float(total.sums[-1]))
    start = _passing_start(shortfall, low=max(0.0, float(total.sums[0])), high=high, step=total.tilted.deviation / 64)
    root = failing_root(shortfall, low=start, high=high, tolerance=_TOLERANCE)
    if shortfall(root) <= 0:
        return 0.0
    deviation = loss.width * math.sqrt(-steps * math.log(delta * _COUPLING) / 2)  # Hoeffding 1963, theorem 2
    return max(0.0, root - steps * (loss.lift + loss.error) - deviation)


def _fine_enough(steps: int, delta: float, loss: float) -> float:
    """The width at which both terms of the lower end's distance are about `loss` nats."""
    hoeffding = loss / math.sqrt(-steps * math.log(delta * _COUPLING) / 2)
    curvature = max(math.sqrt(8 * loss / steps), loss / steps)
    return max(_LEAST_WIDTH, min(hoeffding, curvature))


def _transform_size(points: int) -> int:
    """The next number of the form 2^k·{4, 5, 6, 7}: transforms of such sizes are fast."""
    unit = 1 << max(2, (points - 1).bit_length() - 3)
    return -(-points // unit) * unit


def _sum_of_losses(step: Subsampled, *, steps: int, delta: float, width: float) -> LossSum:
    """T steps on a grid of about the given width, coarser where it would not fit into `_MOST_POINTS`."""
    tail = max(delta * _CUT / steps, 1e-305)
    low, high = step.extent(tail)
    width = max(width, 2 * (high - low) / _MOST_POINTS)
    while True:
        tilted = tilt(grid_loss(step, width=width, tail=tail), steps, delta)
        start, end = tilted.window()
        if end - start < _MOST_POINTS:
            return compose(tilted, start, _transform_size(end - start + 1))
        width *= 1.05 * (end - start) / _MOST_POINTS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ends:
    """Bounds on ε, and whether the grid was as fine as memory and time allow."""

    low: float
    high: float
    finest: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Direction:
    """One direction of one mechanism at one δ."""

    step: Subsampled
    steps: int
    delta: float

    def ends(self, loss: float) -> _Ends:
        """Bounds on ε from one grid, whose lower end is about `loss` nats below the truth."""
        width = _fine_enough(self.steps, self.delta, loss)
        total = _sum_of_losses(self.step, steps=self.steps, delta=self.delta, width=width)
        high = _upper(total, delta=self.delta)
        low = min(high, _lower(total, delta=self.delta, upper=high))
        return _Ends(low=low, high=high, finest=total.tilted.loss.width > width)

    def coarse(self, scale: float) -> _Ends:
        """Coarse grids, each scaled to the last one's result, while that is much smaller than what scaled it."""
        low, high = 0.0, scale
        for _ in range(_PASSES):
            found = self.ends(_COARSE * high)
            low, previous, high = max(low, found.low), high, min(high, found.high)
            if found.finest or high > previous / 2:
                break
        return _Ends(low=min(low, high), high=high, finest=found.finest)

    def fine(self, coarse: _Ends) -> _Ends:
        """One more grid, fine enough for a narrow interval, unless there is no finer one."""
        if coarse.finest:
            return coarse
        found = self.ends(_FINE * coarse.high)
        high = min(coarse.high, found.high)
        return _Ends(low=min(high, max(coarse.low, found.low)), high=high, finest=found.finest)


def _direction(mechanism: Mechanism, delta: float, direction: Direction) -> _Direction:
    step = Subsampled(rate=mechanism.sampling_rate, sigma=mechanism.noise_multiplier, direction=direction)
    return _Direction(step=step, steps=mechanism.steps, delta=delta)


def _most_by_adding(mechanism: Mechanism) -> float:
    """T log(1/(1−q)), the largest privacy loss that adding a unit can have, rounded up."""
    return -mechanism.steps * math.log1p(-mechanism.sampling_rate) * (1 + 1e-12)


def _check(mechanism: Mechanism, delta: float) -> None:
    check_open_probability(delta=delta)
    if mechanism.sampling != "poisson" or mechanism.sampling_rate == 1 or mechanism.steps == 0:
        raise PrivacyError(
            f"the privacy loss distribution needs Poisson sampling with a rate below 1 and a step, got {mechanism!r}"
        )


def upper(mechanism: Mechanism, *, delta: float, scale: float) -> float:
    """A proven ε from coarse grids: within about 1e-4 of `epsilon(…).high` and several times as fast.

    The arguments and errors are those of `epsilon`.
    """
    _check(mechanism, delta)
    removing, most = _direction(mechanism, delta, "remove").coarse(scale).high, _most_by_adding(mechanism)
    if most <= removing:
        return removing
    return max(removing, _direction(mechanism, delta, "add").coarse(min(scale, most)).high)


def epsilon(mechanism: Mechanism, *, delta: float, scale: float) -> Interval:
    """Bounds on ε(δ) of the Poisson-subsampled Gaussian from its privacy loss distribution.

    Args:
        mechanism: Poisson sampling with 0 < q < 1 and at least one step.
        delta: δ, strictly between 0 and 1.
        scale: a proven upper bound on ε, in nats, above 0 and finite; it sets the first grid.

    Returns:
        `high` is a proven ε, never above `scale`; `low` a proven lower bound, usually 0.3 % below; `estimate`
        is `high`, because the grid's own error is of second order while `low` carries the Hoeffding term.

    Raises:
        InvalidValueError: `delta` outside its range.
        PrivacyError: the mechanism is not a Poisson-subsampled one.
    """
    _check(mechanism, delta)
    remove, add = _direction(mechanism, delta, "remove"), _direction(mechanism, delta, "add")
    removing, most = remove.fine(remove.coarse(scale)), _most_by_adding(mechanism)
    if most <= removing.high:
        return Interval(low=removing.low, estimate=removing.high, high=removing.high)
    adding = add.coarse(min(scale, most))
    if adding.high > removing.low:
        adding = add.fine(adding)
    high = max(removing.high, adding.high)
    return Interval(low=max(removing.low, adding.low), estimate=high, high=high)
