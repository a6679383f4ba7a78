"""Reading a tree key by key while collecting every mistake.

A reader never stops at a mistake: it reports the problem and gives a `Read` without a value. A noun is built only
from a section without mistakes, so a value that was not read is never used, and one pass reports everything.

    document = Document(parse(path))
    spec = document.root.mapping("spec")
    epsilon = spec.mapping("epsilon").required("max", real(check_positive))
    budget = spec.build(lambda: Budget(epsilon=epsilon.value, …))
    return document.finish(budget)
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gatekeeper.config.nodes import Mapping, Node, Scalar, Sequence, Tree, Unusable, in_file_order, shown
from gatekeeper.errors import ConfigError, InternalError, InvalidValueError, Problem

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What a reader made of a place in the file: one value, or none if there was a mistake."""

    content: tuple[T, ...]

    @property
    def value(self) -> T:
        """The value, inside a `build` only: it is not called after a mistake."""
        if not self.content:
            raise InternalError("a value was used although reading it had failed")
        return self.content[0]

    def value_or(self, default: D) -> T | D:
        """The value, or `default` after a mistake: for choosing what else to read."""
        return self.content[0] if self.content else default


Reader = Callable[["Document", str, Node], Read[T]]
"""Makes a value of a node. The text is the field's full name, such as `spec.privacy.epsilon.max`, for messages."""


class Document:
    """One file while it is read: its problems, and the sections that were opened.

    Attributes:
        root: the whole document as a section.
        mistakes: how often a reader had to give up; it only ever grows.
    """

    def __init__(self, tree: Tree) -> None:
        """Start reading a tree; its problems are the first."""
        self._tree = tree
        self._problems = list(tree.problems)
        self._sections: list[Section] = []
        self.mistakes = 0
        self.root = self.section("", tree.root)

    def section(self, name: str, node: Node) -> Section:
        """A node as a section; one that is not a mapping is a mistake, and gives a section without values."""
        if isinstance(node, Mapping):
            return self._opened(Section(self, name=name, node=node))
        self.mismatch(name or "the document", node, "must be a mapping of keys to values")
        return self.lost(name)

    def lost(self, name: str) -> Section:
        """The section whose absence has been reported: its readers give no values and stay silent."""
        return self._opened(Section(self, name=name, node=None))

    def _opened(self, section: Section) -> Section:
        self._sections.append(section)
        return section

    def report(self, node: Node, message: str, *, hint: str | None = None) -> None:
        """Add a problem at a node."""
        self.mistakes += 1
        problem = Problem(file=self._tree.file, line=node.line, column=node.column, message=message, hint=hint)
        self._problems.append(problem)

    def refuse(self, node: Node, message: str, *, hint: str | None = None) -> Read[T]:
        """Add a problem at a node; the value that it leaves."""
        self.report(node, message, hint=hint)
        return self.nothing()

    def mismatch(self, name: str, node: Node, wanted: str) -> Read[T]:
        """Refuse a node of the wrong kind; an alias has been refused already."""
        if isinstance(node, Unusable):
            return self.nothing()
        if isinstance(node, Scalar) and node.is_empty:
            return self.refuse(node, f"{name} is empty: it {wanted}")
        return self.refuse(node, f"{name} {wanted}, got {_described(node)}")

    def nothing(self) -> Read[T]:
        """The value after a mistake that has been reported."""
        self.mistakes += 1
        return Read(())

    def finish(self, read: Read[T]) -> T:
        """The value, if the file has no mistake at all.

        Raises:
            ConfigError: with every problem, in the file's order.
        """
        for section in self._sections:
            section.report_unknown_keys()
        self.require_no_problem()
        return read.value

    def require_no_problem(self) -> None:
        """Stop here if there is a problem, without a word on keys that were not asked for yet.

        Raises:
            ConfigError: with every problem so far, in the file's order.
        """
        if self._problems:
            raise ConfigError(in_file_order(self._problems))


class Section:
    """One mapping while it is read. The keys that are asked for are the keys that it may have."""

    def __init__(self, document: Document, *, name: str, node: Mapping | None) -> None:
        """Open a section under its full name; without a node it is one whose absence has been reported."""
        self.document = document
        self._name = name
        self._node = node
        self._values = {entry.key.text: entry.value for entry in node.entries} if node else {}
        self._known: list[str] = []
        self._mistakes_before = document.mistakes

    def full_name(self, key: str) -> str:
        """The key with the names of the sections around it."""
        return f"{self._name}.{key}" if self._name else key

    def has(self, key: str) -> bool:
        """Whether the file gives the key."""
        self._known.append(key)
        return key in self._values

    def is_text(self, key: str, *texts: str) -> bool:
        """Whether the file gives the key a single word: any, or one of those named."""
        node = self._values.get(key)
        return isinstance(node, Scalar) and (not texts or node.text in texts)

    def required(self, key: str, reader: Reader[T]) -> Read[T]:
        """The value of a key that must be there."""
        if not self.has(key):
            self.report_missing(key)
            return self.document.nothing()
        return reader(self.document, self.full_name(key), self._values[key])

    def optional(self, key: str, reader: Reader[T], *, default: D) -> Read[T | D]:
        """The value of a key, or `default` where the file does not give it."""
        if self._node is None:
            return self.document.nothing()
        if not self.has(key):
            return Read((default,))
        # A Read only hands its value out, so one of T serves as one of T | D.
        return Read(reader(self.document, self.full_name(key), self._values[key]).content)

    def mapping(self, key: str) -> Section:
        """The section under a key that must be there."""
        if not self.has(key):
            self.report_missing(key)
            return self.document.lost(self.full_name(key))
        return self.document.section(self.full_name(key), self._values[key])

    def optional_mapping(self, key: str) -> Section | None:
        """The section under a key, or None where the file does not give it."""
        return self.mapping(key) if self.has(key) else None

    def report(self, key: str, message: str, *, hint: str | None = None) -> None:
        """Add a problem at the value of a key, or at the section where the file does not give the key."""
        node = self._values.get(key, self._node)
        if node is not None:
            self.document.report(node, message, hint=hint)

    def build(self, make: Callable[[], T], *, blame: str) -> Read[T]:
        """A noun, if this section and those opened since have no mistake.

        Args:
            make: builds the noun from values that were read.
            blame: the key at which the noun's own refusal is reported, if it refuses the values.
        """
        if self._node is None or self.document.mistakes != self._mistakes_before:
            return self.document.nothing()
        try:
            return Read((make(),))
        except InvalidValueError as error:
            self.report(blame, error.message, hint=error.hint)
            return self.document.nothing()

    def report_unknown_keys(self) -> None:
        """Add a problem for every key that was not asked for."""
        for entry in self._node.entries if self._node else ():
            key = entry.key.text
            if key not in self._known:
                place = f" in {self._name}" if self._name else ""
                self.document.report(entry.key, f"unknown key {shown(key)}{place}", hint=nearest(key, self._known))

    def report_missing(self, key: str, *, hint: str | None = None) -> None:
        """Add a problem for a key that should be there, at the section."""
        if self._node is not None:
            place = f" in {self._name}" if self._name else ""
            self.document.report(self._node, f"missing key `{key}`{place}", hint=hint)

    def ignore_other_keys(self) -> None:
        """Take every key for known, where it is not known what the section is."""
        self._known.extend(self._values)


def nearest(word: str, known: list[str]) -> str:
    """A hint: the known word that was probably meant, or else all of them."""
    close = difflib.get_close_matches(word[:60].lower(), known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(dict.fromkeys(known))}"


def _described(node: Node) -> str:
    if isinstance(node, Scalar):
        return shown(node.text)
    return "a list" if isinstance(node, Sequence) else "a mapping"
