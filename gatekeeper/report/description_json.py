"""A description for machines, and its legend: versioned JSON with a schema; CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.description import Description, Legend
from gatekeeper.report.description_text import PRIVATE
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:data-description:v1"


def render_description_json(description: Description) -> str:
    """The description as canonical JSON, its numbers in full; `description_schema` describes it."""
    return canonical({"schema": SCHEMA, "private": PRIVATE, **plain(description)})


def description_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_description_json`'s output."""
    own = schema_of(Description)
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        "private": {"const": PRIVATE},
        **own["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper data describe",
        "description": "What `gatekeeper data describe` finds before a run: private facts about a candidate's data, "
        "units under pseudonyms that another call names otherwise.",
        "type": "object",
        "properties": properties,
        "required": sorted([*own["required"], "schema", "private"]),
        "additionalProperties": False,
    }


def render_legend_csv(legend: Legend) -> str:
    """Whom the pseudonyms stand for, one line an image. Private."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("pseudonym", "unit", "image"))
    rows.writerows((entry.pseudonym, entry.unit, image) for entry in legend.entries for image in entry.images)
    return text.getvalue()
