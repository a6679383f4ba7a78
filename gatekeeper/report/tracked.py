"""A judged run for a tracking server: parameters, metrics and tags, and the documents that go with them.

Everything is made from facts that a report prints. What is not finite is left out of the metrics, for a server may turn
it into a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from gatekeeper.core.codec import digest, encode, plain
from gatekeeper.core.frontier_point import RiskFigure, Setting
from gatekeeper.core.tracked import Document, Entry, Figure
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Approval
from gatekeeper.report.content import Report, verdict_word
from gatekeeper.report.sections import summary

_FOREIGN = re.compile(r"[^A-Za-z0-9.-]+")
# What every server keeps whole; longer values are in the documents.
_LONGEST_VALUE = 500
_LONGEST_NAME = 250


def parameters(report: Report) -> tuple[Entry, ...]:
    """What was to be built, on what, and how: one entry a number or word; long ones are in the documents alone."""
    evidence = report.facts.evidence
    parts = {"candidate": evidence.candidate, "dataset": evidence.dataset, "plan": evidence.plan}
    leaves = [leaf for name, noun in parts.items() for leaf in _leaves(plain(noun), name)]
    return tuple(Entry(name=name, value=value) for name, value in leaves if 0 < len(value) <= _LONGEST_VALUE)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    elif isinstance(value, list):
        yield name, ", ".join(str(inner) for inner in value)
    elif value is not None:
        yield name, str(value)


def figures(report: Report, *, setting: Setting, risks: tuple[RiskFigure, ...]) -> tuple[Figure, ...]:
    """What was proven and measured; names are made of letters, digits and `_.-/`, and none repeats.

    Args:
        report: of the run.
        setting: the noise that ran.
        risks: every adversary's bound and attacks.
    """
    found: dict[str, float] = {}
    for name, value in _figures(report, setting, risks):
        if math.isfinite(value):
            found[_unused(name, found)] = float(value)
    return tuple(Figure(name=name, value=value) for name, value in found.items())


def _unused(name: str, taken: dict[str, float]) -> str:
    """The name, or with a number where two classes, say, differ in nothing that a name may hold."""
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}.{number}"
    return found


def _figures(report: Report, setting: Setting, risks: tuple[RiskFigure, ...]) -> Iterator[tuple[str, float]]:
    facts = report.facts
    yield "epsilon", facts.guarantee.epsilon.high
    yield "delta", facts.guarantee.delta
    yield "total_epsilon", facts.total.epsilon.high
    yield "attempt", facts.ledger.attempts
    yield "noise_multiplier", setting.mechanism.noise_multiplier
    yield "steps", setting.mechanism.steps
    yield "participations", setting.participations
    yield "snr_one_step", setting.snr_one_step
    yield "snr_all_steps", setting.snr_all_steps
    yield "training_seconds", facts.evidence.record.seconds
    for finding in report.verdict.findings:
        rule = f"rule/{_part(finding.rule)}"
        yield f"{rule}/measured", finding.measured
        yield f"{rule}/limit", finding.limit
        yield f"{rule}/margin", finding.margin
        yield f"{rule}/passed", float(finding.status == "passed")
    utility = facts.evidence.utility
    for kind, measurements in (("utility", utility.measurements), ("drop", utility.drops)):
        for measurement in measurements:
            yield from _limits(kind, measurement)
    for risk in risks:
        yield from _risk(risk)


def _limits(kind: str, measurement: Measurement) -> Iterator[tuple[str, float]]:
    of_class = "" if measurement.class_name is None else f"/{_part(measurement.class_name)}"
    at = _part(f"{100 * measurement.confidence:.6g}")
    name = f"{kind}/{measurement.metric}{of_class}"
    yield f"{name}/lower_limit_{at}", measurement.low
    yield f"{name}/estimate_{at}", measurement.estimate
    yield f"{name}/upper_limit_{at}", measurement.high


def _risk(risk: RiskFigure) -> Iterator[tuple[str, float]]:
    measure = "" if risk.similarity is None else f"/{risk.similarity.measure}"
    name = f"risk/{_part(risk.adversary.title)}{measure}"
    if risk.bound is not None:
        yield f"{name}/{_part(risk.adversary.closed_form)}", risk.bound
    if risk.threshold is not None:
        yield f"{name}/threshold", risk.threshold
    for attack in risk.attacks:
        yield f"{name}/{_part(attack.attack)}/upper_limit_{_part(f'{100 * attack.confidence:.6g}')}", attack.upper


def _part(text: str) -> str:
    """A part of a metric's name: what a server may refuse becomes a low line, and no part is a step up a path."""
    found = _FOREIGN.sub("_", text).strip("_")[: _LONGEST_NAME // 3]
    return found if found.strip(".") else "_"


def tags(report: Report) -> tuple[Entry, ...]:
    """Verdict and digests, by names that begin with `gatekeeper.`."""
    facts, verdict = report.facts, report.verdict
    waivers = [use.id for use in verdict.waivers] if isinstance(verdict, Approval) else []
    found = {
        "verdict": verdict_word(verdict),
        "summary": summary(report),
        "version": report.gatekeeper_version,
        "judged": report.created,
        "run": facts.ledger.run,
        "candidate_sha256": digest(facts.evidence.candidate),
        "model_sha256": facts.evidence.model.sha256,
        "policy": f"{report.policy.name} v{report.policy.version}",
        "policy_sha256": digest(report.policy),
        "data_commitment": facts.evidence.dataset.commitment,
        "synthetic_data": str(facts.evidence.dataset.synthetic).lower(),
        **({"waivers": ", ".join(waivers)} if waivers else {}),
    }
    return tuple(Entry(name=f"gatekeeper.{name}", value=value) for name, value in found.items())


def documents(report: Report) -> tuple[Document, ...]:
    """The report in every format for people and programs, the policy and the candidate."""
    from gatekeeper.report import FORMATS, render

    suffixes = {"json": "json", "markdown": "md", "text": "txt", "html": "html"}
    reports = [
        Document(name=f"report.{suffix}", text=render(report, name))
        for name, suffix in suffixes.items()
        if name in FORMATS
    ]
    policy = Document(name="policy.json", text=encode(report.policy))
    return (*reports, policy, Document(name="candidate.json", text=encode(report.facts.evidence.candidate)))
