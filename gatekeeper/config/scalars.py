"""Scalars as text, numbers and booleans, by one unambiguous grammar.

Numbers are decimal: `3`, `-0.5`, `1e9`, `1.0e+9`. Forms that YAML 1.1 and 1.2 read differently (octal,
hexadecimal, base 60, digits grouped by underscores) are refused by name, and so is what is not finite. `true` and
`false` are the only booleans; `yes`, `no`, `on` and `off` are text. This is the core schema of YAML 1.2.2 (section
10.3) without its octal and hexadecimal integers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gatekeeper.config.nodes import Scalar, shown

MAX_DIGITS = 18  # of a whole number: it fits into 64 bits

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOLEANS = ("true", "false")
_LONGEST_NUMBER = 64  # beyond this nobody meant a number, and matching would take quadratic time
_REMOVE_QUOTES = "remove the quotes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """Why a scalar is not what was wanted.

    Attributes:
        message: the end of a sentence that starts with the field's name.
        hint: the remedy, or None.
    """

    message: str
    hint: str | None = None


EMPTY = Mismatch(message="is empty", hint="give a value, or remove the key")


def to_text(scalar: Scalar) -> str | Mismatch:
    """A scalar as text; what another reader would take for a number, a boolean or null needs quotes."""
    if scalar.is_empty:
        return EMPTY
    if scalar.plain and (scalar.text.lower() in _BOOLEANS or _NUMBER.fullmatch(scalar.text)):
        kind = "boolean" if scalar.text.lower() in _BOOLEANS else "number"
        return Mismatch(
            message=f"must be text, got the {kind} {_cut(scalar.text)}",
            hint=f'put quotes around it: "{_cut(scalar.text)}"',
        )
    return scalar.text


def to_boolean(scalar: Scalar) -> bool | Mismatch:
    """A scalar as a boolean: `true` or `false` without quotes."""
    if scalar.is_empty:
        return EMPTY
    if scalar.plain and scalar.text in _BOOLEANS:
        return scalar.text == "true"
    return Mismatch(message=f"must be true or false, got {shown(scalar.text)}", hint=_boolean_hint(scalar))


def to_real(scalar: Scalar) -> float | Mismatch:
    """A scalar as a finite number."""
    if scalar.is_empty:
        return EMPTY
    if not scalar.plain or not _NUMBER.fullmatch(scalar.text):
        return _not_a_number(scalar, wanted="a number")
    value = float(scalar.text)
    if math.isinf(value):
        return Mismatch(message=f"is too large for a number, got {shown(scalar.text)}")
    return value


def to_whole(scalar: Scalar) -> int | Mismatch:
    """A scalar as a whole number of at most 18 digits."""
    if scalar.is_empty:
        return EMPTY
    if not scalar.plain or not _NUMBER.fullmatch(scalar.text):
        return _not_a_number(scalar, wanted="a whole number")
    if not _WHOLE.fullmatch(scalar.text):
        return Mismatch(message=f"must be a whole number, got {_cut(scalar.text)}", hint=_whole_hint(scalar.text))
    if len(scalar.text.lstrip("+-")) > MAX_DIGITS:
        return Mismatch(message=f"must have at most {MAX_DIGITS} digits, got {shown(scalar.text)}")
    return int(scalar.text)


def _cut(text: str) -> str:
    """A number's text, without the quotes of `shown`."""
    return shown(text)[1:-1]


def _boolean_hint(scalar: Scalar) -> str | None:
    word = scalar.text.lower()
    if word in _BOOLEANS:
        return f"write {word}" if scalar.plain else _REMOVE_QUOTES
    if word in ("yes", "on", "y", "no", "off", "n"):
        return f"write {'true' if word in ('yes', 'on', 'y') else 'false'}"
    return None


def _whole_hint(text: str) -> str | None:
    value = float(text)
    return f"write {int(value)}" if abs(value) < 10**MAX_DIGITS and value == int(value) else None


def _not_a_number(scalar: Scalar, *, wanted: str) -> Mismatch:
    if not scalar.plain and _NUMBER.fullmatch(scalar.text):
        return Mismatch(message=f"must be {wanted}, got the text {shown(scalar.text)}", hint=_REMOVE_QUOTES)
    for form in _AMBIGUOUS if scalar.plain and len(scalar.text) <= _LONGEST_NUMBER else ():
        if form.pattern.fullmatch(scalar.text):
            return Mismatch(message=f"must be {wanted}, got {form.reading} {shown(scalar.text)}", hint=form.hint)
    return Mismatch(message=f"must be {wanted}, got {shown(scalar.text)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """A way of writing numbers that is refused by name."""

    pattern: re.Pattern[str]
    reading: str
    hint: str


_DECIMAL = "write the number in decimal, without leading zeros"
_AMBIGUOUS = (
    _Form(pattern=re.compile(r"[-+]?0[xX][0-9a-fA-F_]+"), reading="the hexadecimal", hint=_DECIMAL),
    _Form(pattern=re.compile(r"[-+]?0[bB][01_]+"), reading="the binary", hint=_DECIMAL),
    _Form(pattern=re.compile(r"[-+]?0(o[0-7_]+|[0-9]+)"), reading="the octal (in some readers)", hint=_DECIMAL),
    _Form(
        pattern=re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?"),
        reading="what is base 60 in YAML 1.1,",
        hint="write the number in decimal",
    ),
    _Form(
        pattern=re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?"),
        reading="digits with underscores or leading zeros,",
        hint="write the digits without underscores and leading zeros",
    ),
    _Form(
        pattern=re.compile(r"[-+]?\.?(inf|nan)(inity)?", re.IGNORECASE),
        reading="what is not finite,",
        hint="give a finite number",
    ),
    _Form(
        pattern=re.compile(r"[-+]?[0-9]*\.?[0-9]+ ?%"),
        reading="a percentage,",
        hint="write a share of 1: 0.05 for 5 %",
    ),
    _Form(pattern=re.compile(r"[-+]?[0-9]+,[0-9]+"), reading="a decimal comma,", hint="write a decimal point"),
)
