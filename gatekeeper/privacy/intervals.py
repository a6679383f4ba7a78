"""Masses of intervals under a Gaussian and under mixtures, as logarithms with bounds on their errors.

Logarithms, because at δ = 1e-300 the tails are as small as that; error bounds, because whoever discretises a loss
must know by how much to round it up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special as sc
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-53
SLACK = 16 * UNIT_ROUNDOFF  # bounds the rounding error of a handful of operations, each below one or two roundoffs


@dataclass(frozen=True, kw_only=True, slots=True)
class Masses:
    """Logarithms of the masses of intervals, and bounds on their errors.

    Attributes:
        logs: one logarithm for each interval; −∞ for an empty one.
        error: how far each may be from the true one.
    """

    logs: Array
    error: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The masses of intervals of outputs under P and under Q."""

    p: Masses
    q: Masses


def gaussian_masses(low: Array, high: Array) -> Masses:
    """log(Φ(high) − Φ(low)) on the side of the smaller tail.

    Intervals too narrow for floating point get a mass above their own and an error that says so.
    """
    flip = low > 0
    larger = np.asarray(sc.log_ndtr(np.where(flip, -low, high)), dtype=float)
    smaller = np.asarray(sc.log_ndtr(np.where(flip, -high, low)), dtype=float)
    empty = np.isneginf(larger)
    gap = np.where(empty, 0.0, larger - np.where(empty, 0.0, smaller))
    tied = (gap == 0) & (low < high) & ~empty
    gap = np.where(tied, SLACK * (1 - np.where(tied, smaller, 0.0)), gap)
    finite = np.isfinite(smaller) & (gap > 0)
    relative = np.where(finite, 1 - smaller, 0.0) / np.expm1(np.where(finite, np.minimum(gap, 700.0), 1.0))
    error = SLACK * (1 + np.where(empty, 0.0, -larger) + relative)
    return Masses(logs=larger + np.log(-np.expm1(-gap)), error=np.where(tied, 1.0, error))


def mixture(*weighted: tuple[float, Masses]) -> Masses:
    """The masses under a mixture.

    Args:
        weighted: (logarithm of the weight, masses of the part), for each part; weights that add up to at most 1.
    """
    parts = [log_weight + masses.logs for log_weight, masses in weighted]
    mixed = np.logaddexp.reduce(parts)
    known = np.isfinite(mixed)
    size = np.where(known, mixed, 0.0)
    shares = [np.exp(np.where(known, part, -np.inf) - size) for part in parts]
    error = sum((share * masses.error for share, (_, masses) in zip(shares, weighted, strict=True)), np.zeros(1))
    return Masses(logs=mixed, error=error - SLACK * (size - 1))
