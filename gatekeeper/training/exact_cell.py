"""Draws of round(s·Z) that one word didn't decide, decided beyond doubt: as many random bits as it takes.

Leading bits of a uniform number leave an interval for it. Bits are added until all of the interval has one answer:
whether the point lies beneath the curve (see `tiles`), and which cell of the grid of scale s its abscissa falls into.
The roundings are comparisons of whole numbers; the curve and the tail are mpmath's, to 64 bits more than the interval
is fine, with half of those as the margin that pays for its errors.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
from mpmath import mpf
from scipy.special import ndtri

from gatekeeper.training.tiles import ABSCISSA_BITS, CELL_BITS, CELLS, HEIGHT, HEIGHT_BITS, OFFSET_BITS, TAIL, tiles

# A context of its own: mpmath's common one is anybody's to set.
_CONTEXT = mpmath.mp.clone()

# Bits of working precision beyond those of the interval, and half of them as the margin that pays for rounding.
_GUARD = 64

# Half a tile's area, TAIL_UNIT·2^−TAIL_UNIT_BITS: tail probabilities are uniform up to it.
TAIL_UNIT, TAIL_UNIT_BITS = HEIGHT // 2, HEIGHT_BITS + CELL_BITS

_TAIL_START = CELLS * 2.0**-CELL_BITS


def exact_draw(word: int, rise: int, *, scale: float, more_bits: Callable[[], int]) -> int | None:
    """round(s·x) for the point that begins with given bits, or None where it lies above the curve.

    Args:
        word: the tile's index in the first 16 bits; then the first 48 bits of the place within its width.
        rise: the first 64 bits of the place within its height.
        scale: s, at least 1.
        more_bits: gives the next 64 bits of a place, as a whole number.
    """
    index, offset = word >> OFFSET_BITS, word & ((1 << OFFSET_BITS) - 1)
    if index == TAIL:
        return _tail(offset, scale=scale, more_bits=more_bits)
    abscissa, bits = signed(int(tiles().origins[index]) + word), ABSCISSA_BITS
    if index >= tiles().certain:
        ordinate, rise_bits = (int(tiles().floors[index]) << 64) + rise, 64
        while (beneath := _beneath(abscissa, ordinate, bits=bits, rise_bits=rise_bits)) is None:
            abscissa, bits = abscissa << 64 | more_bits(), bits + 64
            ordinate, rise_bits = ordinate << 64 | more_bits(), rise_bits + 64
        if not beneath:
            return None
    while (cell := rounded(abscissa, bits=bits, scale=scale)) is None:
        abscissa, bits = abscissa << 64 | more_bits(), bits + 64
    return cell


def signed(number: int) -> int:
    """Modulo 2⁶⁴, as int64 has it: in −2⁶³ … 2⁶³ − 1."""
    return (number + 2**63) % 2**64 - 2**63


def rounded(abscissa: int, *, bits: int, scale: float) -> int | None:
    """⌊s·x + ½⌋ for all x in [abscissa, abscissa + 1)·2^−bits, or None where it differs among them."""
    numerator, denominator = scale.as_integer_ratio()
    one = denominator << bits
    low = (2 * numerator * abscissa + one) // (2 * one)
    high = (2 * numerator * (abscissa + 1) + one - 1) // (2 * one)  # the upper end itself is not in the interval
    return low if low == high else None


def _beneath(abscissa: int, ordinate: int, *, bits: int, rise_bits: int) -> bool | None:
    """Whether points lie beneath the curve: x from abscissa·2^−bits, y/H from ordinate·2^−rise_bits, one step each."""
    with _CONTEXT.workprec(rise_bits + _GUARD):
        inner, outer = sorted((_dyadic(end, bits=bits) for end in (abscissa, abscissa + 1)), key=abs)
        low, high = (_dyadic(HEIGHT * end, bits=rise_bits + HEIGHT_BITS) for end in (ordinate, ordinate + 1))
        margin = _CONTEXT.ldexp(1, -rise_bits - _GUARD // 2)
        if high <= _CONTEXT.npdf(outer) * (1 - margin):
            return True
        return False if low >= _CONTEXT.npdf(inner) * (1 + margin) else None


def _tail(offset: int, *, scale: float, more_bits: Callable[[], int]) -> int | None:
    """A draw from the tail's tile: a sign, then a tail probability below half the tile's area, refused above Q(5.5)."""
    negative, tail, bits = offset & 1, offset >> 1, OFFSET_BITS - 1
    while (inside := _in_tail(tail, bits=bits)) is None:
        tail, bits = tail << 64 | more_bits(), bits + 64
    if not inside:
        return None
    while (cell := _cell(tail, bits=bits, scale=scale)) is None:
        tail, bits = tail << 64 | more_bits(), bits + 64
    return -cell if negative else cell


def _in_tail(tail: int, *, bits: int) -> bool | None:
    """Whether p < Q(5.5) for all p in [tail, tail + 1]·2^−bits·(half a tile's area)."""
    if (tail * TAIL_UNIT) >> (bits + TAIL_UNIT_BITS - 25):
        return False  # p ≥ 2⁻²⁵, and Q(5.5) = 1.9·10⁻⁸ is less: seen without mpmath, for nearly all
    with _CONTEXT.workprec(bits + TAIL_UNIT_BITS + _GUARD):
        low, high = _probabilities(tail, bits=bits)
        edge = _upper_tail(_CONTEXT.mpf(_TAIL_START))
        margin = _CONTEXT.ldexp(1, -bits - TAIL_UNIT_BITS - _GUARD // 2)
        if high <= edge * (1 - margin):
            return True
        return False if low >= edge * (1 + margin) else None


def _cell(tail: int, *, bits: int, scale: float) -> int | None:
    """round(s·Q⁻¹(p)) for all p in [tail, tail + 1]·2^−bits·(half a tile's area), or None where it differs.

    Cell n of the grid holds z in [(n − ½)/s, (n + ½)/s), that is p in (Q((n + ½)/s), Q((n − ½)/s)].
    """
    with _CONTEXT.workprec(bits + TAIL_UNIT_BITS + _GUARD):
        low, high = _probabilities(tail, bits=bits)
        cell = int(_CONTEXT.floor(scale * _quantile((low + high) / 2, bits=bits + TAIL_UNIT_BITS) + 0.5))
        margin = _CONTEXT.ldexp(1, -bits - TAIL_UNIT_BITS - _GUARD // 2)
        if _upper_tail((cell + _CONTEXT.mpf(0.5)) / scale) * (1 + margin) > low:
            return None
        if _upper_tail((cell - _CONTEXT.mpf(0.5)) / scale) * (1 - margin) < high:
            return None
        return cell


def _probabilities(tail: int, *, bits: int) -> tuple[mpf, mpf]:
    """Both ends of the interval for the tail probability."""
    low, high = (_dyadic(TAIL_UNIT * end, bits=bits + TAIL_UNIT_BITS) for end in (tail, tail + 1))
    return low, high


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
