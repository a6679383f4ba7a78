"""The report as OpenMetrics text: for GitLab's metrics reports, and for whoever charts margins over time.

Specification: OpenMetrics 1.0 (text format). Times are left out: a report is no series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import get_args

from gatekeeper.core.codec import digest
from gatekeeper.core.verdict import Finding, Status
from gatekeeper.report.content import Report, exit_code, outcome_of

_VERDICTS = ("approved", "refused", "inconclusive")

_OF_RULES: tuple[tuple[str, str, Callable[[Finding], float]], ...] = (
    ("gatekeeper_rule_measured", "What the rule reads; NaN where there is none.", lambda finding: finding.measured),
    ("gatekeeper_rule_limit", "What it is compared with.", lambda finding: finding.limit),
    (
        "gatekeeper_rule_margin",
        "How far it is on the passing side; NaN where there is none.",
        lambda finding: finding.margin,
    ),
    (
        "gatekeeper_rule_passed",
        "1 if the rule holds; 0 if it failed, is inconclusive or waived.",
        lambda finding: float(finding.status == "passed"),
    ),
)


def render_openmetrics(report: Report) -> str:
    """The report as OpenMetrics text; it ends with `# EOF`."""
    return "\n".join([*_lines(report), "# EOF"]) + "\n"


def _lines(report: Report) -> Iterator[str]:
    facts, about = report.facts, {"model": report.facts.evidence.candidate.name, "policy": report.policy.name}
    yield from _family("gatekeeper_report", "info", "What judged, and by which policy.")
    version = {"gatekeeper_version": report.gatekeeper_version, "policy_digest": digest(report.policy)}
    kinds = {"kind": "+".join(notice.kind for notice in report.notices)} if report.notices else {}
    yield _sample("gatekeeper_report_info", {**about, **version, **kinds}, 1.0)
    yield from _family("gatekeeper_verdict", "stateset", "The verdict.")
    yield from _states("gatekeeper_verdict", about, outcome_of(report), _states_of(outcome_of(report)))
    for name, meaning, value in (
        (
            "gatekeeper_exit_code",
            "The verdict's: 0 nothing failed or is open, 1 refused, 3 inconclusive.",
            float(exit_code(report.verdict)),
        ),
        ("gatekeeper_epsilon", "Proven upper bound of the run's epsilon at its delta.", facts.guarantee.epsilon.high),
        ("gatekeeper_delta", "The run's delta.", facts.guarantee.delta),
        ("gatekeeper_total_epsilon", "The same of all runs on the units that spent most.", facts.total.epsilon.high),
        (
            "gatekeeper_noise_multiplier",
            "Standard deviation of the noise over the clipping norm.",
            facts.evidence.record.mechanism.noise_multiplier,
        ),
    ):
        yield from _family(name, "gauge", meaning)
        yield _sample(name, about, value)
    yield from _rules(report.verdict.findings, about)


def _states_of(outcome: str) -> tuple[str, ...]:
    """The states of a certification's verdict, and that of an audit or re-judgement that passed."""
    return tuple(dict.fromkeys((*_VERDICTS, outcome)))


def _rules(findings: tuple[Finding, ...], about: dict[str, str]) -> Iterator[str]:
    labelled = [(finding, {**about, "rule": finding.rule}) for finding in findings]
    for name, meaning, read in _OF_RULES:
        yield from _family(name, "gauge", meaning)
        yield from (_sample(name, labels, read(finding)) for finding, labels in labelled)
    yield from _family("gatekeeper_rule_status", "stateset", "How the rule ended.")
    for finding, labels in labelled:
        yield from _states("gatekeeper_rule_status", labels, finding.status, get_args(Status))


def _family(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    yield f"# HELP {name} {_escape(meaning)}"


def _states(name: str, labels: dict[str, str], state: str, states: tuple[str, ...]) -> Iterator[str]:
    return (_sample(name, {**labels, name: each}, float(each == state)) for each in states)


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    listed = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{name}{{{listed}}} {_number(value)}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """A number with every digit that it has."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
