"""What sets two policies apart, as text and as JSON with a schema."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.policy_change import PolicyChange, PolicyComparison, PolicyVersion
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:policy-diff:v1"

_SENTENCES = {
    "equal": "EQUAL: both demand the same",
    "tightened": "TIGHTENED: whatever passes the second does not fail the first",
    "loosened": "LOOSENED: what the first refuses may pass the second",
}


def render_policy_diff_text(comparison: PolicyComparison) -> str:
    """The comparison for a terminal: the conclusion, then one line a difference."""
    lines = [
        f"first   {_named(comparison.before)}",
        f"second  {_named(comparison.after)}",
        _SENTENCES[comparison.conclusion],
    ]
    width = max((len(change.kind) for change in comparison.changes), default=0)
    for change in comparison.changes:
        lines.append(f"  {change.kind:<{width}}  {change.where}: {_values(change)}")
        if change.reason is not None:
            lines.append(f"  {'':<{width}}    {change.reason}")
    return "\n".join(lines) + "\n"


def _named(version: PolicyVersion) -> str:
    return f"{version.name} v{version.version}, digest {version.sha256}"


def _values(change: PolicyChange) -> str:
    if change.kind == "added":
        return str(change.after)
    if change.kind == "removed":
        return str(change.before)
    return f"{_or_none(change.before)} → {_or_none(change.after)}"


def _or_none(value: str | None) -> str:
    return "not given" if value is None else value


def render_policy_diff_json(comparison: PolicyComparison) -> str:
    """The comparison as canonical JSON; `policy_diff_schema` describes it."""
    return canonical({"schema": SCHEMA, "conclusion": comparison.conclusion, **plain(comparison)})


def policy_diff_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_policy_diff_json`'s output."""
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        "conclusion": {"enum": list(_SENTENCES)},
        **schema_of(PolicyComparison)["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper policy diff",
        "description": "What `gatekeeper policy diff --json` prints: every demand in which two policies differ.",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
