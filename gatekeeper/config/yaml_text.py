"""Values as YAML text that every reader of YAML 1.1 and 1.2 takes for the same value."""

from __future__ import annotations

import re
from decimal import Decimal

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._/-]*[A-Za-z0-9])?")
# Words that YAML 1.1 or 1.2 takes for a boolean or null.
_RESERVED = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def text(value: str) -> str:
    """A string, quoted where it could be read as anything else.

    >>> text("privacy-office"), text("no"), text("a: b")
    ('privacy-office', '"no"', '"a: b"')
    """
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return '"' + "".join(_escaped(character) for character in value) + '"'


def number(value: float) -> str:
    """A finite number; in scientific notation with a point and a sign, which YAML 1.1 asks for, where it is shorter.

    >>> number(1e9), number(0.05), number(8e-7), number(30)
    ('1.0e+9', '0.05', '8.0e-7', '30')
    """
    if isinstance(value, int):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value)
    mantissa, exponent = f"{Decimal(repr(value)).normalize():e}".split("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"


def boolean(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def _escaped(character: str) -> str:
    """A character inside double quotes (YAML 1.2.2, section 5.7)."""
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
