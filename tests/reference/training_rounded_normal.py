"""A Gaussian rounded to whole numbers, the slow and obvious way: mpmath at 400 bits, cell by cell."""

from __future__ import annotations

from fractions import Fraction

import mpmath

CONTEXT = mpmath.mp.clone()
CONTEXT.prec = 400


def upper_tail(z: mpmath.mpf) -> mpmath.mpf:
    """P(N(0, 1) > z)."""
    return CONTEXT.ncdf(-z)


def boundary(cell: int, *, scale: float) -> mpmath.mpf:
    """The tail probability at the lower end of a cell of magnitudes: P(|Z|·scale > cell − ½)/2."""
    return upper_tail((CONTEXT.mpf(cell) - CONTEXT.mpf(0.5)) / scale)


def rounded_magnitude(tail: Fraction, *, scale: float) -> int:
    """round(scale·|Z|) where |Z| has the given tail probability in (0, ½): bisection over the cells."""
    p = CONTEXT.mpf(tail.numerator) / tail.denominator
    low, high = 0, 1
    while boundary(high, scale=scale) >= p:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if boundary(middle, scale=scale) >= p else (low, middle)
    return low


def probability(cell: int, *, scale: float) -> float:
    """P(round(scale·Z) = cell) for a whole number of either sign."""
    low, high = (CONTEXT.mpf(cell) - CONTEXT.mpf(0.5)) / scale, (CONTEXT.mpf(cell) + CONTEXT.mpf(0.5)) / scale
    return float(upper_tail(low) - upper_tail(high))
