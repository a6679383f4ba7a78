"""Variances of single directions as a `Spectrum` of few bands, rounded in the direction that favours the attacker.

A spectrum majorises another of the same energy if its j largest variances add up to at least as much, for every j. The
mean squared error of the read-outs in `shaping` is a concave and symmetric function of the variances, so that a
spectrum that majorises has the smaller error at every noise (Marshall, Olkin and Arnold 2011, "Inequalities", 3.C).
Hence the directions of a group are moved to its two ends, and large variances are rounded up and small ones down.
"""

from __future__ import annotations

import math
from collections import Counter
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.spectrum import Band, Spectrum

_DIGITS = 3
_UP, _DOWN = Context(prec=_DIGITS, rounding=ROUND_CEILING), Context(prec=_DIGITS, rounding=ROUND_FLOOR)
# The most varied directions are bands of their own; groups of two bands each hold the rest of the basis.
_SINGLE, _GROUPS = 16, 15


def _rounded(value: float, context: Context) -> float:
    return float(context.create_decimal(repr(float(value))))


def _ends(group: NDArray[np.float64]) -> list[Band]:
    """The directions of a group at its two ends: as many at the upper one as keep the energy, rounded up."""
    high, low, size = float(group[0]), float(group[-1]), len(group)
    upper = math.ceil((group.sum() - size * low) / (high - low)) if high > low else size
    upper = min(size, max(1, upper))
    bands = [Band(count=upper, variance=_rounded(high, _UP))]
    return bands if upper == size else [*bands, Band(count=size - upper, variance=_rounded(low, _DOWN))]


def banded(variances: NDArray[np.float64], *, rest: float, pixels: int, units: int) -> Spectrum:
    """A spectrum of at most 48 bands.

    Args:
        variances: along the directions of a basis, above 0, shape (directions,), in any order.
        rest: along each of the `pixels` − directions others, above 0.
        pixels: N.
        units: how many held-out units the variances were estimated from.
    """
    falling = -np.sort(-variances)
    bands = [Band(count=1, variance=_rounded(value, _UP)) for value in falling[:_SINGLE]]
    if len(falling) > _SINGLE:
        # Sizes grow geometrically, as variances of images fall with a power of their rank.
        edges = np.unique(np.round(np.geomspace(_SINGLE, len(falling), _GROUPS + 1)).astype(int)).tolist()
        bands += [band for start, end in pairwise(edges) for band in _ends(falling[start:end])]
    if pixels > len(falling):
        bands.append(Band(count=pixels - len(falling), variance=_rounded(rest, _DOWN)))
    counts = Counter[float]()
    for band in bands:
        counts[band.variance] += band.count
    merged = tuple(Band(count=counts[variance], variance=variance) for variance in sorted(counts, reverse=True))
    return Spectrum(bands=merged, units=units)
