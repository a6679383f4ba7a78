"""A Gaussian rounded to whole numbers, the slow and obvious way: fractions, and mpmath at 400 bits."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath

CONTEXT = mpmath.mp.clone()
CONTEXT.prec = 400


def upper_tail(z: mpmath.mpf) -> mpmath.mpf:
    """P(N(0, 1) > z)."""
    return CONTEXT.ncdf(-z)


def height(x: Fraction) -> mpmath.mpf:
    """The normal density at x."""
    return CONTEXT.npdf(CONTEXT.mpf(x.numerator) / x.denominator)


def rounded_point(x: Fraction, y: Fraction, *, scale: float) -> int | None:
    """round(scale·x) for a point beneath the normal density, None for one above."""
    if CONTEXT.mpf(y.numerator) / y.denominator > height(x):
        return None
    return math.floor(Fraction(scale) * x + Fraction(1, 2))


def rounded_tail(p: Fraction, *, scale: float) -> int:
    """round(scale·Q⁻¹(p)) for a p below ½: bisection over the cells."""
    target = CONTEXT.mpf(p.numerator) / p.denominator

    def lower_end(cell: int) -> mpmath.mpf:
        return upper_tail((CONTEXT.mpf(cell) - CONTEXT.mpf(0.5)) / scale)

    low, high = 0, 1
    while lower_end(high) >= target:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lower_end(middle) >= target else (low, middle)
    return low


def probability(cell: int, *, scale: float) -> float:
    """P(round(scale·Z) = cell) for a whole number of either sign."""
    low, high = (CONTEXT.mpf(cell) - CONTEXT.mpf(0.5)) / scale, (CONTEXT.mpf(cell) + CONTEXT.mpf(0.5)) / scale
    return float(upper_tail(low) - upper_tail(high))
