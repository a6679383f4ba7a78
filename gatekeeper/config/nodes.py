"""The nodes of a parsed YAML file: frozen, and aware of their line and column."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """A piece of text.

    Attributes:
        text: the text, with escapes resolved.
        plain: whether it stood without quotes, and so may be meant as a number, a boolean or null.
        line: from 1.
        column: from 1.
    """

    text: str
    plain: bool
    line: int
    column: int

    @property
    def is_empty(self) -> bool:
        """Whether it says that there is no value."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence:
    """A list.

    Attributes:
        items: in the file's order.
        line: where it starts, from 1.
        column: from 1.
    """

    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapping:
    """Keys and their values; no key occurs twice.

    Attributes:
        entries: in the file's order.
        line: where it starts, from 1: in block style, the place of its first key.
        column: from 1.
    """

    entries: tuple[Entry, ...]
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """What stood here was refused (an alias); the tree's problems say so.

    Attributes:
        line: from 1.
        column: from 1.
    """

    line: int
    column: int


Node = Scalar | Sequence | Mapping | Unusable


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A parsed file.

    Attributes:
        file: the path as the user gave it.
        root: the document.
        problems: what was refused without making the rest unreadable.
    """

    file: str
    root: Node
    problems: tuple[Problem, ...]


def in_file_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Problems by line and column; those at the same place stay as they were found."""
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))


def shown(text: str) -> str:
    """Text of the file for a message: quoted, unprintable characters escaped, at most about 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "…")
