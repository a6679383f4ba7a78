"""Where two predicates differ, in words."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.codec import canonical

_MOST_SHOWN = 200
_NOTHING: Any = object()


def first_difference(found: Any, needed: Any) -> str | None:
    """The first place where a signed predicate is not what follows from the certificate; None where there is none.

    Members are compared by their canonical JSON, so that `true`, `1` and `1.0` are three values.

    Args:
        found: as signed, in JSON's own types.
        needed: as derived from the certificate.

    >>> first_difference({"result": "PASSED"}, {"result": "FAILED"})
    "says that result is 'PASSED', where the certificate gives 'FAILED'"
    >>> first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) is None
    True
    """
    try:
        return _difference(found, needed, path="")
    except RecursionError:
        return "is nested too deeply to be what follows from the certificate"


def _difference(found: Any, needed: Any, *, path: str) -> str | None:
    if isinstance(found, dict) and isinstance(needed, dict):
        members = [
            (f"{path}.{key}" if path else key, found.get(key, _NOTHING), needed.get(key, _NOTHING))
            for key in sorted({*found, *needed})
        ]
    elif isinstance(found, list) and isinstance(needed, list):
        longest = max(len(found), len(needed))
        members = [(f"{path}[{i}]", _item(found, i), _item(needed, i)) for i in range(longest)]
    elif found is not _NOTHING and needed is not _NOTHING and canonical(found) == canonical(needed):
        return None
    else:
        return f"says that {_shown(path)} is {_value(found)}, where the certificate gives {_value(needed)}"
    differences = (_difference(one, other, path=where) for where, one, other in members)
    return next((difference for difference in differences if difference is not None), None)


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _NOTHING


def _value(value: Any) -> str:
    return "nothing" if value is _NOTHING else _shown(ascii(value))


def _shown(text: str) -> str:
    """Text that came from outside, safe to print and not too long."""
    safe = text if text.isprintable() and text.isascii() else ascii(text)
    return safe if len(safe) <= _MOST_SHOWN else safe[:_MOST_SHOWN] + "…"
