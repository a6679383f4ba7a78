"""Exact binomial confidence limits (Clopper and Pearson 1934), from the standard library alone.

They live among the nouns so that a count and its limit can't disagree: the limit is computed from the
count wherever it is read, by the gate, by a report, or by somebody who verifies a release.
"""

from __future__ import annotations

import math

from gatekeeper.core.checks import check_integer, check_open_probability
from gatekeeper.errors import InvalidValueError

# Relative margin for the error of the continued fraction and of `lgamma`; far above both, far below any digit printed.
_MARGIN = 1e-9

# A billion units with no success show 3e-9; nobody has them.
_SMALLEST_MAXIMUM = 1e-9


def _continued_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            c = 1 + numerator / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            result *= d * c
        if abs(d * c - 1) < 1e-15:
            return result
    raise InvalidValueError(f"the incomplete beta function did not converge at x={x!r}, a={a!r}, b={b!r}")


def regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, to about 1e-12 (DLMF 8.17).

    Args:
        x: in [0, 1].
        a: above 0.
        b: above 0.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    log_front = a * math.log(x) + b * math.log1p(-x) - (math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _continued_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _continued_fraction(1 - x, b, a) / b


def _check(successes: int, trials: int, confidence: float) -> None:
    check_integer(trials=trials, at_least=1)
    check_integer(successes=successes, at_least=0)
    check_open_probability(confidence=confidence)
    if successes > trials:
        raise InvalidValueError(f"successes must be at most trials, got {successes!r} of {trials!r}")


def upper_limit(*, successes: int, trials: int, confidence: float) -> float:
    """The one-sided upper Clopper–Pearson limit of a probability: Beta⁻¹(confidence; x + 1, n − x).

    Args:
        successes: x, the number of successes among the trials.
        trials: n, the number of independent trials, at least 1.
        confidence: 1 − α of the one-sided limit, such as 0.95.

    Returns:
        A limit at or above the exact one, by less than 1e-8 relative.

    >>> round(upper_limit(successes=0, trials=299, confidence=0.95), 4)
    0.01
    """
    _check(successes, trials, confidence)
    if successes == trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if regularised_beta(middle, successes + 1, trials - successes) < confidence:
            low = middle
        else:
            high = middle
    return min(1.0, high * (1 + _MARGIN))


def lower_limit(*, successes: int, trials: int, confidence: float) -> float:
    """The one-sided lower Clopper–Pearson limit; the arguments are those of `upper_limit`.

    >>> round(lower_limit(successes=95, trials=100, confidence=0.95), 4)
    0.8977
    """
    _check(successes, trials, confidence)
    return max(0.0, 1.0 - upper_limit(successes=trials - successes, trials=trials, confidence=confidence))


def trials_needed(*, maximum: float, confidence: float) -> int:
    """The fewest trials whose upper limit with no success at all is at most `maximum`.

    1 − (1 − confidence)^(1/n) ≤ maximum, the case x = 0 of Clopper–Pearson.

    >>> trials_needed(maximum=0.01, confidence=0.95)
    299
    """
    check_open_probability(maximum=maximum)
    check_open_probability(confidence=confidence)
    if maximum < _SMALLEST_MAXIMUM:
        raise InvalidValueError(
            f"maximum must be at least {_SMALLEST_MAXIMUM:g}, got {maximum!r}: no sample shows less"
        )
    n = max(1, math.floor(math.log1p(-confidence) / math.log1p(-maximum)) - 1)
    while upper_limit(successes=0, trials=n, confidence=confidence) > maximum:
        n += 1
    return n
