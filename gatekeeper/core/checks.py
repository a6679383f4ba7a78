"""Validators for the nouns: each takes its value by name, so that the message names the field itself."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata

from gatekeeper.errors import InvalidValueError

_UTC_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_LARGEST_INTEGER = 10**18
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _one(named: dict[str, object]) -> tuple[str, object]:
    """The single name and value of a keyword call such as `check(sigma=1.0)`."""
    ((name, value),) = named.items()
    return name, value


def _number(name: str, value: object) -> float:
    """`value` as a float; booleans and other types are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValueError(f"{name} must be a number, got {value!r}")
    return float(value)


def check_not_nan(**named: object) -> None:
    """Refuse NaN; infinities pass."""
    name, value = _one(named)
    if math.isnan(_number(name, value)):
        raise InvalidValueError(f"{name} must not be NaN")


def check_finite(**named: object) -> None:
    """Refuse NaN and infinities."""
    name, value = _one(named)
    if not math.isfinite(_number(name, value)):
        raise InvalidValueError(f"{name} must be finite, got {value!r}")


def check_positive(**named: object) -> None:
    """Require a finite number above zero."""
    check_finite(**named)
    name, value = _one(named)
    if _number(name, value) <= 0:
        raise InvalidValueError(f"{name} must be above 0, got {value!r}")


def check_non_negative(**named: object) -> None:
    """Require a number of at least zero; infinity passes, NaN does not."""
    check_not_nan(**named)
    name, value = _one(named)
    if _number(name, value) < 0:
        raise InvalidValueError(f"{name} must be at least 0, got {value!r}")


def check_integer(*, at_least: int, **named: object) -> None:
    """Require an integer (not a boolean) of at least `at_least`, and of at most 10¹⁸."""
    name, value = _one(named)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InvalidValueError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    if value > _LARGEST_INTEGER:
        raise InvalidValueError(f"{name} must be at most {_LARGEST_INTEGER}, got a number of {value.bit_length()} bits")


def check_probability(**named: object) -> None:
    """Require a number in [0, 1]."""
    check_finite(**named)
    name, value = _one(named)
    if not 0 <= _number(name, value) <= 1:
        raise InvalidValueError(f"{name} must lie in [0, 1], got {value!r}")


def check_open_probability(**named: object) -> None:
    """Require a number strictly between 0 and 1."""
    check_finite(**named)
    name, value = _one(named)
    if not 0 < _number(name, value) < 1:
        raise InvalidValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")


def check_share_from_zero(**named: object) -> None:
    """Require a number in [0, 1)."""
    check_finite(**named)
    name, value = _one(named)
    if not 0 <= _number(name, value) < 1:
        raise InvalidValueError(f"{name} must be at least 0 and below 1, got {value!r}")


def check_confidence(**named: object) -> None:
    """Require a confidence in [½, 1): below one half a limit lies on the wrong side of the estimate."""
    check_open_probability(**named)
    name, value = _one(named)
    if _number(name, value) < 0.5:
        raise InvalidValueError(f"{name} must be at least 0.5, got {value!r}")


# Controls of both kinds, zero-width and bidirectional marks, separators of lines and paragraphs.
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")


def check_text(**named: object) -> None:
    """Require a non-empty string without characters that steer a terminal, hide, or reorder what stands beside them."""
    name, value = _one(named)
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError(f"{name} must be a non-empty string, got {value!r}")
    if any(unicodedata.category(character) in _UNSEEN for character in value):
        raise InvalidValueError(f"{name} must not contain control characters or invisible ones, got {value!a}")


def check_choice(*, choices: tuple[str, ...], **named: object) -> None:
    """Require one of `choices`."""
    name, value = _one(named)
    if value not in choices:
        raise InvalidValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def check_sha256(**named: object) -> None:
    """Require 64 lower-case hexadecimal digits."""
    name, value = _one(named)
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InvalidValueError(f"{name} must be a SHA-256 digest in lower-case hexadecimal, got {value!r}")


def check_tuple(*, of: type, **named: object) -> None:
    """Require a tuple whose items are all of type `of`."""
    name, value = _one(named)
    if not isinstance(value, tuple) or not all(isinstance(item, of) for item in value):
        raise InvalidValueError(f"{name} must be a tuple of {of.__name__}, got {value!r}")


def check_utc_time(**named: object) -> None:
    """Require a UTC time as RFC 3339 writes it, to the second: `2030-01-02T03:04:05Z`."""
    name, value = _one(named)
    if not isinstance(value, str) or not _UTC_TIME.fullmatch(value) or not value.isascii():
        raise InvalidValueError(f"{name} must be a UTC time such as 2030-01-02T03:04:05Z, got {value!r}")
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidValueError(f"{name} must be a time that exists, got {value!r}") from error
