"""The report for machines: versioned JSON with a schema."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import canonical, digest, plain
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import NON_CLAIMS, RECOMPUTED, Report, exit_code, not_measured, outcome_of, trusted
from gatekeeper.report.notices import OUTCOMES, Notice
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:report:v1"


def render_json(report: Report) -> str:
    """The report as canonical JSON; `report_schema` describes it."""
    return canonical(
        {
            "schema": SCHEMA,
            "gatekeeper_version": report.gatekeeper_version,
            "created": report.created,
            "verdict": outcome_of(report),
            "exit_code": exit_code(report.verdict),
            "policy_digest": digest(report.policy),
            "findings": [plain(finding) for finding in report.verdict.findings],
            "policy": plain(report.policy),
            "facts": plain(report.facts),
            "not_measured": [
                {"adversary": adversary.title, "sees": adversary.description, "reason": reason}
                for adversary, reason in not_measured(report.facts.evidence.attacks.outcomes)
            ],
            "non_claims": list(NON_CLAIMS),
            "recomputed_by_verify": list(RECOMPUTED),
            "trusted": list(trusted(report.facts)),
        }
        | ({"notices": [plain(notice) for notice in report.notices]} if report.notices else {})
    )


def report_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_json`'s output."""
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        "gatekeeper_version": text,
        "created": text,
        "verdict": {"enum": list(OUTCOMES)},
        "exit_code": {"enum": [0, 1, 3]},
        "policy_digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "findings": {"type": "array", "items": schema_of(Finding), "minItems": 1},
        "policy": schema_of(Policy),
        "facts": schema_of(Facts),
        "not_measured": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"adversary": text, "sees": text, "reason": text},
                "required": ["adversary", "reason", "sees"],
                "additionalProperties": False,
            },
        },
        "non_claims": texts,
        "recomputed_by_verify": texts,
        "trusted": texts,
        "notices": {"type": "array", "items": schema_of(Notice), "minItems": 1},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper report",
        "type": "object",
        "properties": properties,
        "required": sorted(properties.keys() - {"notices"}),
        "additionalProperties": False,
    }
