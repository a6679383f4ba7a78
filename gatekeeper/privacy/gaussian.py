"""The T-fold Gaussian mechanism, exactly: δ(ε), ε(δ) and μ(ε, δ) with full accuracy for ε from 0 to 10¹⁵ and beyond.

T noisy sums of sensitivity C with noise σC, all of which the unit takes part in, are one Gaussian mechanism
of parameter μ = √T/σ, and (Balle and Wang 2018, "Improving the Gaussian Mechanism for Differential Privacy",
theorem 8)

    δ(ε) = Φ(−a) − e^ε Φ(−b),    a = ε/μ − μ/2,    b = ε/μ + μ/2.

Design note. Since b² − a² = 2ε, e^ε φ(b) = φ(a), and δ = φ(a) (m(a) − m(b)) with m(x) = Φ(−x)/φ(x), the
Mills ratio: e^ε is never formed. Equations are solved for a, because ε = μ(μ/2 + a) and μ = √(a² + 2ε) − a
have no cancellation at large ε, where a stays between −10 and 40 while ε/μ and μ/2 agree in all digits.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.special as sc
from numpy.typing import ArrayLike, NDArray

from gatekeeper.core.budget import Interval
from gatekeeper.core.checks import check_non_negative, check_open_probability, check_positive
from gatekeeper.privacy.search import crossing

Array = NDArray[np.float64]

# `log_delta` is accurate to 1e-12 and the solver to 1e-14; the margins below cover both many times over.
RELATIVE_MARGIN = 4e-12
ABSOLUTE_MARGIN = 1e-13

_LOG_ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
_FAR = 40.0  # beyond it the asymptotic series of the Mills ratio is accurate to 1e-12
_SERIES = (1.0, -1.0, 3.0, -15.0, 105.0, -945.0)  # m(x) ~ Σ cⱼ / x^(2j+1), DLMF 7.12.1
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def _mills(x: Array) -> Array:
    """m(x) = Φ(−x)/φ(x)."""
    return np.asarray(math.sqrt(math.pi / 2) * sc.erfcx(x / math.sqrt(2)), dtype=float)


def _gap_near(a: Array, mu: Array) -> Array:
    """m(a) − m(a + μ) for μ < ½: the integral of −m′(x) = 1 − x m(x), so that nothing cancels."""
    x = a[:, None] + mu[:, None] * (_NODES + 1) / 2
    return np.asarray(mu / 2 * ((1 - x * _mills(x)) @ _WEIGHTS), dtype=float)


def _gap_far(a: Array, mu: Array) -> Array:
    """m(a) − m(a + μ) for a > 40, by the asymptotic series, each term without cancellation."""
    powers = np.arange(1, 2 * len(_SERIES), 2)
    terms = -np.expm1(-powers * np.log1p(mu / a)[:, None]) * a[:, None] ** (1.0 - powers)
    return np.asarray(terms @ np.array(_SERIES) / a, dtype=float)


def _log_delta(a: Array, mu: Array) -> Array:
    """Log δ of the μ-Gaussian where ε = μ(μ/2 + a) ≥ 0."""
    result = np.empty_like(a)
    low, far = a < -1, a > _FAR
    near = ~low & ~far & (mu < 0.5)
    middle = ~low & ~far & ~near
    gap = np.ones_like(a)
    gap[far] = _gap_far(a[far], mu[far])
    gap[near] = _gap_near(a[near], mu[near])
    gap[middle] = _mills(a[middle]) - _mills(a[middle] + mu[middle])
    with np.errstate(divide="ignore"):
        result = -a * a / 2 - _LOG_ROOT_TWO_PI + np.log(gap)
    first = sc.log_ndtr(-a[low])
    second = -(a[low] ** 2) / 2 - _LOG_ROOT_TWO_PI + np.log(_mills(a[low] + mu[low]))
    result[low] = first + np.log1p(-np.exp(second - first))
    return result


def log_delta(epsilon: ArrayLike, mu: ArrayLike) -> Array:
    """Log δ(ε) of the Gaussian mechanism of parameter μ (Balle and Wang 2018, theorem 8).

    Args:
        epsilon: ε in nats, at least 0; broadcast against `mu`.
        mu: sensitivity over noise, √T/σ, above 0.

    Returns:
        log δ, accurate to 1e-12 up to a relative change of ε and μ in their last digits.

    >>> round(float(np.exp(log_delta(1.0, 1.0))), 6)
    0.126937
    """
    epsilons, mus = np.broadcast_arrays(np.asarray(epsilon, dtype=float), np.asarray(mu, dtype=float))
    a = epsilons / mus - mus / 2
    return _log_delta(a.ravel(), mus.ravel()).reshape(a.shape)


def _at(a: float, mu: float) -> float:
    return float(_log_delta(np.array([a]), np.array([mu]))[0])


def epsilon(*, mu: float, delta: float) -> Interval:
    """ε(δ) of the Gaussian mechanism of parameter μ: exact, between ends a few 1e-12 apart.

    Args:
        mu: sensitivity over noise, √T/σ, above 0.
        delta: δ, strictly between 0 and 1.

    Returns:
        ε in nats; `high` is above the exact value by less than 1e-11 relative plus 1e-12; 0 where δ is at
        least the total variation distance.

    Raises:
        InvalidValueError: an argument outside its range.

    >>> round(epsilon(mu=1.0, delta=1e-5).estimate, 4)
    4.3772
    """
    check_positive(mu=mu)
    check_open_probability(delta=delta)
    target = math.log(delta)
    if _at(-mu / 2, mu) <= target:
        return Interval(low=0.0, estimate=0.0, high=0.0)
    top = math.sqrt(-2 * target) + 1e-9  # δ ≤ Φ(−a) ≤ exp(−a²/2)
    a = crossing(lambda a: _at(a, mu) - target, -mu / 2, max(top, -mu / 2 + top), absolute=1e-15)
    estimate = max(0.0, mu * (mu / 2 + a))
    margin = RELATIVE_MARGIN * (estimate + mu * abs(a)) + ABSOLUTE_MARGIN
    return Interval(low=max(0.0, estimate - margin), estimate=estimate, high=estimate + margin)


def _mu_of(a: float, epsilon: float) -> float:
    """The positive μ with ε = μ(μ/2 + a)."""
    b = math.hypot(a, math.sqrt(2 * epsilon))
    return 2 * epsilon / (a + b) if a > 0 else b - a


def mu(*, epsilon: float, delta: float) -> float:
    """The largest μ whose Gaussian mechanism is (ε, δ)-differentially private, rounded down.

    Args:
        epsilon: ε in nats, at least 0 and finite.
        delta: δ, strictly between 0 and 1.

    Returns:
        μ, below the exact value by less than 1e-11 relative; the noise multiplier of T steps is √T/μ.

    Raises:
        InvalidValueError: an argument outside its range.

    >>> round(1 / mu(epsilon=8.0, delta=1e-5), 9)
    0.600229072
    """
    check_non_negative(epsilon=epsilon)
    check_open_probability(delta=delta)
    target = math.log(delta)
    if epsilon == 0:  # δ = 2Φ(μ/2) − 1 = erf(μ/√8)
        return float(math.sqrt(8) * sc.erfinv(delta)) * (1 - RELATIVE_MARGIN)
    top = math.sqrt(-2 * target) + 1e-9
    a = crossing(lambda a: _at(a, _mu_of(a, epsilon)) - target, -_FAR, top, absolute=1e-15)
    return _mu_of(a, epsilon) * (1 - RELATIVE_MARGIN)
