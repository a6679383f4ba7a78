"""An explanation as text and as JSON with a schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.explanation import Explanation, Knob, RuleExplanation
from gatekeeper.core.rounding import in_short
from gatekeeper.report.schema import schema_of

SCHEMA = "urn:gatekeeper:explanation:v1"

NO_PROMISE = (
    "The settings are computed from closed forms, accounting and the limits of this run's own measurements. None of "
    "them is a promise: another run is another attempt, counted by the ledger and read at its own confidence."
)

_WIDTH = 100
_MARKS = {"passed": "PASS", "failed": "FAIL", "inconclusive": "OPEN", "waived": "WAIVED"}


def render_explanation_text(explanation: Explanation) -> str:
    """The explanation for a terminal: what did not pass first, each rule with its margin and its knobs."""
    lines = [
        f"{explanation.verdict.upper()}   {explanation.candidate}, policy {explanation.policy} "
        f"v{explanation.policy_version}, attempt {explanation.attempt}, run {explanation.run}",
        "",
    ]
    for rule in sorted(explanation.rules, key=lambda rule: rule.status == "passed"):
        lines += [*_rule(rule), ""]
    return "\n".join([*lines, *textwrap.wrap(NO_PROMISE, _WIDTH)]) + "\n"


def _rule(rule: RuleExplanation) -> Iterator[str]:
    yield f"{_MARKS[rule.status]}  {rule.rule}: {rule.demand}"
    yield from _wrapped(rule.margin)
    if rule.status == "passed":
        return
    yield from _wrapped(f"because: {rule.because}")
    for knob in rule.knobs:
        yield from _wrapped(f"→ {_knob(knob)}")
    for caveat in rule.caveats:
        yield from _wrapped(f"! {caveat}")


def _knob(knob: Knob) -> str:
    needed = "no value is enough" if knob.needed is None else in_short(knob.needed)
    return f"{knob.setting}: {knob.now:.6g} → {needed}: {knob.meaning}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="        ")


def render_explanation_json(explanation: Explanation) -> str:
    """The explanation as canonical JSON; `explanation_schema` describes it."""
    return canonical({"schema": SCHEMA, **plain(explanation), "no_promise": NO_PROMISE})


def explanation_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `render_explanation_json`'s output."""
    properties: dict[str, Any] = {
        "schema": {"const": SCHEMA},
        **schema_of(Explanation)["properties"],
        "no_promise": {"type": "string"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA,
        "title": "gatekeeper explanation",
        "description": "What `gatekeeper explain --json` prints: each rule of a verdict, and what would change it.",
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }
