"""A rule's meaning as text and as JSON with a schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.rule_meaning import RuleMeaning
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:rule-meaning:v1"

_WIDTH = 100


def render_meaning_text(meaning: RuleMeaning) -> str:
    """The meaning for a terminal."""
    lines = [f"{meaning.rule} of policy {meaning.policy}: {meaning.demand}", ""]
    lines += _item("measures", meaning.measures)
    if meaning.adversary is not None:
        lines += _item("adversary", meaning.adversary)
    lines += _items("reads", meaning.evidence)
    lines += _item("passes", meaning.passes)
    lines += _items("open", meaning.inconclusive)
    lines += _item("a pass means", meaning.means)
    lines += _items("and not", meaning.not_said)
    lines += _item("waivers", meaning.waivers)
    return "\n".join(lines) + "\n"


def _items(title: str, texts: tuple[str, ...]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield from _item(title if index == 0 else "", text)


def _item(title: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{title:<14}", subsequent_indent=" " * 14)


def render_meaning_json(meaning: RuleMeaning) -> str:
    """The meaning as canonical JSON; `meaning_schema` describes it."""
    return canonical({"schema": SCHEMA, **plain(meaning)})


def meaning_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_meaning_json`'s output."""
    properties: dict[str, Any] = {"schema": {"const": SCHEMA}, **schema_of(RuleMeaning)["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper rule meaning",
        "description": "What `gatekeeper policy explain --json` prints: a rule of a policy in plain words.",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
