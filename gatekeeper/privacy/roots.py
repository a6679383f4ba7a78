"""Roots of decreasing functions, returned from the side that has been evaluated and found safe."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from gatekeeper.privacy.search import crossing

_ABSOLUTE_TOLERANCE = 1e-18


def _root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    return crossing(function, low, high, absolute=_ABSOLUTE_TOLERANCE, relative=max(1e-14, tolerance / 10))


def passing_root(function: Callable[[float], float], *, low: float, high: float, tolerance: float = 1e-13) -> float:
    """The smallest x in [low, high] with function(x) ≤ 0, and never below it.

    Args:
        function: decreasing.
        low: at least 0; returned if the function is not positive there.
        high: at least `low`.
        tolerance: how far above the root the result may be, relative to it.

    Returns:
        A point where the function was evaluated and is at most 0; infinity if it is positive at `high`.

    >>> passing_root(lambda x: 2 - x, low=0.0, high=8.0) >= 2
    True
    """
    function = functools.cache(function)
    if function(low) <= 0:
        return low
    if function(high) > 0:
        return math.inf
    root, step = _root(function, low, high, tolerance), tolerance
    while function(candidate := min(high, root + step * (root + _ABSOLUTE_TOLERANCE))) > 0:
        step *= 4
    return candidate


def failing_root(function: Callable[[float], float], *, low: float, high: float, tolerance: float = 1e-13) -> float:
    """The twin of `passing_root` from below: a point where the function is positive, or `low`.

    >>> failing_root(lambda x: 2 - x, low=0.0, high=8.0) < 2
    True
    """
    function = functools.cache(function)
    if function(low) <= 0:
        return low
    if function(high) > 0:
        return high
    root, step = _root(function, low, high, tolerance), tolerance
    while (candidate := root - step * (root + _ABSOLUTE_TOLERANCE)) > low and function(candidate) <= 0:
        step *= 4
    return max(low, candidate)
