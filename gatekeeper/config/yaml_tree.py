"""YAML text as a tree of frozen nodes that know their line and column.

Design note: the tree is built from PyYAML's events rather than by its constructors, so nothing in a file can
name a type, and YAML 1.1's guesses (`no` is false, `1e9` is text, `12:30` is 750) never happen: a scalar stays
text until a reader asks for a number. What makes YAML ambiguous or lets it grow without bound is refused:
duplicate keys, anchors, aliases, merge keys, tags, several documents, nesting beyond 32.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn, Protocol

import yaml

from gatekeeper.config.nodes import Entry, Mapping, Node, Scalar, Sequence, Tree, Unusable, in_file_order, shown
from gatekeeper.config.source import Place, end_of, read_text
from gatekeeper.errors import ConfigError, Problem

MAX_DEPTH = 32

_EMPTY = "is it the right file? `gatekeeper init` writes a candidate and a policy to start from"


def parse(path: Path) -> Tree:
    """Parse a file.

    Args:
        path: a UTF-8 file of at most 1 MiB that holds one YAML document.

    Returns:
        The tree. Duplicate keys, anchors, aliases, merge keys and tags are among its problems, so that a reader
        can report its own mistakes along with them.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: there is no tree: too large, not UTF-8, not YAML, empty, nested too deeply, or several
            documents. It carries every problem found up to there.
    """
    return parse_text(read_text(path), file=str(path))


def parse_text(text: str, *, file: str) -> Tree:
    """Parse text that is at hand already.

    Args:
        text: one YAML document.
        file: what to call it in messages.

    Raises:
        ConfigError: as `parse` does.
    """
    return _Builder(file=file, text=text).tree()


class _Builder:
    """Turns the events of one text into a tree."""

    def __init__(self, *, file: str, text: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._text = text
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._reached = Place(line=1, column=1)

    def tree(self) -> Tree:
        """The whole document."""
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            self._stop(Place(line=1, column=1), "the file is empty", hint=_EMPTY)
        root = self._node(self._next(), depth=1)
        if isinstance(root, Scalar) and root.is_empty:
            self._stop(_place(root), "the document is empty", hint=_EMPTY)
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop(_start(after), "a second document starts here", hint="use one file for each document")
        return Tree(file=self._file, root=root, problems=in_file_order(self._problems))

    def _next(self) -> yaml.Event:
        """The next event; what is not YAML ends the parse."""
        try:
            event = next(self._events)
        except yaml.MarkedYAMLError as error:
            context = f" ({error.context})" if error.context else ""
            place = _at(error.problem_mark or error.context_mark)
            self._stop(place, f"not YAML: {error.problem}{context}", hint=_syntax_hint(str(error.problem)))
        except yaml.reader.ReaderError as error:
            character = f"U+{ord(self._text[error.position]):04X}"
            self._stop(end_of(self._text[: error.position]), f"not YAML: the character {character} is not allowed")
        except (ValueError, OverflowError):
            # PyYAML hands the digits of `\U` escapes and of `%YAML` to chr() and int() unchecked.
            self._stop(self._reached, "not YAML: after this, an escape or a directive holds a number out of range")
        self._reached = _at(event.end_mark)
        return event

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        place = _start(event)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(place, "aliases (`*name`) are not allowed", hint="write the value out")
            return Unusable(line=place.line, column=place.column)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._refuse(place, "anchors (`&name`) are not allowed", hint="write the value out where it is needed")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if depth > MAX_DEPTH:
            self._stop(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.CollectionStartEvent) and event.tag is not None:
            self._refuse_tag(place, event.tag)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place, depth=depth)
        return self._mapping(place, depth=depth)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        if event.tag is not None:
            self._refuse_tag(place, event.tag)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._refuse(
                place, "an escape stands for half a character (a surrogate)", hint="write the character itself"
            )
        return Scalar(text=event.value, plain=not event.style, line=place.line, column=place.column)

    def _sequence(self, place: Place, *, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        return Sequence(items=tuple(items), line=place.line, column=place.column)

    def _mapping(self, place: Place, *, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(self._next(), depth=depth + 1)
            entry = self._entry(key, value, entries)
            if entry is not None:
                entries[entry.key.text] = entry
        return Mapping(entries=tuple(entries.values()), line=place.line, column=place.column)

    def _entry(self, key: Node, value: Node, earlier: dict[str, Entry]) -> Entry | None:
        """The entry, or None where its key is refused."""
        if isinstance(key, Unusable):
            return None
        if not isinstance(key, Scalar):
            self._refuse(_place(key), "a key must be a word", hint="put quotes around text that starts with [ or {")
        elif key.plain and key.text == "<<":
            self._refuse(_place(key), "merge keys (`<<`) are not allowed", hint="write the keys out")
        elif key.text in earlier:
            line = earlier[key.text].key.line
            self._refuse(_place(key), f"duplicate key {shown(key.text)}, first given in line {line}")
        else:
            return Entry(key=key, value=value)
        return None

    def _refuse_tag(self, place: Place, tag: str) -> None:
        self._refuse(place, f"tags are not allowed, got {shown(tag)}", hint="remove the tag; types follow from the key")

    def _refuse(self, place: Place, message: str, *, hint: str | None = None) -> None:
        self._problems.append(
            Problem(file=self._file, line=place.line, column=place.column, message=message, hint=hint)
        )

    def _stop(self, place: Place, message: str, *, hint: str | None = None) -> NoReturn:
        self._refuse(place, message, hint=hint)
        raise ConfigError(in_file_order(self._problems))


def _place(node: Node) -> Place:
    return Place(line=node.line, column=node.column)


def _start(event: yaml.Event) -> Place:
    return _at(event.start_mark)


class _Mark(Protocol):
    """PyYAML's place in a text, counted from 0."""

    line: int
    column: int


def _at(mark: _Mark | None) -> Place:
    """A mark as a place; the very start where PyYAML gives no mark."""
    return Place(line=mark.line + 1, column=mark.column + 1) if mark else Place(line=1, column=1)


def _syntax_hint(problem: str) -> str | None:
    """The usual remedy for the commonest mistakes."""
    if "'\\t'" in problem:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "check the indentation; put quotes around text that holds a colon and a space"
    if "could not find expected ':'" in problem:
        return "each key needs a colon and a space after it"
    if "cannot start any token" in problem:
        return "put quotes around text that starts with a special character"
    return None
