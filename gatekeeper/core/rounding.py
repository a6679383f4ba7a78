"""Numbers for people, rounded in the safe direction."""

from __future__ import annotations

import math


def round_up(value: float, *, digits: int = 4) -> str:
    """A risk or a privacy loss: rounded towards more risk, never down.

    >>> round_up(0.0100001)
    '0.01001'
    >>> round_up(123456.4, digits=6)
    '123457'
    """
    return _round(value, digits=digits, up=True)


def round_down(value: float, *, digits: int = 4) -> str:
    """An accuracy's lower limit or a margin: rounded down.

    >>> round_down(0.98769)
    '0.9876'
    """
    return _round(value, digits=digits, up=False)


def in_full(value: float) -> str:
    """A number as somebody would write it, with every digit it has.

    >>> in_full(1e15), in_full(0.02), in_full(1234563.9)
    ('1e+15', '0.02', '1234563.9')
    """
    text = f"{value:.12g}"
    return text if float(text) == value else repr(value)


def in_short(value: float) -> str:
    """A number with every digit it has, as short as it can be written.

    >>> in_short(1e9), in_short(0.02), in_short(1234563.9)
    ('1e+09', '0.02', '1234563.9')
    """
    text = f"{value:g}"
    return text if float(text) == value else in_full(value)


def _round(value: float, *, digits: int, up: bool) -> str:
    text = f"{value:.{digits}g}"
    if value == 0 or not math.isfinite(value):
        return text
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    while (float(text) < value) if up else (float(text) > value):
        text = f"{float(text) + (step if up else -step):.{digits}g}"
    return text
