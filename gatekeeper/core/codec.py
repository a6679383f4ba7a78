"""Nouns to canonical JSON and back, strictly.

`decode(encode(x)) == x`, and a text that `encode` would not have written is refused: unknown or missing
fields, other types, other key order or spacing. So a digest of the text is a digest of the noun.
A field that a noun was given later (`core.fields`) is left out where it has its default, and only there.
Unions of nouns carry their class under `kind`. Numbers that JSON lacks are the strings `inf`, `-inf`, `nan`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from typing import Any, TypeVar

from gatekeeper.core.fields import is_left_out, may_be_left_out
from gatekeeper.errors import InvalidValueError

T = TypeVar("T")

_SPECIAL_FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_NONE_TYPE = type(None)


def _is_noun(hint: object) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _members(hint: object) -> tuple[object, ...]:
    """The members of a union, or the type itself."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _to_plain(value: object, *, hint: object) -> Any:
    """`value` as JSON's own types; nouns of a union carry `kind`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        plain = {
            field.name: _to_plain(getattr(value, field.name), hint=hints[field.name])
            for field in dataclasses.fields(value)
            if not is_left_out(field, getattr(value, field.name))
        }
        tagged = sum(map(_is_noun, _members(hint))) > 1
        return {"kind": type(value).__name__, **plain} if tagged else plain
    if isinstance(value, tuple):
        arguments = typing.get_args(_tuple_member(hint))
        item_hints = [arguments[0]] * len(value) if arguments[-1:] == (...,) else list(arguments)
        return [_to_plain(item, hint=item_hint) for item, item_hint in zip(value, item_hints, strict=True)]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def _tuple_member(hint: object) -> object:
    """The tuple among a union's members."""
    (member,) = [m for m in _members(hint) if typing.get_origin(m) is tuple]
    return member


def encode(noun: object, *, tagged: bool = False) -> str:
    """A noun as canonical JSON: sorted keys, no spaces, UTF-8 kept, one final newline.

    Args:
        noun: a frozen dataclass of `core`.
        tagged: whether to write the class under `kind`, for nouns that are decoded as a union.
    """
    plain = _to_plain(noun, hint=type(noun))
    if tagged:
        plain = {"kind": type(noun).__name__, **plain}
    return canonical(plain)


def canonical(plain: object) -> str:
    """JSON's own types as canonical JSON text."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def plain(noun: object) -> dict[str, Any]:
    """A noun as a dictionary of JSON's own types, for embedding in a larger document."""
    result = _to_plain(noun, hint=type(noun))
    if not isinstance(result, dict):
        raise InvalidValueError(f"{noun!r} is not a noun")
    return result


def digest(noun: object) -> str:
    """SHA-256 of a noun's canonical JSON, in lower-case hexadecimal."""
    return hashlib.sha256(encode(noun).encode()).hexdigest()


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate keys")
    return result


def parse(text: str) -> Any:
    """JSON text as Python values; duplicate keys, NaN literals and nonsense are refused.

    Raises:
        InvalidValueError: the text is not strict JSON.
    """

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"not JSON: {error}") from error


def decode(text: str, noun_type: type[T]) -> T:
    """Canonical JSON as a noun.

    Args:
        text: what `encode` wrote.
        noun_type: the dataclass to build.

    Raises:
        InvalidValueError: the text is not exactly what `encode` writes for such a noun.
    """
    noun = from_plain(parse(text), noun_type)
    if encode(noun) != text:
        raise InvalidValueError(f"not the canonical form of a {noun_type.__name__}")
    return noun


def from_plain(value: object, noun_type: type[T]) -> T:
    """JSON's own types as a noun; strict about fields and types.

    Raises:
        InvalidValueError: naming the path of the field that does not fit.
    """
    try:
        result: T = _build(value, noun_type, path=noun_type.__name__)
    except (OverflowError, ZeroDivisionError, RecursionError) as error:
        raise InvalidValueError(f"no {noun_type.__name__} can be made of this: {error}") from error
    return result


def _build(value: object, hint: object, *, path: str) -> Any:
    members = _members(hint)
    if len(members) > 1:
        return _build_union(value, members, path=path)
    if _is_noun(hint):
        return _build_noun(value, typing.cast("type", hint), path=path)
    origin = typing.get_origin(hint)
    if origin is tuple:
        return _build_tuple(value, typing.get_args(hint), path=path)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise InvalidValueError(f"{path} must be one of {typing.get_args(hint)}, got {value!r}")
        return value
    return _build_scalar(value, hint, path=path)


def _build_scalar(value: object, hint: object, *, path: str) -> Any:
    if hint is float:
        if isinstance(value, str) and value in _SPECIAL_FLOATS:
            return _SPECIAL_FLOATS[value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif (hint is int and isinstance(value, bool)) or not isinstance(hint, type):
        pass
    elif isinstance(value, hint):
        return value
    raise InvalidValueError(f"{path} must be of type {getattr(hint, '__name__', hint)}, got {value!r}")


def _build_union(value: object, members: tuple[object, ...], *, path: str) -> Any:
    if value is None and _NONE_TYPE in members:
        return None
    nouns = [member for member in members if _is_noun(member)]
    if len(nouns) > 1:
        if not isinstance(value, dict) or "kind" not in value:
            raise InvalidValueError(f"{path} needs a kind")
        for noun in nouns:
            if getattr(noun, "__name__", None) == value["kind"]:
                fields = {key: item for key, item in value.items() if key != "kind"}
                return _build(fields, noun, path=path)
        raise InvalidValueError(f"{path} has an unknown kind {value['kind']!r}")
    scalars = [member for member in members if member in (str, int, float, bool)]
    if len(scalars) > 1:
        if type(value) in scalars:
            return value
        raise InvalidValueError(f"{path} must be one of several scalars, got {value!r}")
    (member,) = [m for m in members if m is not _NONE_TYPE]
    return _build(value, member, path=path)


def _build_noun(value: object, noun: type, *, path: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidValueError(f"{path} must be an object, got {value!r}")
    hints = typing.get_type_hints(noun)
    fields = {field.name: field for field in dataclasses.fields(noun)}
    needed = {name for name, field in fields.items() if not may_be_left_out(field)}
    unknown, missing = sorted(set(value) - set(fields)), sorted(needed - set(value))
    if unknown or missing:
        raise InvalidValueError(f"{path}: unknown fields {unknown}, missing fields {missing}")
    return noun(**{name: _build(value[name], hints[name], path=f"{path}.{name}") for name in fields if name in value})


def _build_tuple(value: object, arguments: tuple[object, ...], *, path: str) -> Any:
    if not isinstance(value, list):
        raise InvalidValueError(f"{path} must be a list, got {value!r}")
    if arguments[-1:] == (...,):
        return tuple(_build(item, arguments[0], path=f"{path}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise InvalidValueError(f"{path} must have {len(arguments)} items, got {len(value)}")
    pairs = zip(value, arguments, strict=True)
    return tuple(_build(item, hint, path=f"{path}[{i}]") for i, (item, hint) in enumerate(pairs))
