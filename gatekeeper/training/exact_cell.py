"""Into which cell of a grid a normal variable falls, decided beyond doubt: as many random bits as it takes.

A standard normal's magnitude is |Z| = Q⁻¹(p), with Q(z) = P(N(0, 1) > z) and p uniform on (0, ½). Cell n of the grid
of scale s holds |Z| in [(n − ½)/s, (n + ½)/s), that is p in (Q((n + ½)/s), Q((n − ½)/s)]. Leading bits of p leave an
interval for it; bits are added until that interval lies in one cell.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
from mpmath import mpf
from scipy.special import ndtri

# A context of its own: mpmath's common one is anybody's to set.
_CONTEXT = mpmath.mp.clone()

# Bits of working precision beyond those of p, and half of them as the margin that pays for rounding.
_GUARD = 64


def exact_cell(tail: int, *, scale: float, more_bits: Callable[[], int]) -> int:
    """round(s·Q⁻¹(p)) for a p that begins with given bits.

    Args:
        tail: the first 64 bits of p in (0, ½), as a whole number in 0 … 2⁶³ − 1.
        scale: s, at least 1.
        more_bits: gives p's next 64 bits, as a whole number.

    Returns:
        The cell, at least 0.
    """
    bits = 64
    while (cell := _cell(tail, bits=bits, scale=scale)) is None:
        tail, bits = tail << 64 | more_bits(), bits + 64
    return cell


def _cell(tail: int, *, bits: int, scale: float) -> int | None:
    """The cell that holds all p in [tail, tail + 1]·2^−bits, or None where there is no one such cell."""
    with _CONTEXT.workprec(bits + _GUARD):
        low, high = (_dyadic(end, bits=bits) for end in (tail, tail + 1))
        cell = int(_CONTEXT.floor(scale * _quantile((low + high) / 2, bits=bits) + 0.5))
        margin = _CONTEXT.ldexp(1, -bits - _GUARD // 2)
        if _upper_tail((cell + _CONTEXT.mpf(0.5)) / scale) * (1 + margin) > low:
            return None
        if cell > 0 and _upper_tail((cell - _CONTEXT.mpf(0.5)) / scale) * (1 - margin) < high:
            return None
        return cell


def _dyadic(numerator: int, *, bits: int) -> mpf:
    """numerator·2^−bits."""
    return _CONTEXT.ldexp(_CONTEXT.mpf(numerator), -bits)


def _upper_tail(z: mpf) -> mpf:
    """Q(z) = erfc(z/√2)/2 to the working precision."""
    return _CONTEXT.erfc(z / _CONTEXT.sqrt(2)) / 2


def _quantile(p: mpf, *, bits: int) -> mpf:
    """Q⁻¹(p) by Newton's method from float64's answer. A proposal: nothing rests on its accuracy."""
    z = _CONTEXT.mpf(-float(ndtri(max(float(p), 1e-300))))
    for _ in range(bits.bit_length()):
        step = (_upper_tail(z) - p) / _CONTEXT.npdf(z)
        z += step
        if abs(step) < _CONTEXT.ldexp(1, -bits):
            break
    return z
