"""One step as it looks to an adversary who knows the target's gradient up to its sign only.

Along the target's gradient a step releases x = ±B + σz in multiples of what one unit can change, B ~ Bernoulli(q):

    present: P± = (1−q) N(0, σ²) + q N(±1, σ²),    absent: Q = N(0, σ²).

Derivation. The adversary fixes a test of T steps without knowing their signs, and is judged by its power against the
least favourable ones. Turning any x_t into −x_t leaves Q as it is and permutes the alternatives, so averaging a test
over all turns keeps its level and does not lower its least power: a best test depends on |x_1|, …, |x_T| alone, and
P's distribution of |x| is the same for both signs. So the power is exactly that of telling the T-fold product of

    P = (1−q) N(0, σ²) + q ½[N(1, σ²) + N(−1, σ²)]    from    Q = N(0, σ²),

whose loss log(1 − q + q e^{−1/2σ²} cosh(x/σ²)) grows with |x|. An adversary who also knows how the signs of the
steps relate can turn each x_t at random and is then this one: it is at least as strong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatekeeper.privacy.intervals import Array, Cells, Masses, gaussian_masses, mixture

_LARGE = 50.0  # e^{−50} is below a unit of roundoff


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded:
    """One step of the Poisson-subsampled Gaussian, the unit removed, whose output is |x|.

    Attributes:
        rate: q in (0, 1].
        sigma: noise multiplier, above 0.
    """

    rate: float
    sigma: float

    @property
    def rising(self) -> bool:
        """The loss grows with |x|."""
        return True

    @property
    def _half_energy(self) -> float:
        return 0.5 / self.sigma**2

    def loss(self, x: float) -> float:
        """The privacy loss in nats at the output |x|, without cancellation where it is small."""
        scaled = abs(x) / self.sigma**2
        if scaled < 1:
            log_cosh = math.log1p(2 * math.sinh(scaled / 2) ** 2)
        else:
            log_cosh = scaled + math.log1p(math.exp(-2 * scaled)) - math.log(2)
        exponent = log_cosh - self._half_energy
        if exponent > _LARGE:
            return math.log(self.rate) + exponent
        return math.log1p(self.rate * math.expm1(exponent)) if self.rate < 1 else exponent

    def output(self, losses: Array) -> Array:
        """The output |x| with the given privacy loss; 0 for losses that no output reaches.

        |x| = σ² arccosh(e^a) with a = 1/2σ² + log(1 + (e^L − 1)/q), in a form that neither overflows nor cancels.
        """
        if self.rate == 1:
            exponents = losses
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                exact = np.log1p(np.expm1(np.minimum(losses, _LARGE)) / self.rate)
            exponents = np.where(losses > _LARGE, losses - math.log(self.rate), exact)
            exponents = np.where(np.isnan(exponents), -np.inf, exponents)
        excess = np.maximum(exponents + self._half_energy, 0.0)
        return np.asarray(self.sigma**2 * (excess + np.log1p(np.sqrt(-np.expm1(-2 * excess)))))

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which P has nothing below and at most `tail` above.

        P(|x| ≥ 1 + σz) ≤ 2Φ(−z) ≤ exp(−z²/2).
        """
        return self.loss(0.0), self.loss(1 + self.sigma * math.sqrt(-2 * math.log(tail)))

    def cells(self, low: Array, high: Array) -> Cells:
        """The masses of the intervals [low, high] of |x| under P and under Q; what lies below 0 is empty."""
        low, high = np.maximum(low, 0.0), np.maximum(high, 0.0)
        half = gaussian_masses(low / self.sigma, high / self.sigma)
        base = Masses(logs=half.logs + math.log(2), error=half.error)
        near = gaussian_masses((low - 1) / self.sigma, (high - 1) / self.sigma)
        far = gaussian_masses((low + 1) / self.sigma, (high + 1) / self.sigma)
        with_unit = math.log(self.rate)
        mixed = mixture((_log(1 - self.rate), base), (with_unit, near), (with_unit, far))
        return Cells(p=mixed, q=base)
