"""What trying again costs: the confidence that is left to each attempt on the same units."""

from __future__ import annotations

import math


def confidence_of_attempt(confidence: float, *, attempt: int, max_attempts: int | None) -> float:
    """A confidence that holds over all attempts together: repetition until luck passes must not pay.

    By the union bound the shares of 1 − confidence that the attempts spend may add up to it: equal shares where
    their number is limited, otherwise 1/(j(j + 1)) of it at attempt j, a series that adds up to 1.

    Args:
        confidence: of a statement made once, strictly between 0 and 1.
        attempt: j, from 1.
        max_attempts: how many there may be, or None.

    >>> confidence_of_attempt(0.95, attempt=1, max_attempts=1)
    0.95
    >>> round(confidence_of_attempt(0.95, attempt=2, max_attempts=5), 6)
    0.99
    >>> round(confidence_of_attempt(0.95, attempt=2, max_attempts=None), 6)
    0.991667
    """
    if max_attempts == 1:
        return confidence
    share = attempt * (attempt + 1) if max_attempts is None else max_attempts
    return min(1 - (1 - confidence) / share, math.nextafter(1.0, 0.0))
