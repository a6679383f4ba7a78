"""Where a function changes sign, and where it is least, on an interval.

scipy.optimize has both. To load it costs as much as all else that a re-judgement computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# 1/φ: the share of an interval that golden-section search keeps (Kiefer 1953).
_GOLDEN = (math.sqrt(5) - 1) / 2


def crossing(
    function: Callable[[float], float],
    low: float,
    high: float,
    *,
    absolute: float = 0.0,
    relative: float = 1e-14,
    evaluations: int = 500,
) -> float:
    """A point beside which a function changes sign: inverse quadratic steps where three points allow them, else halves.

    Chandrupatla (1997), "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
    without using derivatives".

    Args:
        function: not of one sign at both ends; elsewhere it may jump.
        low: one end.
        high: the other.
        absolute: how near the change must be, at least 0.
        relative: likewise, relative to the point; at least 2⁻⁵².
        evaluations: the most that are made, beside those at the ends.

    Returns:
        That end of the last bracket whose value is nearer to 0.

    Raises:
        ArithmeticError: the function has one sign at both ends.

    >>> round(crossing(lambda x: x * x - 2, 0.0, 2.0), 12)
    1.414213562373
    """
    near, far, at_near, at_far = low, high, function(low), function(high)
    if not (at_near <= 0 <= at_far or at_far <= 0 <= at_near):
        raise ArithmeticError(f"no change of sign between {low} ({at_near}) and {high} ({at_far})")
    share = 0.5
    for _ in range(evaluations):
        best = near if abs(at_near) < abs(at_far) else far
        enough = absolute + relative * abs(best)
        if min(abs(at_near), abs(at_far)) == 0 or abs(far - near) <= 2 * enough:
            break
        least = enough / abs(far - near)
        point = near + min(max(share, least), 1 - least) * (far - near)
        value = function(point)
        if (value > 0) == (at_near > 0):
            old, at_old = near, at_near
        else:
            old, at_old, far, at_far = far, at_far, near, at_near
        near, at_near = point, value
        share = _quadratic(near, far, old, at_near, at_far, at_old)
    return near if abs(at_near) < abs(at_far) else far


def _quadratic(near: float, far: float, old: float, at_near: float, at_far: float, at_old: float) -> float:
    """How far on the way from `near` to `far` the inverse parabola through three points is 0; 1/2 where it may turn."""
    xi, phi = (near - far) / (old - far), (at_near - at_far) / (at_old - at_far)
    if not (phi * phi < xi and (1 - phi) ** 2 < 1 - xi):
        return 0.5
    first = at_near / (at_far - at_near) * at_old / (at_far - at_old)
    second = (old - near) / (far - near) * at_near / (at_old - at_near) * at_far / (at_old - at_far)
    return first + second


@dataclass(frozen=True, kw_only=True, slots=True)
class Least:
    """Where a function is least, by what was evaluated.

    Attributes:
        at: the point.
        value: the function there.
    """

    at: float
    value: float


def least(function: Callable[[float], float], low: float, high: float, *, tolerance: float) -> Least:
    """Where a function with one valley is least, by golden sections.

    Args:
        function: falls, then rises.
        low: one end of the interval.
        high: the other, above it.
        tolerance: how wide the last interval may be, at least 0; numbers without others between them end it too.

    >>> round(least(lambda x: (x - 1) ** 2, 0.0, 4.0, tolerance=1e-6).at, 5)
    1.0
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > tolerance and low < left < right < high:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return Least(at=left, value=at_left) if at_left <= at_right else Least(at=right, value=at_right)
