"""One release of the Gaussian mechanism as a loss that can be put on a grid: the same in both directions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatekeeper.privacy.intervals import Array, Cells, gaussian_masses


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianStep:
    """P = N(μ, 1) against Q = N(0, 1): the loss is μx − μ²/2 at the output x.

    Attributes:
        mu: μ, sensitivity over noise, above 0.
    """

    mu: float

    @property
    def rising(self) -> bool:
        """The loss grows with the output."""
        return True

    def output(self, losses: Array) -> Array:
        """The output with the given privacy loss."""
        return np.asarray(losses / self.mu + self.mu / 2, dtype=float)

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which P has at most `tail` on each side, by Φ(−z) ≤ exp(−z²/2)."""
        reach = self.mu * math.sqrt(-2 * math.log(tail))
        return self.mu**2 / 2 - reach, self.mu**2 / 2 + reach

    def cells(self, low: Array, high: Array) -> Cells:
        """The masses of the intervals [low, high] of outputs under P and under Q."""
        return Cells(p=gaussian_masses(low - self.mu, high - self.mu), q=gaussian_masses(low, high))
