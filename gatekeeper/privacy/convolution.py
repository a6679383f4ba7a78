"""Sums of many independent losses: exponentially tilted, convolved by a Fourier transform, with every error bounded.

The masses of each loss are multiplied by e^{θL}/E[e^{θL}], with one θ for all, convolved with themselves as often as
each loss occurs and with each other, and multiplied back.

Design note. Without the tilt the masses that decide δ = 1e-12 drown in the transform's rounding error, which is
relative to the largest mass. With the θ of a good Chernoff bound the bulk of the tilted sum lies where the answer is:
the error is relative to δ itself, and the window is a few standard deviations whatever the range of the losses. The
bounds on errors are a priori (Higham 2002, "Accuracy and Stability of Numerical Algorithms"), none is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from gatekeeper.errors import InternalError
from gatekeeper.privacy.intervals import UNIT_ROUNDOFF, Array
from gatekeeper.privacy.tilting import Repeated, Tilt, tilt

OUTSIDE = 1e-12  # at most this tilted mass lies outside the window, on each side


@dataclass(frozen=True, kw_only=True)
class LossSum:
    """The tilted sum S of independent losses, on a window of grid points.

    Attributes:
        width: the distance of grid points, in nats.
        theta: θ, above 0.
        log_moment: log E[e^{θS}; S < ∞].
        sums: values of S in nats, increasing.
        masses: the tilted masses P(S = s).
        error: a bound on the Euclidean norm of the error of `masses`.
        relative: a bound on the relative error of the tilted masses before the transform, and of sums over them.
        infinite: at least P(S = ∞).
        shift: how far S may be from the true sum because of rounding, in nats.
        deviation: standard deviation of the tilted sum, in nats.
    """

    width: float
    theta: float
    log_moment: float
    sums: Array
    masses: Array
    error: float
    relative: float
    infinite: float
    shift: float
    deviation: float

    @cached_property
    def _weights(self) -> tuple[Array, Array]:
        """e^{−θih} (1 − e^{−ih}) and e^{−(θ+1)ih} for i = 0, 1, …."""
        distances = np.arange(len(self.sums)) * self.width
        decay = np.exp(-self.theta * distances)
        return decay * -np.expm1(-distances), decay * np.exp(-distances)

    def bracket(self, epsilon: float) -> tuple[float, float]:
        """(value, error) with E[(1 − e^{ε−S})⁺] = e^{log_moment − θε} (value ± error).

        The value is Σ e^{−θ(s−ε)} (1 − e^{ε−s}) P_θ(s).
        With s − ε = ih + f and f the distance from ε to the next grid point this is e^{−θf} times
        Σ e^{−θih} (1 − e^{−ih}) P_θ(s) + (1 − e^{−f}) Σ e^{−(θ+1)ih} P_θ(s): sums of positive terms.
        """
        rising, falling = self._weights
        start = int(np.searchsorted(self.sums, epsilon, side="right"))
        masses, count = self.masses[start:], len(self.sums) - start
        rest = float(self.sums[start]) - epsilon if count else 0.0
        value = float(rising[:count] @ masses) - math.expm1(-rest) * float(falling[:count] @ masses)
        # Cauchy and Schwarz: the weights are at most e^{−θih} at the i-th point beyond ε.
        weights = min(len(self.sums), 1 / -math.expm1(-2 * self.theta * self.width))
        return math.exp(-self.theta * rest) * value, self.error * math.sqrt(weights)

    def _scale(self, epsilon: float) -> float:
        """The Chernoff bound e^{log_moment − θε}."""
        return math.exp(min(700.0, self.log_moment - self.theta * epsilon))

    def delta_upper(self, epsilon: float) -> float:
        """At least δ(ε), where every loss of the sum dominates the true one.

        Args:
            epsilon: ε in nats, any finite number.
        """
        epsilon = epsilon - self.shift
        value, error = self.bracket(epsilon)
        inside = self._scale(epsilon) * (1 + self.relative) * (value + error + 2 * OUTSIDE)
        return min(1.0, inside + self.infinite)

    def delta_lower(self, epsilon: float) -> float:
        """At most δ(ε), where every loss of the sum is dominated by the true one.

        Args:
            epsilon: ε in nats, any finite number.
        """
        epsilon = epsilon + self.shift
        value, error = self.bracket(epsilon)
        return max(0.0, self._scale(epsilon) * (value / (1 + self.relative) - error - 2 * OUTSIDE))


def _power(excess: NDArray[np.complex128], times: int) -> tuple[NDArray[np.complex128], Array]:
    """z^T for z = 1 + w, and a bound on its error, from log|z| = ½ log1p(2 Re w + |w|²) and the angle of z.

    With u a roundoff both are off by at most 42 u |w| where |z| ≥ ½, and the exponential and the angle's sine and
    cosine by 16 u more; where |z| < ½, |z|² is off by 10 u, and T |z|^(T−2) is at most 2.
    """
    if times == 1:
        return 1 + excess, UNIT_ROUNDOFF * (1 + np.abs(excess))
    size = np.abs(excess)
    with np.errstate(divide="ignore"):
        log_modulus = 0.5 * np.log1p(np.maximum(-1.0, 2 * excess.real + size * size))
    modulus = np.exp(times * log_modulus)
    angle = times * np.arctan2(excess.imag, 1 + excess.real)
    error = 64 * UNIT_ROUNDOFF * np.where(log_modulus > -math.log(2), modulus * (1 + times * size), 1.0)
    return modulus * (np.cos(angle) + 1j * np.sin(angle)), error


def transform_error(points: int) -> float:
    """A bound on the relative error of a transform in the Euclidean norm (Higham 2002, theorem 24.2)."""
    return 8 * math.log2(points) * UNIT_ROUNDOFF


def transform_size(points: int) -> int:
    """The next number of the form 2^k·{4, 5, 6, 7}: transforms of such sizes are fast."""
    unit = 1 << max(2, (points - 1).bit_length() - 3)
    return -(-points // unit) * unit


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spectrum:
    """The transform of the sum, each loss folded about its own mean, and a bound on the Euclidean norm of its error."""

    values: NDArray[np.complex128]
    error: float


def _product(tilted: Tilt, points: int) -> _Spectrum:
    """The spectrum of the sum, each loss counted from its most probable point.

    The mass p there has the spectrum p, without a transform: under sparse sampling it is nearly everything. A factor
    z_i known up to a_i, with m_i = |z_i| + a_i, changes Π z_i^T_i by at most a_i T_i m_i^(T_i − 1) times the other
    factors' m_j^T_j. The transform's error has at most 8 log₂(N) roundoffs of the norm (Higham 2002, theorem 24.2),
    √N ‖masses‖, as a whole and so at each frequency: two bounds, of which the smaller counts.
    """
    half = points // 2 + 1
    total: NDArray[np.complex128] = np.ones(half, dtype=np.complex128)
    modulus, rounding, known = np.ones(half), np.zeros(half), []
    for part, masses, centre in zip(tilted.parts, tilted.masses, tilted.centres, strict=True):
        rest = np.bincount((part.loss.indices - centre) % points, weights=masses, minlength=points)
        apart, rest[0] = rest[0] - 1, 0.0
        excess = apart + scipy.fft.rfft(rest)
        transform = transform_error(points) * math.sqrt(points) * float(np.linalg.norm(rest))
        powered, error = _power(excess, part.times)
        at_most = transform + UNIT_ROUNDOFF * float(np.abs(excess).max())
        largest = np.maximum(np.abs(1 + excess) * (1 + 4 * UNIT_ROUNDOFF) + at_most, 1e-300)
        factor = np.maximum(largest**part.times, 1e-300)
        rounding += error / factor
        modulus *= factor
        known.append((part.times * transform, part.times * UNIT_ROUNDOFF * np.abs(excess) / largest, largest))
        total = total * powered
    for _, adding, _ in known:
        rounding += adding
    spread = math.sqrt(2) * float(np.linalg.norm(modulus * rounding))
    for at_most, _, largest in known:
        slope = modulus / largest
        spread += at_most * min(float(slope.max()), math.sqrt(2) * float(np.linalg.norm(slope)))
    spread += 4 * len(known) * UNIT_ROUNDOFF * math.sqrt(2) * float(np.linalg.norm(total))
    return _Spectrum(values=total, error=spread)


def convolve(tilted: Tilt, low: int, points: int) -> LossSum:
    """The sum of the tilted losses on the window of `points` grid points from `low`.

    Args:
        tilted: the losses, with their common θ.
        low: the window's first grid point.
        points: its length, even.
    """
    spectrum = _product(tilted, points)
    circular = scipy.fft.irfft(spectrum.values, points)
    centre = sum(part.times * middle for part, middle in zip(tilted.parts, tilted.centres, strict=True))
    masses = np.maximum(0.0, np.roll(circular, -((low - centre) % points)))
    origin = sum(part.times * part.origin for part in tilted.parts)
    backward = transform_error(points) * float(np.linalg.norm(circular))
    return LossSum(
        width=tilted.width,
        theta=tilted.theta,
        log_moment=tilted.log_moment + tilted.theta * origin,
        sums=np.asarray(origin + (low + np.arange(points)) * tilted.width, dtype=float),
        masses=masses,
        error=spectrum.error / math.sqrt(points) + backward,
        relative=tilted.relative_error,
        infinite=sum(part.times * part.loss.infinite for part in tilted.parts),
        shift=sum(part.times * part.loss.error for part in tilted.parts),
        deviation=tilted.deviation,
    )


def sum_of(parts: Sequence[Repeated], *, delta: float, theta: float | None = None, most: int) -> LossSum | None:
    """The sum of independent losses on one grid, tilted for δ.

    Args:
        parts: the losses, each with how often it occurs; all of one width.
        delta: δ, which the tilt is made for; the sum is valid at every other.
        theta: the tilt, above 0; None for a good one.
        most: the largest number of grid points that the window may have.

    Returns:
        The sum, or None where its window is wider than `most` points.
    """
    if len({part.loss.width for part in parts}) != 1:
        raise InternalError("losses can be added on one common grid only")
    tilted = tilt(parts, delta=delta, theta=theta)
    start, end = tilted.window(OUTSIDE)
    if end - start >= most:
        return None
    return convolve(tilted, start, transform_size(end - start + 1))
