"""Pages as a strict reader sees them: every element closed in its order, every attribute once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str | None = None) -> Iterator[Element]:
        """The elements beneath it, in the page's order; of one tag or of any."""
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag):
                    yield child
                yield from child.all(tag)

    def one(self, tag: str) -> Element:
        (found,) = self.all(tag)
        return found

    @property
    def text(self) -> str:
        """All of its text, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            yield from (child,) if isinstance(child, str) else child._texts()

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element(tag="", attributes={})]
        self.doctypes: list[str] = []

    def handle_decl(self, declaration: str) -> None:
        self.doctypes.append(declaration)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = self._add(tag, attributes)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert any(element.tag == "svg" for element in self.open) or tag == "svg", f"<{tag}/> outside of SVG"
        self._add(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, text: str) -> None:
        self.open[-1].children.append(text)

    def _add(self, tag: str, attributes: list[tuple[str, str | None]]) -> Element:
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag=tag, attributes={name: value or "" for name, value in attributes})
        self.open[-1].children.append(element)
        return element


def read_page(text: str) -> Element:
    """The `html` element of a page.

    Raises:
        AssertionError: the page is not well formed.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.doctypes == ["DOCTYPE html"]
    (root,) = reader.open
    return root.one("html")
