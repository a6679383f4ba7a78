"""The Gaussian mechanism in 60-digit arithmetic, straight from Balle and Wang 2018, theorem 8."""

from __future__ import annotations

import mpmath as mp

DIGITS = 60


def _mills(x: mp.mpf) -> mp.mpf:
    """Φ(−x)/φ(x); a continued fraction where the tail would underflow."""
    if x < 100:
        return mp.erfc(x / mp.sqrt(2)) / 2 * mp.sqrt(2 * mp.pi) * mp.exp(x * x / 2)
    fraction = x
    for k in range(200, 0, -1):
        fraction = x + k / fraction
    return 1 / fraction


def _delta(a: mp.mpf, b: mp.mpf) -> mp.mpf:
    """Φ(−a) − e^ε Φ(−b), with e^ε φ(b) = φ(a)."""
    return mp.erfc(a / mp.sqrt(2)) / 2 - mp.exp(-a * a / 2) / mp.sqrt(2 * mp.pi) * _mills(b)


def delta(*, epsilon: float, mu: float) -> mp.mpf:
    """δ(ε) of the μ-Gaussian."""
    with mp.workdps(DIGITS):
        a = mp.mpf(epsilon) / mp.mpf(mu) - mp.mpf(mu) / 2
        return _delta(a, a + mp.mpf(mu))


def epsilon(*, mu: float, delta: float) -> mp.mpf:
    """ε(δ) of the μ-Gaussian by bisection in a, ε = μ(μ/2 + a); 0 where δ is at least the total variation."""
    with mp.workdps(DIGITS):
        m, target = mp.mpf(mu), mp.mpf(delta)
        low, high = -m / 2, mp.mpf(60)
        if _delta(low, low + m) <= target:
            return mp.mpf(0)
        for _ in range(220):
            middle = (low + high) / 2
            low, high = (middle, high) if _delta(middle, middle + m) > target else (low, middle)
        return m * (m / 2 + high)
