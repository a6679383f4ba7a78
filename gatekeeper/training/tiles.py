"""The normal density covered by 2¹⁶ tiles of one area, so that a uniform point beneath it costs one look into a table.

The abscissa of a uniform point beneath a density has that density. Here the point comes by rejection from pieces of
one area that cover the curve, as in Marsaglia and Tsang 2000, "The ziggurat method for generating random variables":
draw a tile, draw a point in it, and start again where the point lies above the curve. Most tiles lie beneath the
curve altogether, and for those any point will do.

A tile is w wide and H high, with w = 2⁻⁶ and H = 1038·2⁻²⁰: its area is a fraction of two whole numbers, and no
table's rounding makes one piece likelier than another. Cell j of the abscissa is [j, j + 1)·w, for −352 ≤ j < 352, up
to |x| = 5.5; there tile k reaches from kH to (k + 1)H. Three kinds of tiles, in this order:

- *certain*, wholly beneath the curve: (k + 1)H ≤ φ at the cell's outer end;
- *straddling*: those above, up to kH ≥ φ at the cell's inner end, and as many beyond as fill the table;
- the last tile stands for both tails, |x| > 5.5, whose mass 2Q(5.5) = 3.8·10⁻⁸ is less than its area.

Taking a certain tile for a straddling one costs time only. So φ is compared with a margin, 2⁻⁴⁰ of it, far beyond the
error of `math.exp`, and the table is right whatever that error is within it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INDEX_BITS = 16
OFFSET_BITS = 48
CELL_BITS = 6  # w = 2^−6
ABSCISSA_BITS = CELL_BITS + OFFSET_BITS
CELLS = 352  # on either side of 0

# H = HEIGHT·2^−HEIGHT_BITS; with 1037 the straddling tiles would not fit.
HEIGHT, HEIGHT_BITS = 1038, 20

TAIL = (1 << INDEX_BITS) - 1

# φ(0)/H: the curve's height in tiles.
PEAK = 2.0**HEIGHT_BITS / HEIGHT / math.sqrt(2 * math.pi)

_MARGIN = 2.0**-40


class Tiles(NamedTuple):
    """What is looked up by a tile's index.

    Attributes:
        origins: the left end in steps of 2⁻⁵⁴, less the index's own bits of a word: origin + word, modulo 2⁶⁴, is the
            abscissa.
        floors: k for a straddling tile, −inf for a certain one (any point is beneath the curve), NaN for the tail.
        certain: how many tiles are certain: they come first.
    """

    origins: NDArray[np.int64]
    floors: NDArray[np.float64]
    certain: int


@cache
def tiles() -> Tiles:
    """The table; computed once."""
    certain: list[int] = []
    straddling: list[tuple[int, int]] = []
    for cell in range(CELLS):
        beneath = math.floor(_curve(cell + 1) * (1 - _MARGIN))
        above = math.ceil(_curve(cell) * (1 + _MARGIN))
        for side in (cell, -cell - 1):
            certain += [side] * beneath
            straddling += [(side, k) for k in range(beneath, above)]
    top = math.ceil(PEAK * (1 + _MARGIN))
    straddling += [(0, top)] * (TAIL - len(certain) - len(straddling))
    cells = [*certain, *(cell for cell, _ in straddling), 0]
    floors = [-math.inf] * len(certain) + [float(k) for _, k in straddling] + [math.nan]
    origins = (np.array(cells, dtype=np.int64) - np.arange(len(cells))) << OFFSET_BITS
    return Tiles(origins=origins, floors=np.array(floors), certain=len(certain))


def _curve(cell: int) -> float:
    """φ(cell·w)/H."""
    return PEAK * math.exp(-((cell * 2.0**-CELL_BITS) ** 2) / 2)
