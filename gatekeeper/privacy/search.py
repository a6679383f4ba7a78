"""Where a function changes sign, and where it is least, on an interval.

scipy.optimize has both, by the same algorithms; to load it costs as much as all else that a re-judgement computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# The smaller part of a golden section; and what a flat bottom can be told apart by, relatively.
_SMALLER, _ROOT_ROUNDOFF = (3 - math.sqrt(5)) / 2, math.sqrt(2.2e-16)
# Evaluations after which something is wrong: halves alone take 60 for any sign change that float64 can tell.
_MOST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A function's value at a point.

    Attributes:
        at: the point.
        value: the function there.
    """

    at: float
    value: float


def crossing(
    function: Callable[[float], float],
    low: float,
    high: float,
    *,
    absolute: float = 0.0,
    relative: float = 1e-14,
    at_most: int | None = None,
) -> float:
    """A point beside which a function changes sign: by interpolation where that pays, by halves where it doesn't.

    Brent (1973), "Algorithms for minimization without derivatives", section 4.2.

    Args:
        function: not of one sign at both ends; elsewhere it may jump.
        low: one end.
        high: the other.
        absolute: how near the change must be, at least 0.
        relative: likewise, relative to the point; at least 2⁻⁵².
        at_most: after so many evaluations, beside those at the ends, the nearest point so far is returned; None: the
            change of sign must be found.

    Raises:
        ArithmeticError: the function has one sign at both ends, or is not a number somewhere, or the change of sign
            isn't found.

    >>> round(crossing(lambda x: x * x - 2, 0.0, 2.0), 12)
    1.414213562373
    """
    last, best = Sample(at=low, value=function(low)), Sample(at=high, value=function(high))
    if not (last.value <= 0 <= best.value or best.value <= 0 <= last.value):
        raise ArithmeticError(f"no change of sign between {low} ({last.value}) and {high} ({best.value})")
    if last.value == 0:
        return low
    across, step, before = last, best.at - last.at, best.at - last.at
    for _ in range(_MOST if at_most is None else at_most):
        if 0 not in (last.value, best.value) and (last.value < 0) != (best.value < 0):
            across, step, before = last, best.at - last.at, best.at - last.at
        if abs(across.value) < abs(best.value):
            last, best, across = best, across, best
        near, half = (absolute + relative * abs(best.at)) / 2, (across.at - best.at) / 2
        if best.value == 0 or abs(half) < near:
            return best.at
        pays = abs(before) > near and abs(best.value) < abs(last.value)
        tried = _interpolated(best, last, across) if pays else math.inf
        if 2 * abs(tried) < min(abs(before), 3 * abs(half) - near):
            step, before = tried, step
        else:
            step = before = half
        last, point = best, best.at + (step if abs(step) > near else math.copysign(near, half))
        best = Sample(at=point, value=function(point))
        if math.isnan(best.value):
            raise ArithmeticError(f"no number at {point}, where a change of sign is sought")
    if at_most is None:
        raise ArithmeticError(f"no change of sign found between {low} and {high}")
    return best.at if abs(best.value) < abs(across.value) else across.at


def _interpolated(best: Sample, last: Sample, across: Sample) -> float:
    """How far from the best point the line through two points, or the inverse parabola through three, is 0."""
    if last.at == across.at:
        return -best.value * (best.at - last.at) / (best.value - last.value)
    slope = (last.value - best.value) / (last.at - best.at)
    other = (across.value - best.value) / (across.at - best.at)
    return -best.value * (across.value * other - last.value * slope) / (other * slope * (across.value - last.value))


def least(function: Callable[[float], float], low: float, high: float, *, tolerance: float) -> Sample:
    """Where a function with one valley is least: steps to the bottom of a parabola, or golden sections.

    Brent (1973), "Algorithms for minimization without derivatives", section 5.8.

    Args:
        function: falls, then rises.
        low: one end of the interval.
        high: the other, above it.
        tolerance: how near the bottom must be, above 0; a bottom is flat, and no nearer told than to √ε of itself.

    >>> round(least(lambda x: (x - 1) ** 2, 0.0, 4.0, tolerance=1e-6).at, 5)
    1.0
    """
    start = low + _SMALLER * (high - low)
    best = second = third = Sample(at=start, value=function(start))
    step = before = 0.0
    while True:
        middle = (low + high) / 2
        near = _ROOT_ROUNDOFF * abs(best.at) + tolerance / 3
        if abs(best.at - middle) <= 2 * near - (high - low) / 2:
            return best
        bottom = _bottom(best, second, third) if abs(before) > near else math.nan
        if abs(bottom) < abs(before) / 2 and low < best.at + bottom < high:
            step, before = bottom, step
            if min(best.at + step - low, high - best.at - step) < 2 * near:
                step = math.copysign(near, middle - best.at)
        else:
            before = (low if best.at >= middle else high) - best.at
            step = _SMALLER * before
        point = best.at + math.copysign(max(abs(step), near), step)
        tried = Sample(at=point, value=function(point))
        if tried.value <= best.value:
            low, high = (best.at, high) if point >= best.at else (low, best.at)
            best, second, third = tried, best, second
            continue
        low, high = (point, high) if point < best.at else (low, point)
        if tried.value <= second.value or second.at == best.at:
            second, third = tried, second
        elif tried.value <= third.value or third.at in (best.at, second.at):
            third = tried


def _bottom(best: Sample, second: Sample, third: Sample) -> float:
    """How far from the best point the parabola through three is at its bottom; nan where they lie on a line."""
    r = (best.at - second.at) * (best.value - third.value)
    q = (best.at - third.at) * (best.value - second.value)
    p, q = (best.at - third.at) * q - (best.at - second.at) * r, 2 * (q - r)
    return 0.0 - p / q if q else math.nan  # never −0, which would turn a step around
