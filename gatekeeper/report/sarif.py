"""The report as SARIF 2.1.0: for code scanning, which shows each finding at the policy's line.

A finding that failed is a result of level `error`. One that is inconclusive is too: SARIF has the kind `open` for it,
but of level `none`, and viewers would show nothing where nothing was judged. One that is waived is a `warning` with
a suppression that names the waiver. What passed is no result.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gatekeeper.core.codec import canonical, digest, plain
from gatekeeper.core.policy_file import PolicyFile
from gatekeeper.core.rule_meaning import RuleMeaning
from gatekeeper.core.verdict import Finding
from gatekeeper.report.content import Report, exit_code, headline_of, outcome_of, waiver_sentence
from gatekeeper.report.markdown_text import escape
from gatekeeper.report.rule_meaning import meaning_of
from gatekeeper.report.rule_meaning_text import render_meaning_text
from gatekeeper.report.sections import message, summary

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {"failed": "error", "inconclusive": "error", "waived": "warning"}


def render_sarif(report: Report) -> str:
    """The report as SARIF 2.1.0, one run."""
    return canonical({"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report)]})


def _run(report: Report) -> dict[str, Any]:
    findings, model = report.verdict.findings, report.facts.evidence.candidate.name
    return {
        "tool": {
            "driver": {
                "name": "gatekeeper",
                "version": report.gatekeeper_version,
                "rules": [_rule(finding, report) for finding in findings],
            }
        },
        # Uploads of several models and policies don't replace each other.
        "automationDetails": {"id": f"gatekeeper{_apart(report)}/{report.policy.name}/{model}/"},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(index, finding, report) for index, finding in enumerate(findings) if finding.status in _LEVELS
        ],
        "properties": {
            "verdict": outcome_of(report),
            "summary": summary(report),
            "model": model,
            "policy": report.policy.name,
            "policy_digest": digest(report.policy),
            "epsilon": plain(report.facts.guarantee.epsilon),
            "delta": report.facts.guarantee.delta,
            "noise_multiplier": report.facts.evidence.record.mechanism.noise_multiplier,
            "findings": [plain(finding) for finding in findings],
        },
    }


def _apart(report: Report) -> str:
    """Audits and re-judgements don't replace the results of a certification either."""
    apart = (notice.kind for notice in report.notices if notice.kind != "reuse")
    return "".join(f"/{kind}" for kind in apart)


def _invocation(report: Report) -> dict[str, Any]:
    invocation = {
        "executionSuccessful": True,
        "exitCode": exit_code(report.verdict),
        "exitCodeDescription": outcome_of(report),
        "endTimeUtc": report.created,
    }
    if report.notices:
        invocation["toolExecutionNotifications"] = [
            {"level": "note", "message": {"text": _message_text(f"{headline_of(report)}. {notice.text}")}}
            for notice in report.notices
        ]
    return invocation


def _rule(finding: Finding, report: Report) -> dict[str, Any]:
    meaning = meaning_of(report.policy, finding.rule)
    return {
        "id": finding.rule,
        "shortDescription": {"text": _message_text(finding.statement)},
        "fullDescription": {"text": _message_text(meaning.measures)},
        "help": {"text": _message_text(render_meaning_text(meaning)), "markdown": _braces(_help(meaning))},
        "defaultConfiguration": {"level": "error"},
    }


def _help(meaning: RuleMeaning) -> str:
    lines = [f"**{escape(meaning.demand)}**", "", f"- measures: {escape(meaning.measures)}"]
    if meaning.adversary is not None:
        lines.append(f"- adversary: {escape(meaning.adversary)}")
    lines += [f"- reads: {escape(each)}" for each in meaning.evidence]
    lines.append(f"- passes: {escape(meaning.passes)}")
    lines += [f"- inconclusive: {escape(each)}" for each in meaning.inconclusive]
    lines.append(f"- a pass means: {escape(meaning.means)}")
    lines += [f"- and not: {escape(each)}" for each in meaning.not_said]
    return "\n".join([*lines, f"- waivers: {escape(meaning.waivers)}"])


def _result(index: int, finding: Finding, report: Report) -> dict[str, Any]:
    model = report.facts.evidence.candidate.name
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS[finding.status],
        "message": {"text": _message_text(message(finding))},
        "partialFingerprints": {"ruleAndModel/v1": canonical([finding.rule, model]).rstrip("\n")},
        "properties": plain(finding),
    }
    if report.policy_file is not None:
        result["locations"] = [{"physicalLocation": _location(report.policy_file, finding.rule)}]
    if finding.waiver is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": waiver_sentence(finding, report.facts)}
        ]
    return result


def _location(file: PolicyFile, rule: str) -> dict[str, Any]:
    artifact = {"uri": f"file://{quote(file.path)}"}
    if not file.path.startswith("/"):
        artifact = {"uri": quote(file.path), "uriBaseId": "%SRCROOT%"}
    line = file.line_of(rule)
    return {"artifactLocation": artifact} | ({} if line is None else {"region": {"startLine": line}})


def _message_text(text: str) -> str:
    """A text that is no template and holds no links (SARIF 2.1.0, sections 3.11.5 and 3.11.6).

    A space keeps apart what would be a link: a backslash would not, after another one.
    """
    return _braces(text.replace("](", "] ("))


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
