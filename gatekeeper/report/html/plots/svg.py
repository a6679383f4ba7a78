"""A figure as SVG that can stand in a page: named for who can't see it, its ids its own, and no address in it."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """The figure's SVG element.

    Args:
        figure: what was drawn; `svg.hashsalt` must be set.
        name: what ids begin with; no other picture of the page may have it.
        title: what the picture shows.
        description: the same as it shows, in words.
    """
    output = io.StringIO()
    with warnings.catch_warnings():
        # A font that lacks a character costs its width only: the browser that shows the text has fonts of its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(output.getvalue())
    _drop(root, "metadata")
    for definitions in root.iter(f"{_SVG}defs"):
        _drop(definitions, "style")  # it would style the whole page
    for element in root.iter():
        _make_own(element, prefix=f"{name}-")
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "style": "stroke-linejoin:round;stroke-linecap:butt",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(place, element)
    return ET.tostring(root, encoding="unicode")


def _drop(parent: ET.Element, tag: str) -> None:
    for child in parent.findall(f"{_SVG}{tag}"):
        parent.remove(child)


def _make_own(element: ET.Element, *, prefix: str) -> None:
    """Tags and links without namespaces, which a page needs none of; ids and what refers to them with the prefix."""
    element.tag = element.tag.removeprefix(_SVG)
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, prefix + value)
        elif key == f"{_XLINK}href":
            del element.attrib[key]
            element.set("href", f"#{prefix}{value.removeprefix('#')}")
        else:
            element.set(key, _REFERENCE.sub(rf"url(#{prefix}\1)", value))
