"""Whole numbers that are distributed exactly as a rounded Gaussian: N = round(s·Z), Z an exact standard normal.

A float64 normal is not a Gaussian: it has few values, and added to a sum it leaves outputs that other sums can't give
(Mironov 2012, "On significance of the least significant bits for differential privacy"). Here Z is a real number, of
which as many bits are computed as it takes to round it. For a whole number S, S + round(s·Z) = round(S + s·Z): what
leaves is a rounding of the Gaussian mechanism's real output, and the analysis of that mechanism holds with no δ added.

One word of 64 bits decides nearly every draw: a sign, and 63 bits of the tail probability p in (0, ½), |Z| = Q⁻¹(p).
float64 computes Q⁻¹ to within a margin; where both ends of the margin round alike, the draw is decided. Else
`exact_cell` decides it.

*The margin.* p lies in [k, k + 1)·2⁻⁶⁴. Mills' ratio gives φ(z) ≥ √(2/π)·Q(z) for z ≥ 0, hence dz/dp = 1/φ(z) is at
most √(π/2)/p, and the width of p's cell moves z by at most √(π/2)/k ≤ 1.26·2⁻⁴⁵ where k ≥ 2⁴⁵. That leaves
0.37·2⁻⁴⁴ for float64: rounding k moves z by less than √(π/2)·2⁻⁵³, products and sums by a few 2⁻⁵³(1 + z), and
`ndtri` errs by less than 2⁻⁴⁸(1 + z) (not proven: measured against mpmath in the tests, with 2⁻⁴⁹ as the worst).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from gatekeeper.core.checks import check_integer
from gatekeeper.errors import InvalidValueError
from gatekeeper.training.exact_cell import exact_cell
from gatekeeper.training.secret_stream import SecretStream

# Of |Z|, relative to 1 + |Z|.
MARGIN = 2.0**-44

# Tail probabilities below 2⁴⁵·2⁻⁶⁴ have cells wider than the margin pays for; one draw in 2¹⁸ has one.
WIDE = 1 << 45

# So that 16 standard deviations fit into 62 bits.
LARGEST_SCALE = 2.0**58

_BLOCK = 1 << 14


def rounded_normals(count: int, *, scale: float, stream: SecretStream) -> NDArray[np.int64]:
    """Independent draws of round(s·Z).

    A draw beyond ±2⁶³, which takes 32 standard deviations even at the largest scale, would wrap around: a function
    of the released value alone, so that privacy does not rest on its never happening.

    Args:
        count: how many, at least 0.
        scale: s, the standard deviation in grid steps, in [1, 2⁵⁸].
        stream: source of the bits.

    Raises:
        InvalidValueError: the scale is outside its range.
    """
    check_integer(count=count, at_least=0)
    if not 1 <= scale <= LARGEST_SCALE:
        raise InvalidValueError(f"scale must lie in [1, 2^58], got {scale!r}")
    drawn = np.empty(count, dtype=np.int64)
    for start in range(0, count, _BLOCK):
        block = drawn[start : start + _BLOCK]
        block[:] = from_words(stream.words(len(block)), scale=scale, stream=stream)
    return drawn


def from_words(words: NDArray[np.uint64], *, scale: float, stream: SecretStream) -> NDArray[np.int64]:
    """round(s·Z) from one word each: the sign in the lowest bit, the others the tail probability's first bits.

    Args:
        words: uniform, shape (n,).
        scale: s, in [1, 2⁵⁸].
        stream: further bits for the draws that one word doesn't decide.
    """
    tails = (words >> np.uint64(1)).view(np.int64)
    magnitudes = -ndtri(np.maximum(tails, 1) * 2.0**-64)
    margins = MARGIN * (1 + magnitudes)
    cells = np.floor(scale * (magnitudes + margins) + 0.5)
    undecided = (np.floor(scale * (magnitudes - margins) + 0.5) != cells) | (tails < WIDE)
    rounded = cells.astype(np.int64)
    for index in np.flatnonzero(undecided):
        cell = exact_cell(int(tails[index]), scale=scale, more_bits=lambda: int(stream.words(1)[0]))
        rounded[index] = (cell + 2**63) % 2**64 - 2**63
    signed: NDArray[np.int64] = np.where(words & np.uint64(1), -rounded, rounded)
    return signed
