"""The report as JUnit XML: a test case for each finding, for the test views of CI systems.

What failed is a `failure`. What is inconclusive is an `error`: it could not be judged, and is no pass. What is waived
is `skipped`, with the waiver in the message, so that no view counts it among the passed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from gatekeeper.core.codec import digest
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report, exit_code, headline_of, outcome_of
from gatekeeper.report.sections import behind, outcome

# XML 1.0, section 2.2; a carriage return is allowed, but parsers read it as a line feed.
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_ELEMENTS = {"failed": "failure", "inconclusive": "error", "waived": "skipped"}


def render_junit(report: Report) -> str:
    """The report as JUnit XML, UTF-8."""
    policy, model = report.policy, report.facts.evidence.candidate.name
    counts = _counts(report.verdict.findings)
    root = ET.Element("testsuites", {"name": "gatekeeper", **counts})
    name = f"{model} by policy {policy.name} v{policy.version}"
    if outcome_of(report) != headline_of(report).lower():
        name = f"{headline_of(report)}: {name}"
    suite = ET.SubElement(root, "testsuite", {"name": xml_text(name), **counts})
    suite.set("timestamp", report.created.removesuffix("Z"))
    _add_properties(
        suite,
        verdict=outcome_of(report),
        exit_code=str(exit_code(report.verdict)),
        created=report.created,
        model=model,
        policy=policy.name,
        policy_version=str(policy.version),
        policy_digest=digest(policy),
        gatekeeper_version=report.gatekeeper_version,
        epsilon=repr(report.facts.guarantee.epsilon.high),
        delta=repr(report.facts.guarantee.delta),
        noise_multiplier=repr(report.facts.evidence.record.mechanism.noise_multiplier),
        **{notice.kind: notice.text for notice in report.notices},
    )
    for finding in report.verdict.findings:
        _add_case(suite, finding, report)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    r"""A text that XML can hold: what it can't is written as `\uXXXX`.

    >>> xml_text("a\x00]]>\ufffe")
    'a\\u0000]]>\\ufffe'
    """
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _counts(findings: tuple[Finding, ...]) -> dict[str, str]:
    statuses = [finding.status for finding in findings]
    return {
        "tests": str(len(statuses)),
        "failures": str(statuses.count("failed")),
        "errors": str(statuses.count("inconclusive")),
        "skipped": str(statuses.count("waived")),
    }


def _add_case(suite: ET.Element, finding: Finding, report: Report) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": xml_text(f"gatekeeper.{report.policy.name}"), "name": xml_text(finding.rule)},
    )
    if report.policy_file is not None:
        case.set("file", xml_text(report.policy_file.path))
        line = report.policy_file.line_of(finding.rule)
        if line is not None:
            case.set("line", str(line))
    known = {
        "status": finding.status,
        "statement": finding.statement,
        "comparator": finding.comparator,
        "measured": repr(finding.measured),
        "limit": repr(finding.limit),
        "margin": repr(finding.margin),
        "statistic": finding.statistic,
        "confidence": None if finding.confidence is None else repr(finding.confidence),
        "sample_size": None if finding.sample_size is None else str(finding.sample_size),
        "waiver": finding.waiver,
    }
    _add_properties(case, **{name: value for name, value in known.items() if value is not None})
    if finding.status in _ELEMENTS:
        headline = {"type": finding.status, "message": xml_text(outcome(finding))}
        ET.SubElement(case, _ELEMENTS[finding.status], headline).text = xml_text(behind(finding))
    else:
        ET.SubElement(case, "system-out").text = xml_text(f"{outcome(finding)}\n{behind(finding)}")


def _add_properties(element: ET.Element, **values: str) -> None:
    properties = ET.SubElement(element, "properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": name, "value": xml_text(value)})
