"""Whole numbers that are distributed exactly as a rounded Gaussian: N = round(s·Z), Z an exact standard normal.

A float64 normal is not a Gaussian: it has few values, and added to a sum it leaves outputs that other sums can't give
(Mironov 2012, "On significance of the least significant bits for differential privacy"). Here Z is a real number, of
which as many bits are computed as it takes to round it. For a whole number S, S + round(s·Z) = round(S + s·Z): what
leaves is a rounding of the Gaussian mechanism's real output, and the analysis of that mechanism holds with no δ added.

Z is the abscissa of a uniform point beneath the normal density, found among equal tiles (see `tiles`). One word of 64
bits decides nearly every draw: 16 bits choose the tile, 48 are the first of the place within its width, so that x lies
in [X, X + 1)·2⁻⁵⁴ for a known whole number X. In 41 draws of 42 the tile lies wholly beneath the curve: no function
is evaluated, and s·x is rounded where all of the interval rounds alike. Other words are set aside, and settled with a
second one for the place within the height. What float64 can't settle is settled by further bits of the same places
(as in Karney 2016, "Sampling exactly from the normal distribution"): see `exact_cell`.

*The margin of rounding* is proven, from IEEE 754's conversion and product alone. x moves within 2⁻⁵⁴; |x| ≤ 5.5;
converting X and multiplying it by s·2⁻⁵⁴ err by 2⁻⁵³ each, relatively. So the product y is within
s·2⁻⁵⁴(1 + 4·5.5 + 1) < s·2⁻⁴⁹ of s·x, and where y lies nearer than ½ − s·2⁻⁴⁹ to a whole number, that is round(s·x).
(y less that number is exact. From |y| = 2⁵² on all y are whole, but there s·2⁻⁴⁹ > ½: nothing passes.) Of the draws
s·2⁻⁴⁸ are left to whole numbers in Python: one in 2²⁸ at s = 2²⁰, one in 2¹⁸ at 2³⁰, all from 2⁴⁸ on.

*The margin of the curve* rests on `numpy.exp` too, for the draws set aside. φ(x)/H is at most 403. The roundings of its
argument, factor and ordinate, and x's interval, move it by less than 2⁻⁴² tiles; a margin of 2⁻³⁰ tiles leaves room for
an exponential that is wrong by 2⁻³⁹ of itself, 2¹³ units in the last place. That it isn't is not proven, but measured
against mpmath in the tests: everything together is wrong by less than 2⁻⁴² tiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_integer
from gatekeeper.errors import InvalidValueError
from gatekeeper.training.exact_cell import exact_draw, signed
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.tiles import ABSCISSA_BITS, OFFSET_BITS, PEAK, tiles

# Of s·x, relative to s.
ROUNDING_MARGIN = 2.0**-49

# Of the curve, in heights of a tile.
CURVE_MARGIN = 2.0**-30

# So that 16 standard deviations fit into 62 bits.
LARGEST_SCALE = 2.0**58

# Words at once: the arrays of a block stay in a core's cache.
_BLOCK = 1 << 15

_SHIFT = np.uint64(OFFSET_BITS)


def rounded_normals(count: int, *, scale: float, stream: SecretStream) -> NDArray[np.int64]:
    """Independent draws of round(s·Z).

    A draw beyond ±2⁶³, which takes 32 standard deviations even at the largest scale, would wrap around: a function
    of the released value alone, so that privacy does not rest on its never happening.

    Args:
        count: how many, at least 0. Some 10⁵ to 10⁶ at once are fastest.
        scale: s, the standard deviation in grid steps, in [1, 2⁵⁸].
        stream: source of the bits.

    Raises:
        InvalidValueError: the scale is outside its range.
    """
    check_integer(count=count, at_least=0)
    if not 1 <= scale <= LARGEST_SCALE:
        raise InvalidValueError(f"scale must lie in [1, 2^58], got {scale!r}")
    drawn = np.empty(count, dtype=np.int64)
    words = np.empty(min(count, _BLOCK), dtype=np.uint64)
    left, places = [words[:0]], [drawn[:0]]
    for start in range(0, count, _BLOCK):
        block = drawn[start : start + _BLOCK]
        stream.fill(words[: len(block)])
        aside = _draw_certain(words[: len(block)], drawn=block, scale=scale)
        left.append(words[aside])
        places.append(aside + start)
    _settle(np.concatenate(left), np.concatenate(places), drawn=drawn, scale=scale, stream=stream)
    return drawn


def from_words(words: NDArray[np.uint64], *, scale: float, stream: SecretStream) -> NDArray[np.int64]:
    """round(s·Z) from one word each: the tile's index in the highest 16 bits, the place within its width below.

    Args:
        words: uniform, shape (n,).
        scale: s, in [1, 2⁵⁸].
        stream: further words: first one for each draw set aside, then as they are needed.
    """
    drawn = np.empty(len(words), dtype=np.int64)
    aside = _draw_certain(words, drawn=drawn, scale=scale)
    _settle(words[aside], aside, drawn=drawn, scale=scale, stream=stream)
    return drawn


def curve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """φ(x)/H: the curve, in heights of a tile."""
    heights: NDArray[np.float64] = np.exp(x * x * -0.5) * PEAK
    return heights


def _draw_certain(words: NDArray[np.uint64], *, drawn: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    """Overwrites all of `drawn`, and says where that settles nothing. The hot loop: arrays are used again in place."""
    table = tiles()
    indices = (words >> _SHIFT).view(np.int64)  # "wrap" below is the fastest of `take`'s modes: all are in range
    open_ = indices >= table.certain
    abscissas = np.take(table.origins, indices, mode="wrap")
    abscissas += words.view(np.int64)
    products = abscissas.astype(np.float64)
    products *= scale * 2.0**-ABSCISSA_BITS
    cells = np.rint(products, out=abscissas.view(np.float64))
    np.copyto(drawn, cells, casting="unsafe")
    products -= cells
    open_ |= np.abs(products, out=products) >= 0.5 - ROUNDING_MARGIN * scale
    return np.flatnonzero(open_)


def _settle(
    words: NDArray[np.uint64],
    places: NDArray[np.int64],
    *,
    drawn: NDArray[np.int64],
    scale: float,
    stream: SecretStream,
) -> None:
    """Overwrites the draws at `places`, which `words` left open; new words replace those whose points are refused."""
    if not len(words):
        return
    table, rises = tiles(), stream.words(len(words))
    indices = (words >> _SHIFT).view(np.int64)
    x = (table.origins[indices] + words.view(np.int64)).astype(np.float64) * 2.0**-ABSCISSA_BITS
    ordinates = (rises >> np.uint64(1)).view(np.int64) * 2.0**-63 + table.floors[indices]
    depths = curve(x) - ordinates
    refused = depths < -CURVE_MARGIN
    products = x * scale
    cells = np.rint(products)
    drawn[places] = cells.astype(np.int64)
    settled = (depths > CURVE_MARGIN) & (np.abs(products - cells) < 0.5 - ROUNDING_MARGIN * scale)
    for i in np.flatnonzero(~(settled | refused)):
        cell = exact_draw(int(words[i]), int(rises[i]), scale=scale, more_bits=lambda: int(stream.words(1)[0]))
        if cell is None:
            refused[i] = True
        else:
            drawn[places[i]] = signed(cell)
    again = places[np.flatnonzero(refused)]
    drawn[again] = from_words(stream.words(len(again)), scale=scale, stream=stream)
