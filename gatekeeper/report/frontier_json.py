"""A frontier for machines: versioned JSON with a schema, its numbers in full."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.frontier import Frontier
from gatekeeper.report.frontier_words import MEANINGS, best_sentence, counted_sentence
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:frontier:v1"


def render_frontier_json(frontier: Frontier) -> str:
    """The frontier as canonical JSON; `frontier_schema` describes it."""
    best = frontier.best
    return canonical(
        {
            "schema": SCHEMA,
            **plain(frontier),
            "best_passing_epsilon": best,
            "passing_epsilons": list(frontier.passing),
            "conclusion": best_sentence(frontier),
            "counted": counted_sentence(frontier),
            "meanings": dict(MEANINGS),
        }
    )


def frontier_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_frontier_json`'s output."""
    text, number = {"type": "string"}, {"type": "number", "exclusiveMinimum": 0}
    own = schema_of(Frontier)
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        **own["properties"],
        "best_passing_epsilon": {"anyOf": [number, {"type": "null"}]},
        "passing_epsilons": {"type": "array", "items": number},
        "conclusion": text,
        "counted": text,
        "meanings": {
            "type": "object",
            "properties": {name: text for name, _ in MEANINGS},
            "required": sorted(name for name, _ in MEANINGS),
            "additionalProperties": False,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper frontier",
        "description": "What `gatekeeper frontier` writes as frontier.json: one candidate at several budgets, each "
        "trained, attacked and judged by a policy.",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
