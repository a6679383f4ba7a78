"""The report for GitHub Actions: annotations as workflow commands, and what a step hands to later ones."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.report.content import Report, headline_of, outcome_of, verdict_word
from gatekeeper.report.sections import message, summary

# A waived finding and an approval don't stop a job; everything else does.
_COMMANDS = {"failed": "error", "inconclusive": "error", "waived": "warning"}


def render_github(report: Report) -> str:
    """The report as workflow commands: one for the verdict, one for each finding that did not pass."""
    return "\n".join(_commands(report)) + "\n"


def _commands(report: Report) -> Iterator[str]:
    word, name = verdict_word(report.verdict), report.facts.evidence.candidate.name
    level = "notice" if word == "approved" else "error"
    yield _command(level, f"{headline_of(report)}: {summary(report)}", title=f"gatekeeper: {name}")
    for notice in report.notices:
        yield _command("notice", notice.text, title=f"gatekeeper: {notice.kind} of {name}")
    for finding in report.verdict.findings:
        if finding.status in _COMMANDS:
            place = _place(report, finding.rule)
            yield _command(_COMMANDS[finding.status], message(finding), **place, title=finding.rule)


def _place(report: Report, rule: str) -> dict[str, str]:
    if report.policy_file is None:
        return {}
    line = report.policy_file.line_of(rule)
    file = {"file": report.policy_file.path}
    return file if line is None else {**file, "line": str(line)}


def _command(name: str, text: str, **properties: str) -> str:
    listed = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    return f"::{name} {listed}::{_escape(text)}"


def _escape(text: str) -> str:
    """As the runner's own toolkit escapes a command's message (actions/toolkit, `escapeData`)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def github_outputs(report: Report, *, path: str | None) -> str:
    """Lines for the file that `GITHUB_OUTPUT` names.

    Args:
        report: whose verdict is handed on, as `verdict`: `approved` only where a release may follow.
        path: where the report was written, handed on as `report`; None if nowhere.
    """
    lines = [f"verdict={outcome_of(report)}"]
    if path is not None:
        lines.append(_output("report", path))
    return "\n".join(lines) + "\n"


def _output(name: str, value: str) -> str:
    """One output; a value of several lines ends at a line that is none of its own."""
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}"
    end = "END"
    while end in value:
        end += "_"
    return f"{name}<<{end}\n{value}\n{end}"
