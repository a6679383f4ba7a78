"""What a key of a file takes, in words, from its JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from tests.pages.markdown import code

Schema = dict[str, Any]

_UNLIMITED = 10**18  # how the schemas say that a whole number may be as large as a machine's


def definition(node: Schema) -> str:
    """The name of the definition that a schema refers to, or nothing."""
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def resolved(node: Schema, defs: Schema) -> Schema:
    """A schema with its definition's keys; its own win."""
    return {**defs[definition(node)], **node} if "$ref" in node else node


def plain(value: object) -> str:
    """A value as YAML writes it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def value_of(node: Schema, defs: Schema) -> str:
    """What a key takes."""
    node = resolved(node, defs)
    forms = (*node.get("anyOf", ()), *node.get("oneOf", ()))
    if forms and "type" not in node:
        return ", or ".join(dict.fromkeys(value_of(form, defs) for form in forms))
    if "const" in node or "enum" in node:
        return code(*node.get("enum", (node.get("const"),)))
    kind = node["type"] if isinstance(node["type"], str) else " or ".join(node["type"])
    words = {"object": "mapping", "boolean": code("true", "false"), "string": _text(node, defs)}
    if kind == "array":
        return f"list of {value_of(node['items'], defs).replace('mapping', 'mappings')}{_length(node)}"
    return words.get(kind) or f"{'whole number' if kind == 'integer' else kind}{_range(node)}"


def _text(node: Schema, defs: Schema) -> str:
    free = defs.get("text", {}).get("pattern")
    return "text" if node.get("pattern") in (None, free) else "text in the form that the meaning gives"


def _length(node: Schema) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if most is not None:
        return f", {least} of them" if least == most else f", {least} to {most} of them"
    return f", at least {least}" if least else ""


def _range(node: Schema) -> str:
    """The tightest limits that are given."""
    lower = [(node[key], sign) for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">")) if key in node]
    upper = [(node[key], sign) for key, sign in (("maximum", "≤"), ("exclusiveMaximum", "<")) if key in node]
    limits = [*([max(lower)] if lower else []), *([min(upper)] if upper else [])]
    words = [f"{sign} {limit}" for limit, sign in limits if limit != _UNLIMITED]
    return f" {', '.join(words)}" if words else ""
