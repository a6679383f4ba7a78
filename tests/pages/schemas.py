"""A page for a kind of file, from its JSON Schema: each mapping a section, each key a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.pages.markdown import code, generated, page, table
from tests.pages.values import Schema, definition, plain, resolved, value_of


@dataclass(frozen=True, kw_only=True, slots=True)
class FileKind:
    """A kind of file.

    Attributes:
        title: the page's title.
        schema: gives the JSON Schema as text.
        command: the group of commands that prints the schema and validates files.
        about: what the file is for.
    """

    title: str
    schema: Callable[[], str]
    command: str
    about: str


def schema_page(kind: FileKind) -> str:
    """The page of a kind of file."""
    schema = json.loads(kind.schema())
    sections = [block for place in _mappings(schema) for block in _section(place)]
    return page(
        (
            f"# {kind.title}",
            generated("descriptions in `gatekeeper/config/schemas/`"),
            kind.about,
            f"`{kind.command} schema` prints the JSON Schema that this page is made from. "
            f"`{kind.command} validate FILE` checks a file: names, types and ranges as here, and what a schema can't "
            "say. Every mistake is shown at once, with its line. Keys that are not listed are refused.",
            *sections,
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A mapping of the file.

    Attributes:
        title: where it stands.
        schema: of the mapping.
        whole: what it must hold where nothing is inherited from another file.
        defs: the schema's definitions.
    """

    title: str
    schema: Schema
    whole: Schema
    defs: Schema


def _mappings(schema: Schema) -> Iterator[_Place]:
    """Every mapping with several keys, the outermost first, in the order of the file."""
    defs = schema.get("$defs", {})

    def walk(node: Schema, path: str, whole: Schema, form: str = "") -> Iterator[_Place]:
        node = resolved(node, defs)
        whole = node["then"] if node.get("if") == {"not": {"required": ["extends"]}} else whole
        keys = node.get("properties", {})
        if len(keys) > 1 or not path:
            yield _Place(title=path + form, schema=node, whole=whole, defs=defs)
        for name, value in keys.items():
            yield from walk(value, f"{path}.{name}" if path else name, whole.get("properties", {}).get(name, {}))
        for each in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            if "type" in each or "$ref" in each:
                yield from walk(each, path, _whole(each, defs), _named(each))
        if "items" in node:
            yield from walk(node["items"], f"{path}[]", {})

    yield from walk(schema, "", {})


def _named(form: Schema) -> str:
    """Which of several forms of a mapping it is, as its definition is called."""
    return f": {definition(form).replace('_', ' ')}" if definition(form) else ""


def _whole(form: Schema, defs: Schema) -> Schema:
    """What the definition NAME must hold where nothing is inherited stands in the definition whole_NAME."""
    return defs.get(f"whole_{definition(form)}", {})


def _section(place: _Place) -> Iterator[str]:
    if place.title:
        yield f"## {place.title}"
        yield place.schema.get("description", "")
    yield "\n".join(table(("key", "value", "default", "meaning"), _rows(place)))


def _rows(place: _Place) -> Iterator[tuple[str, str, str, str]]:
    """A row for each key; a mapping of one key is one row with it."""
    for name, value in place.schema["properties"].items():
        default, meaning = _default(name, value, place), value["description"]
        while len(value.get("properties", {})) == 1:
            only, value = next(iter(value["properties"].items()))
            name, meaning = f"{name}.{only}", f"{meaning} {value['description']}"
        yield code(name), value_of(value, place.defs), default, meaning


def _default(name: str, value: Schema, place: _Place) -> str:
    if name in place.schema.get("required", ()):
        return "required"
    if name in place.whole.get("required", ()):
        return "required unless inherited"
    return code(plain(value["default"])) if "default" in value else "–"
