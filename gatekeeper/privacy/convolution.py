"""Sums of many independent losses: exponentially tilted, convolved by a Fourier transform, with every error bounded.

The masses of one loss are multiplied by e^{θL}/E[e^{θL}], convolved T times with themselves, and multiplied back.

Design note. Without the tilt the masses that decide δ = 1e-12 drown in the transform's rounding error, which is
relative to the largest mass. With the θ of a good Chernoff bound the bulk of the tilted sum lies where the answer is:
the error is relative to δ itself, and the window is a few standard deviations whatever the range of the losses. The
bounds on errors are a priori (Higham 2002, "Accuracy and Stability of Numerical Algorithms"), none is an estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from gatekeeper.privacy.losses import GridLoss

Array = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-53
_GIVEN_AWAY = 2.0  # nats
OUTSIDE = 1e-12  # at most this tilted mass lies outside the window, on each side


def _log_moment(loss: GridLoss, theta: float) -> float:
    """Log E[e^{θL̃}; L̃ < ∞]."""
    exponents = loss.log_masses + theta * loss.losses
    largest = float(exponents.max())
    return largest + math.log(float(np.exp(exponents - largest).sum()))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chernoff:
    """The bound δ(ε) ≤ exp(T K(θ) − θε) of T losses, as a function of θ."""

    loss: GridLoss
    steps: int

    def exponent(self, theta: float, epsilon: float) -> float:
        return self.steps * _log_moment(self.loss, theta) - theta * epsilon

    def best(self, delta: float) -> tuple[float, float]:
        """(θ, ε) with the smallest ε that the bound proves, (T K(θ) − log δ)/θ, which is quasiconvex in θ."""
        masses = np.exp(self.loss.log_masses)
        deviation = math.sqrt(self.steps * float((masses * self.loss.losses**2).sum())) + self.loss.width

        def proven(log_theta: float) -> float:
            theta = math.exp(log_theta)
            return (self.exponent(theta, 0.0) - math.log(delta)) / theta

        ends = (math.log(1e-9 / deviation), math.log(1e3 / deviation))
        found = minimize_scalar(proven, bounds=ends, method="bounded", options={"xatol": 0.005})
        return math.exp(float(found.x)), float(found.fun)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tilted:
    """One step's loss tilted by θ.

    Attributes:
        loss: the loss before tilting.
        steps: T.
        theta: θ, above 0.
        log_moment: log E[e^{θL̃}].
        masses: the tilted masses, adding up to 1.
    """

    loss: GridLoss
    steps: int
    theta: float
    log_moment: float
    masses: Array

    @property
    def mean(self) -> float:
        """Mean of the tilted loss of one step, in grid points."""
        return float((self.masses * self.loss.indices).sum())

    @property
    def deviation(self) -> float:
        """Standard deviation of the tilted sum, in nats."""
        variance = float((self.masses * (self.loss.indices - self.mean) ** 2).sum())
        return math.sqrt(self.steps * variance) * self.loss.width + self.loss.width

    @property
    def relative_error(self) -> float:
        """A bound on the relative error of T-fold products of the masses, and of sums over them."""
        finite = self.loss.log_masses[np.isfinite(self.loss.log_masses)]
        sizes = float(np.abs(finite).max()) + self.theta * float(np.abs(self.loss.losses).max()) + abs(self.log_moment)
        return 1e-9 + math.expm1(8 * self.steps * UNIT_ROUNDOFF * (8 + sizes))

    def window(self) -> tuple[int, int]:
        """Grid points (low, high) outside which the tilted sum has at most `OUTSIDE` on each side.

        Chernoff: P(S ≥ s) ≤ exp(T (K(θ+λ) − K(θ)) − λs) for every λ > 0, and likewise below.
        """
        ends = {}
        for sign in (1, -1):
            rates = sign * 7.4 / self.deviation * np.exp2(np.arange(1.0, -4.0, -0.5))
            growth = [self.steps * (_log_moment(self.loss, self.theta + rate) - self.log_moment) for rate in rates]
            reaches = (np.array(growth) - math.log(OUTSIDE)) / rates
            ends[sign] = float(reaches.min() if sign > 0 else reaches.max()) / self.loss.width
        return math.floor(ends[-1]) - 1, math.ceil(ends[1]) + 1


def _tilt_by(loss: GridLoss, steps: int, theta: float) -> Tilted:
    log_moment = _log_moment(loss, theta)
    masses = np.exp(loss.log_masses + theta * loss.losses - log_moment)
    return Tilted(loss=loss, steps=steps, theta=theta, log_moment=log_moment, masses=masses)


def tilt(loss: GridLoss, steps: int, delta: float) -> Tilted:
    """Tilted by somewhat less than the best θ: the answer stays in the bulk, and the upper tail is lighter.

    Any θ is valid. This one gives away `_GIVEN_AWAY` of the best exponent and not more, because rare large losses can
    make the tilted sum jump from far below the answer to far above it within a few percent of θ.
    """
    bound = _Chernoff(loss=loss, steps=steps)
    best, epsilon = bound.best(delta)
    low, high, least = 0.3 * best, best, bound.exponent(best, epsilon)
    for _ in range(8):
        middle = (low + high) / 2
        enough = bound.exponent(middle, epsilon) <= least + _GIVEN_AWAY
        low, high = (low, middle) if enough else (middle, high)
    return _tilt_by(loss, steps, high)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossSum:
    """The tilted loss of T steps on a window of grid points.

    Attributes:
        tilted: one step.
        sums: values of S in nats, increasing.
        masses: the tilted masses P(S = s).
        error: a bound on the Euclidean norm of the error of `masses`.
        rising: e^{−θih} (1 − e^{−ih}) for i = 0, 1, …
        falling: e^{−(θ+1)ih} likewise.
    """

    tilted: Tilted
    sums: Array
    masses: Array
    error: float
    rising: Array
    falling: Array

    def bracket(self, epsilon: float) -> tuple[float, float]:
        """(value, error) with E[(1 − e^{ε−S})⁺] = e^{T K(θ) − θε} (value ± error).

        The value is Σ e^{−θ(s−ε)} (1 − e^{ε−s}) P_θ(s).
        With s − ε = ih + f and f the distance from ε to the next grid point this is e^{−θf} times
        Σ e^{−θih} (1 − e^{−ih}) P_θ(s) + (1 − e^{−f}) Σ e^{−(θ+1)ih} P_θ(s): sums of positive terms.
        """
        theta = self.tilted.theta
        start = int(np.searchsorted(self.sums, epsilon, side="right"))
        masses, count = self.masses[start:], len(self.sums) - start
        rest = float(self.sums[start]) - epsilon if count else 0.0
        value = float(self.rising[:count] @ masses) - math.expm1(-rest) * float(self.falling[:count] @ masses)
        # Cauchy and Schwarz: the weights are at most e^{−θih} at the i-th point beyond ε.
        weights = min(len(self.sums), 1 / -math.expm1(-2 * theta * self.tilted.loss.width))
        return math.exp(-theta * rest) * value, self.error * math.sqrt(weights)

    def scale(self, epsilon: float) -> float:
        """T K(θ) − θε, the logarithm of the Chernoff bound."""
        return self.tilted.steps * self.tilted.log_moment - self.tilted.theta * epsilon


def _power(spectrum: NDArray[np.complex128], steps: int) -> NDArray[np.complex128]:
    """z^T by modulus and angle: relative error below 16 (T + 200) roundoffs, and 0^T = 0."""
    angle = steps * np.angle(spectrum)
    return np.abs(spectrum) ** steps * (np.cos(angle) + 1j * np.sin(angle))


def compose(tilted: Tilted, low: int, points: int) -> LossSum:
    """The T-fold convolution on the window of `points` grid points from `low`, by a real Fourier transform.

    The transform's error is below 8 log₂(N) roundoffs of the norm (Higham 2002, theorem 24.2).
    """
    steps, centre = tilted.steps, round(tilted.mean)
    folded = np.bincount((tilted.loss.indices - centre) % points, weights=tilted.masses, minlength=points)
    spectrum = np.fft.rfft(folded)
    powered = _power(spectrum, steps)
    circular = np.fft.irfft(powered, points)
    masses = np.maximum(0.0, np.roll(circular, -((low - steps * centre) % points)))

    transform = 8 * math.log2(points) * UNIT_ROUNDOFF
    at_most = transform * math.sqrt(points) * float(np.linalg.norm(folded))
    modulus = np.abs(spectrum) + at_most
    forward = steps * at_most * modulus ** (steps - 1) + 16 * (steps + 200) * UNIT_ROUNDOFF * modulus**steps
    error = math.sqrt(2 / points) * float(np.linalg.norm(forward)) + transform * float(np.linalg.norm(circular))
    distances = np.arange(points) * tilted.loss.width
    decay, complement = np.exp(-tilted.theta * distances), np.exp(-distances)
    return LossSum(
        tilted=tilted,
        sums=np.asarray((low + np.arange(points)) * tilted.loss.width, dtype=float),
        masses=masses,
        error=error,
        rising=decay * -np.expm1(-distances),
        falling=decay * complement,
    )
