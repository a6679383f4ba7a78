"""A dry run for machines: versioned JSON with a schema, its numbers in full."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.forecast import Forecast, LedgerForecast
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:dry-run:v1"


def render_forecast_json(
    found: Forecast, foreseen: LedgerForecast | None, *, free_bytes: int, gatekeeper_version: str
) -> str:
    """The dry run as canonical JSON; `forecast_schema` describes it."""
    ledger = None
    if foreseen is not None:
        left = {"attempts_left": foreseen.attempts_left, "total_left": foreseen.total_left}
        ledger = {**plain(foreseen), **left}
    return canonical(
        {
            "schema": SCHEMA,
            "gatekeeper_version": gatekeeper_version,
            **plain(found),
            "free_disk_bytes": free_bytes,
            "ledger": ledger,
        }
    )


def forecast_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_forecast_json`'s output."""
    ledger = schema_of(LedgerForecast)
    left = {
        "attempts_left": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "total_left": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
    }
    ledger = {
        **ledger,
        "properties": {**ledger["properties"], **left},
        "required": sorted((*ledger["required"], *left)),
    }
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        "gatekeeper_version": {"type": "string"},
        **schema_of(Forecast)["properties"],
        "free_disk_bytes": {"type": "integer", "minimum": 0},
        "ledger": {"anyOf": [ledger, {"type": "null"}]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper dry run",
        "description": "What `gatekeeper certify --dry-run --format json` prints: what a run would be, and estimates "
        "of what it would take (times in seconds, sizes in bytes). `ledger` is null where no ledger was read.",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
