"""JSON Schema of a noun, from its fields: what `core.codec` writes, described for other programs."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from gatekeeper.core.fields import may_be_left_out

_SCALARS: dict[object, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]},
    type(None): {"type": "null"},
}


def schema_of(hint: Any) -> dict[str, Any]:
    """The schema of a type that a noun's field may have.

    Args:
        hint: a frozen dataclass, a scalar type, a tuple, a literal, or a union of these.
    """
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tagged = sum(dataclasses.is_dataclass(member) for member in arguments) > 1
        return {
            "anyOf": [_object(m, tagged=tagged) if dataclasses.is_dataclass(m) else schema_of(m) for m in arguments]
        }
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return _array(arguments)
    return _object(hint, tagged=False)


def _array(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments[-1:] == (...,):
        return {"type": "array", "items": schema_of(arguments[0])}
    items = [schema_of(argument) for argument in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _object(noun: Any, *, tagged: bool) -> dict[str, Any]:
    hints = typing.get_type_hints(noun)
    fields = dataclasses.fields(noun)
    properties = {field.name: schema_of(hints[field.name]) for field in fields}
    required = [field.name for field in fields if not may_be_left_out(field)]
    if tagged:
        properties["kind"] = {"const": noun.__name__}
        required.append("kind")
    return {
        "type": "object",
        "title": noun.__name__,
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }
