"""ε from the distribution of the privacy loss: losses on a grid, added by Fourier transform, from above and below.

The loss of a run is a sum of independent losses of its steps, and

    δ(ε) = E[(1 − e^{ε − S})⁺] + P(S = ∞)      (Sommer, Meiser and Mohammadi 2019)

for each of the two directions; ε is the larger one.

Design note. Two sums on the same grid give the two ends, and nothing is neglected:

| what                                     | upper end                       | lower end                              |
| ---------------------------------------- | ------------------------------- | -------------------------------------- |
| grid                                     | dominates (`losses`)            | is dominated (`minorant`)              |
| tails of one step                        | T·infinite into δ               | left out                               |
| sums outside the window (wrap-around)    | Chernoff bound into δ           | Chernoff bound out of δ                |
| Fourier transform, power, tilt, sums     | a-priori bound into δ           | a-priori bound out of δ                |
| losses computed from outputs             | T·error into ε                  | T·error out of ε                       |

Both grids err by the second order of their width h, T·h²/8 nats at most from above. So h need only be a fraction of
one step's standard deviation, and the grid has about 100·√T points.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatekeeper.core.budget import Interval
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import PrivacyError
from gatekeeper.privacy.convolution import LossSum, sum_of
from gatekeeper.privacy.losses import Direction, OneStep, Subsampled
from gatekeeper.privacy.roots import failing_root, passing_root
from gatekeeper.privacy.sources import Source, Steps

_MOST_POINTS = 2**19
_LEAST_POINTS = 2**16
_LEAST_WIDTH = 1e-10
_CUT = 1e-7  # share of δ that all cut-off tails may take
_LEAST_TAIL = 1e-305
_CURVATURE = 1e-4  # share of ε that the upper end may lose to the grid, T·h²/8 at most
_ROUGHNESS = 0.12  # width over the standard deviation of one step
_SURPLUS = 2e-4  # share of ε that the lower end may lose before it looks for a better origin of its grid
_NARROW = 0.003  # share of ε: no finer grid is tried once the interval is as narrow
_NOTHING = 3e-4  # nats: no grid need be refined for so little
_SEARCH, _PASSES = 6, 3
_TOLERANCE = 1e-8  # of ε, always to the safe side


def _steps(sources: Sequence[Source]) -> int:
    return sum(source.times for source in sources)


def _sum(
    sources: Sequence[Source],
    *,
    delta: float,
    width: float,
    most: int,
    theta: float | None = None,
    precision: float | None = None,
) -> LossSum:
    """The sum on a grid of about the given width, coarser where it would have more than `most` points.

    From above, or from below where a precision is given (see `Source.below`).
    """
    tail = max(delta * _CUT / _steps(sources), _LEAST_TAIL)
    extents = [source.extent(tail) for source in sources]
    width = max(width, _LEAST_WIDTH, *(2 * (high - low) / most for low, high in extents))
    while True:
        if precision is None:
            parts = [source.above(width, tail) for source in sources]
        else:
            parts = [source.below(width, tail, precision) for source in sources]
        found = sum_of(parts, delta=delta, theta=theta, most=most)
        if found is not None:
            return found
        width *= 1.5


def composed(step: OneStep, *, steps: int, delta: float, width: float | None = None) -> LossSum:
    """The privacy loss of T independent steps, from above.

    Args:
        step: one step in one direction, such as `losses.Subsampled`.
        steps: T, at least 1.
        delta: the δ at which the result is to be accurate; its `delta_upper(epsilon)` is valid at every ε.
        width: the grid's width in nats; None for one that suits T.

    Returns:
        The sum of losses; on a coarser grid than asked for where that would not fit into memory.
    """
    sources = [Steps(step=step, times=steps)]
    if width is None:
        low, high = step.extent(max(delta * _CUT / steps, _LEAST_TAIL))
        rough = _sum(sources, delta=delta, width=(high - low) / 1000, most=_MOST_POINTS)
        width = _suitable_width(rough, steps)
    return _sum(sources, delta=delta, width=width, most=_MOST_POINTS)


def _suitable_width(total: LossSum, steps: int, epsilon: float = math.inf) -> float:
    """A width that loses little: to curvature, `_CURVATURE` of ε, and to the roughness of one step's distribution."""
    roughness = _ROUGHNESS * total.deviation / math.sqrt(steps)
    return max(_LEAST_WIDTH, min(math.sqrt(8 * _CURVATURE * epsilon / steps), roughness))


def _upper(total: LossSum, delta: float) -> float:
    """The smallest ε at which the upper bound on δ(ε) is at most δ; infinity if the window holds none."""

    def excess(epsilon: float) -> float:
        return math.log(max(total.delta_upper(epsilon), sys.float_info.min) / delta)

    low = max(0.0, float(total.sums[0]))
    high = max(low, float(total.sums[-1]) + total.shift)
    return passing_root(excess, low=low, high=high, tolerance=_TOLERANCE)


def _passing_start(function: Callable[[float], float], *, low: float, high: float, step: float) -> float:
    """A point below `high` where the function is positive, or `low`: far below the bulk the error terms prevail."""
    while high - step > low and function(high - step) <= 0:
        step *= 2
    return min(high, max(low, high - step))


def _lower(total: LossSum, delta: float, upper: float) -> float:
    """The largest ε found at which the lower bound on δ(ε) exceeds δ; 0 if the window holds none."""

    def shortfall(epsilon: float) -> float:
        found = total.delta_lower(epsilon)
        return math.log(found / delta) if found > 0 else -1e3

    high = min(upper, float(total.sums[-1]))
    start = _passing_start(shortfall, low=0.0, high=high, step=total.deviation / 64)
    root = failing_root(shortfall, low=start, high=high, tolerance=_TOLERANCE)
    return root if shortfall(root) > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Accountant:
    """One direction of a run at one δ.

    Attributes:
        sources: what the run's privacy loss is the sum of.
        delta: δ.
        below: what the run's loss is at least the sum of, on the same footing; None for the same sources.
    """

    sources: tuple[Source, ...]
    delta: float
    below: tuple[Source, ...] | None = None

    @property
    def most(self) -> int:
        """How many grid points there may be: fewer where there are many losses to put on them."""
        return max(_LEAST_POINTS, _MOST_POINTS // len(self.sources))

    def search(self, scale: float) -> tuple[LossSum, float]:
        """The sum on a suitable grid, and a proven ε at most `scale`."""
        steps, high = _steps(self.sources), scale
        width = min(math.sqrt(8 * 0.02 * scale / steps), scale / 50)
        for _ in range(_SEARCH):
            total = _sum(self.sources, delta=self.delta, width=width, most=self.most)
            high = min(high, _upper(total, self.delta))
            finer = _suitable_width(total, steps, high)
            if high < _NOTHING / 100 or finer > 0.7 * width or total.width > width:
                break
            width = finer
        return total, high

    def suited(self, epsilon: float) -> LossSum:
        """The sum on a grid that suits the given ε."""
        steps = _steps(self.sources)
        width = min(math.sqrt(8 * 0.02 * epsilon / steps), epsilon / 50)
        rough = _sum(self.sources, delta=self.delta, width=width, most=self.most)
        finer = _suitable_width(rough, steps, epsilon)
        if finer > 0.7 * rough.width:
            return rough
        return _sum(self.sources, delta=self.delta, width=finer, most=self.most)

    def _low(self, total: LossSum, high: float) -> float:
        """A proven lower bound on ε from a grid like that of `total`."""
        sources = self.sources if self.below is None else self.below
        below = _sum(
            sources,
            delta=self.delta,
            width=total.width,
            most=self.most,
            theta=total.theta,
            precision=_SURPLUS * high / _steps(sources),
        )
        return min(high, _lower(below, self.delta, high))

    def bounds(self, scale: float) -> Interval:
        """Bounds on ε, given that `scale` is a proven upper bound."""
        total, high = self.search(scale)
        low = 0.0
        for _ in range(_PASSES if high > 0 else 0):
            low = max(low, self._low(total, high))
            if high - low <= max(_NARROW * high, _NOTHING):
                break
            finer = total.width / 2
            total = _sum(self.sources, delta=self.delta, width=finer, most=self.most)
            if total.width > finer * 1.01:
                break
            high = min(high, _upper(total, self.delta))
        return Interval(low=low, estimate=high, high=high)


def interval(
    sources: Callable[[Direction], Sequence[Source]],
    *,
    delta: float,
    scale: float,
    most_by_adding: float = math.inf,
    below: Callable[[Direction], Sequence[Source]] | None = None,
) -> Interval:
    """Bounds on ε(δ) of a run, over both directions.

    Args:
        sources: the losses that add up to the run's, in one direction.
        delta: δ, strictly between 0 and 1.
        scale: a proven upper bound on ε, in nats, above 0 and finite.
        most_by_adding: a proven upper bound on ε in the direction of adding a unit.
        below: losses that the run's is at least the sum of; None for the same.
    """

    def accountant(direction: Direction) -> Accountant:
        least = None if below is None else tuple(below(direction))
        return Accountant(sources=tuple(sources(direction)), delta=delta, below=least)

    removing = accountant("remove").bounds(scale)
    if most_by_adding <= removing.low:
        return removing
    adding, scale = accountant("add"), min(scale, most_by_adding)
    if adding.search(scale)[1] <= removing.high:
        return removing
    added = adding.bounds(scale)
    high = max(removing.high, added.high)
    return Interval(low=max(removing.low, added.low), estimate=high, high=high)


def upper_interval(sources: Callable[[Direction], Sequence[Source]], *, delta: float, scale: float) -> Interval:
    """`interval` where nothing is known from below: its lower end is 0."""
    directions: tuple[Direction, Direction] = ("remove", "add")
    high = max(Accountant(sources=tuple(sources(one)), delta=delta).search(scale)[1] for one in directions)
    return Interval(low=0.0, estimate=high, high=high)


def _sources(mechanism: Mechanism) -> Callable[[Direction], list[Source]]:
    check_sampled(mechanism)

    def steps(direction: Direction) -> list[Source]:
        step = Subsampled(rate=mechanism.sampling_rate, sigma=mechanism.relative_noise, direction=direction)
        return [Steps(step=step, times=mechanism.steps)]

    return steps


def most_by_adding(mechanism: Mechanism) -> float:
    """T log(1/(1−q)), the largest privacy loss that adding a unit can have under Poisson sampling, rounded up."""
    return -mechanism.steps * math.log1p(-mechanism.sampling_rate) * (1 + 1e-12)


def check_sampled(mechanism: Mechanism) -> None:
    """Refuse what is not a Poisson-subsampled mechanism with a step.

    Raises:
        PrivacyError: it is not.
    """
    if mechanism.sampling != "poisson" or mechanism.sampling_rate == 1 or mechanism.steps == 0:
        raise PrivacyError(
            f"the privacy loss distribution needs Poisson sampling with a rate below 1 and a step, got {mechanism!r}"
        )


def upper_delta(mechanism: Mechanism, *, epsilon: float, delta: float) -> float:
    """A proven δ at ε of the Poisson-subsampled Gaussian, sharp where it is about `delta`: for searches.

    Args:
        mechanism: Poisson sampling with 0 < q < 1 and at least one step.
        epsilon: ε in nats, above 0.
        delta: the δ that is sought, strictly between 0 and 1.

    Raises:
        PrivacyError: the mechanism is not a Poisson-subsampled one.
    """
    sources = _sources(mechanism)

    def one(direction: Direction) -> float:
        return Accountant(sources=tuple(sources(direction)), delta=delta).suited(epsilon).delta_upper(epsilon)

    found = one("remove")
    return found if most_by_adding(mechanism) <= epsilon else max(found, one("add"))


def upper(mechanism: Mechanism, *, delta: float, scale: float) -> float:
    """A proven ε: about that of `epsilon(…).high`, without the search for the lower end; the arguments are the same."""
    check_open_probability(delta=delta)
    return upper_interval(_sources(mechanism), delta=delta, scale=scale).high


def epsilon(mechanism: Mechanism, *, delta: float, scale: float) -> Interval:
    """Bounds on ε(δ) of the Poisson-subsampled Gaussian from its privacy loss distribution.

    Args:
        mechanism: Poisson sampling with 0 < q < 1 and at least one step.
        delta: δ, strictly between 0 and 1.
        scale: a proven upper bound on ε, in nats, above 0 and finite; it sets the first grid.

    Returns:
        `high` is a proven ε, never above `scale`; `low` a proven lower bound, usually 0.2 % below; `estimate`
        is `high`.

    Raises:
        InvalidValueError: `delta` outside its range.
        PrivacyError: the mechanism is not a Poisson-subsampled one.
    """
    check_open_probability(delta=delta)
    return interval(_sources(mechanism), delta=delta, scale=scale, most_by_adding=most_by_adding(mechanism))
