"""Random numbers that are the same on every machine and under every version of NumPy.

NumPy promises to keep the output of its bit generators, but not that of the distributions built on them (NEP 19), and
the C library's sine or logarithm may differ in the last bit. So everything here is made of raw bits by
operations that IEEE 754 rounds correctly: + − × ÷ and the square root.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_DOUBLE_BITS = 53
_PIECE_BITS = 16


class Stream:
    """A stream of random numbers for one patient of one synthetic set.

    Args:
        seed: the set's seed.
        index: the patient's number; streams of different numbers are independent.
    """

    def __init__(self, *, seed: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence((seed, index)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number, uniform in [low, high)."""
        return low + (high - low) * (int(self._bits.random_raw()) >> (64 - _DOUBLE_BITS)) * 2.0**-_DOUBLE_BITS

    def integer(self, low: int, high: int) -> int:
        """One whole number, uniform in low … high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def choice(self, weights: tuple[float, ...]) -> int:
        """An index, with probability in proportion to its weight."""
        left = self.uniform() * sum(weights)
        for index, weight in enumerate(weights[:-1]):
            left -= weight
            if left < 0:
                return index
        return len(weights) - 1

    def direction(self) -> complex:
        """A unit vector of the plane, its angle nearly uniform: (1 + it)² / (1 + t²), with either sign."""
        t = self.uniform(-1.0, 1.0)
        sign = 1.0 if self.uniform() < 0.5 else -1.0
        return complex(sign * (1 - t * t) / (1 + t * t), sign * 2 * t / (1 + t * t))

    def normal(self) -> float:
        """One number, nearly standard normal; see `normals`."""
        return float(self.normals(1)[0])

    def normals(self, count: int) -> NDArray[np.float64]:
        """Nearly standard normal numbers, within ±3.5: sums of four uniform ones (Irwin–Hall)."""
        raw: NDArray[np.uint64] = self._bits.random_raw(count)
        mask = np.uint64(2**_PIECE_BITS - 1)
        pieces = [((raw >> np.uint64(shift)) & mask).astype(np.float64) for shift in range(0, 64, _PIECE_BITS)]
        total: NDArray[np.float64] = pieces[0] + pieces[1] + pieces[2] + pieces[3]
        normals: NDArray[np.float64] = (total - 2 * (2**_PIECE_BITS - 1)) * (math.sqrt(3.0) / 2**_PIECE_BITS)
        return normals
