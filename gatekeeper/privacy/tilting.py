"""Exponential tilting of independent losses by one θ: its choice, the moments, and the window that holds the sum.

A loss L on a grid with masses p becomes one with masses p e^{θL}/E[e^{θL}]; the sum of tilted losses is the tilted
sum. Any θ is valid: it only decides where the transform of `convolution` is accurate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatekeeper.privacy.intervals import UNIT_ROUNDOFF, Array
from gatekeeper.privacy.losses import GridLoss
from gatekeeper.privacy.search import least

_GIVEN_AWAY = 2.0  # nats
_SINGLE, _BLOCKS = 64, 200  # grid points that stay as they are about the mode, and blocks beyond, on each side


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A loss on a grid, and how many independent copies of it are added.

    Attributes:
        loss: the loss.
        times: the number of copies, at least 1.
        origin: what is to be added to each copy, in nats.
    """

    loss: GridLoss
    times: int
    origin: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Masses:
    """Values in nats with the logarithms of their masses."""

    losses: Array
    logs: Array
    times: int

    def log_moment(self, theta: float) -> float:
        """Log E[e^{θL}; L < ∞]."""
        exponents = self.logs + theta * self.losses
        largest = float(exponents.max())
        return largest + math.log(float(np.exp(exponents - largest).sum()))

    @property
    def second_moment(self) -> float:
        return float((np.exp(self.logs) * self.losses**2).sum())

    def coarser(self) -> _Masses:
        """Blocks that grow with the distance from the mode, each at its centre of mass: enough to choose θ by."""
        mode, count = int(self.logs.argmax()), len(self.logs)
        apart = np.unique(np.concatenate([np.arange(_SINGLE), np.geomspace(_SINGLE, count + _SINGLE, _BLOCKS)]).round())
        edges = np.concatenate([mode - apart[::-1], mode + apart[1:]]).astype(np.int64)
        starts = np.unique(np.clip(edges, 0, count - 1))
        if len(starts) > count // 2:
            return self
        shifted = np.exp(self.logs - self.logs[mode])
        sums, moments = np.add.reduceat(shifted, starts), np.add.reduceat(shifted * self.losses, starts)
        with np.errstate(under="ignore"):
            logs = np.logaddexp.reduceat(self.logs, starts)
        losses = np.where(sums > 0, moments / np.where(sums > 0, sums, 1.0), self.losses[starts])
        return _Masses(losses=losses, logs=logs, times=self.times)


def _masses(part: Repeated) -> _Masses:
    return _Masses(losses=part.loss.losses, logs=part.loss.log_masses, times=part.times)


def _log_moment(parts: Sequence[_Masses], theta: float) -> float:
    return sum(part.times * part.log_moment(theta) for part in parts)


def _good_theta(parts: Sequence[_Masses], delta: float, width: float) -> float:
    """Somewhat less than the θ with the best bound ε ≤ (log E[e^{θS}] − log δ)/θ, which is quasiconvex in θ.

    The answer stays in the bulk, and the upper tail is lighter. This one gives away `_GIVEN_AWAY` of the best exponent
    and not more, because rare large losses can make the tilted sum jump from far below the answer to far above it
    within a few percent of θ.
    """
    deviation = math.sqrt(sum(part.times * part.second_moment for part in parts)) + width

    def proven(log_theta: float) -> float:
        theta = math.exp(log_theta)
        return (_log_moment(parts, theta) - math.log(delta)) / theta

    ends = (math.log(1e-9 / deviation), math.log(1e3 / deviation))
    found = least(proven, *ends, tolerance=0.005)
    best, epsilon = math.exp(found.at), found.value
    lowest = _log_moment(parts, best) - best * epsilon
    low, high = 0.3 * best, best
    for _ in range(8):
        middle = (low + high) / 2
        enough = _log_moment(parts, middle) - middle * epsilon <= lowest + _GIVEN_AWAY
        low, high = (low, middle) if enough else (middle, high)
    return high


def _best_rate(parts: Sequence[_Masses], theta: float, scale: float, sign: int, outside: float) -> float:
    """The λ whose Chernoff bound leaves the nearest end of the window; `scale` is about where it lies."""
    here = _log_moment(parts, theta)

    def reach(log_rate: float) -> float:
        rate = scale * math.exp(log_rate)
        return (_log_moment(parts, theta + sign * rate) - here - math.log(outside)) / rate

    return scale * math.exp(least(reach, -8.0, 2.0, tolerance=0.02).at)


@dataclass(frozen=True, kw_only=True)
class Tilt:
    """Losses on one grid tilted by one θ.

    Attributes:
        parts: the losses before tilting.
        theta: θ, above 0.
    """

    parts: tuple[Repeated, ...]
    theta: float

    @property
    def width(self) -> float:
        """The distance of grid points, in nats."""
        return self.parts[0].loss.width

    @cached_property
    def _values(self) -> tuple[_Masses, ...]:
        return tuple(_masses(part) for part in self.parts)

    @cached_property
    def _log_moments(self) -> tuple[float, ...]:
        return tuple(values.log_moment(self.theta) for values in self._values)

    @cached_property
    def log_moment(self) -> float:
        """Log E[e^{θS}; S < ∞] of the sum S."""
        return sum(part.times * moment for part, moment in zip(self.parts, self._log_moments, strict=True))

    @cached_property
    def masses(self) -> tuple[Array, ...]:
        """The tilted masses of each loss, adding up to 1."""
        pairs = zip(self._values, self._log_moments, strict=True)
        return tuple(np.exp(values.logs + self.theta * values.losses - moment) for values, moment in pairs)

    @cached_property
    def _means(self) -> tuple[float, ...]:
        return tuple(float(m @ p.loss.indices) for p, m in zip(self.parts, self.masses, strict=True))

    @property
    def centres(self) -> tuple[int, ...]:
        """The most probable grid point of each tilted loss."""
        return tuple(int(part.loss.indices[m.argmax()]) for part, m in zip(self.parts, self.masses, strict=True))

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the tilted sum, in nats."""
        triples = zip(self.parts, self.masses, self._means, strict=True)
        variance = sum(p.times * float(m @ (p.loss.indices - mean) ** 2) for p, m, mean in triples)
        return math.sqrt(variance) * self.width + self.width

    @property
    def relative_error(self) -> float:
        """A bound on the relative error of products of all the tilted masses, and of sums over them."""
        exponent = 0.0
        for part, values, moment in zip(self.parts, self._values, self._log_moments, strict=True):
            finite = values.logs[np.isfinite(values.logs)]
            size = float(np.abs(finite).max()) + self.theta * float(np.abs(values.losses).max()) + abs(moment)
            exponent += 8 * part.times * UNIT_ROUNDOFF * (8 + size)
        return 1e-9 + math.expm1(min(700.0, exponent))

    def window(self, outside: float) -> tuple[int, int]:
        """Grid points (low, high) outside which the tilted sum has at most `outside` on each side.

        Chernoff: P(S ≥ s) ≤ exp(K(θ+λ) − K(θ) − λs) for every λ > 0, with K = log E[e^{θS}], and likewise below.
        """
        coarse = [values.coarser() for values in self._values]
        ends = []
        for sign in (-1, 1):
            rate = sign * _best_rate(coarse, self.theta, 7.4 / self.deviation, sign, outside)
            growth = _log_moment(self._values, self.theta + rate) - self.log_moment
            ends.append((growth - math.log(outside)) / rate / self.width)
        return math.floor(ends[0]) - 1, math.ceil(ends[1]) + 1


def tilt(parts: Sequence[Repeated], *, delta: float, theta: float | None = None) -> Tilt:
    """The losses tilted for δ, or by the given θ."""
    if theta is None:
        theta = _good_theta([_masses(part).coarser() for part in parts], delta, parts[0].loss.width)
    return Tilt(parts=tuple(parts), theta=theta)
