"""Readers: what makes a value of a node, its range checked by the validators of the nouns themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gatekeeper.config.document import Document, Read, Reader, nearest
from gatekeeper.config.nodes import Node, Scalar, Sequence, shown
from gatekeeper.config.scalars import Mismatch, to_boolean, to_real, to_text, to_whole
from gatekeeper.core.checks import check_choice, check_integer, check_text, check_utc_time
from gatekeeper.errors import InvalidValueError

T = TypeVar("T")


class Check(Protocol):
    """A validator of `core.checks`: takes one value by name."""

    def __call__(self, **named: object) -> None:
        """Raise InvalidValueError unless the value is in range."""


def _scalar(convert: Callable[[Scalar], T | Mismatch], check: Check, *, wanted: str) -> Reader[T]:
    """A reader of one scalar: first its type, then its range."""

    def read(document: Document, name: str, node: Node) -> Read[T]:
        if not isinstance(node, Scalar):
            return document.mismatch(name, node, wanted)
        value = convert(node)
        if isinstance(value, Mismatch):
            return document.refuse(node, f"{name} {value.message}", hint=value.hint)
        try:
            check(**{name: value})
        except InvalidValueError as error:
            return document.refuse(node, error.message, hint=error.hint)
        return Read((value,))

    return read


def text(check: Check) -> Reader[str]:
    """Reads text that `check` accepts."""
    return _scalar(to_text, check, wanted="must be text")


def real(check: Check) -> Reader[float]:
    """Reads a finite number within the range of `check`."""
    return _scalar(to_real, check, wanted="must be a number")


def whole(*, at_least: int) -> Reader[int]:
    """Reads a whole number of at least `at_least`."""

    def check(**named: object) -> None:
        check_integer(at_least=at_least, **named)

    return _scalar(to_whole, check, wanted="must be a whole number")


def one_of_numbers(*choices: int) -> Reader[int]:
    """Reads one of a few whole numbers."""

    def check(**named: object) -> None:
        ((name, value),) = named.items()
        if value not in choices:
            raise InvalidValueError(f"{name} must be {' or '.join(map(str, choices))}, got {value!r}")

    return _scalar(to_whole, check, wanted="must be a whole number")


def choice(choices: tuple[str, ...]) -> Reader[Any]:
    """Reads one of a few words; typed loosely, because the words are those of a `Literal`."""

    def read(document: Document, name: str, node: Node) -> Read[Any]:
        word: Read[str] = TEXT(document, name, node)
        if not word.content or word.value in choices:
            return word
        try:
            check_choice(choices=choices, **{name: word.value[:60]})
        except InvalidValueError as error:
            return document.refuse(node, error.message, hint=nearest(word.value, list(choices)))
        return word

    return read


def real_or_choice(check: Check, choices: tuple[str, ...]) -> Reader[Any]:
    """Reads a finite number within the range of `check`, or one of a few words; typed loosely, like `choice`."""
    number = real(check)

    def read(document: Document, name: str, node: Node) -> Read[Any]:
        if not isinstance(node, Scalar) or node.is_empty or not node.text.isalpha():
            return number(document, name, node)
        if node.text in choices:
            return Read((node.text,))
        wanted = f"must be a number or one of {', '.join(choices)}"
        return document.refuse(node, f"{name} {wanted}, got {shown(node.text)}", hint=nearest(node.text, list(choices)))

    return read


def list_of(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """Reads a list whose items all suit `reader`."""

    def read(document: Document, name: str, node: Node) -> Read[tuple[T, ...]]:
        if not isinstance(node, Sequence):
            return document.mismatch(name, node, "must be a list")
        items = [reader(document, f"{name}[{index}]", item) for index, item in enumerate(node.items)]
        if not all(item.content for item in items):
            return document.nothing()
        return Read((tuple(item.value for item in items),))

    return read


def _anything(**named: object) -> None:
    """Both booleans are in range."""


TEXT: Reader[str] = text(check_text)
TIME: Reader[str] = text(check_utc_time)
BOOLEAN: Reader[bool] = _scalar(to_boolean, _anything, wanted="must be true or false")
