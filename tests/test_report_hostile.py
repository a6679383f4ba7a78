"""Names by somebody who means harm: every format parses, gives them back, and marks up nothing by them."""

from __future__ import annotations

import json

import jsonschema
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from gatekeeper.report import render
from gatekeeper.report.github import _escape, _escape_property, _output, render_github
from gatekeeper.report.junit import xml_text
from gatekeeper.report.markdown_text import escape
from gatekeeper.report.openmetrics import _escape as escape_label
from gatekeeper.report.sarif import _message_text
from tests.format_readers import SHOWN, commands, junit_cases, markdown_rows, markdown_tokens, metrics, sarif_run, shown
from tests.hostile import anything, hostile_report, names
from tests.sarif import sarif_schema

# Reports are large: a failure is shown as it was found.
FEW = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
CHECK = jsonschema.Draft4Validator(sarif_schema())


def spaced(text: str) -> str:
    return " ".join(text.split())


@FEW
@given(names, names, names)
def test_every_format_gives_hostile_names_back(model: str, policy: str, rule: str) -> None:
    report = hostile_report(model=model, policy_name=policy, rule=rule)

    rows = [[shown(cell) for cell in row] for row in markdown_rows(render(report, "markdown"))]
    assert [spaced(rule), "FAIL"] in [[row[1], row[0]] for row in rows]
    assert {len(row) for row in rows[:9]} == {7}

    cases = junit_cases(render(report, "junit"))
    assert xml_text(rule) in [name for name, _, _ in cases]

    run = sarif_run(render(report, "sarif"))
    assert CHECK.is_valid(json.loads(render(report, "sarif")))
    (result,) = [each for each in run["results"] if each["ruleId"] == rule]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == rule
    assert json.loads(result["partialFingerprints"]["ruleAndModel/v1"]) == [rule, model]

    head, *others = commands(render(report, "github"))
    assert head.properties["title"] == f"gatekeeper: {model}"
    assert rule in [each.properties["title"] for each in others]

    found = metrics(render(report, "openmetrics"))
    labels = (("model", model), ("policy", policy), ("rule", rule))
    assert found["gatekeeper_rule_measured", labels] == 0.1


@settings(deadline=None)
@given(anything)
@example("a`b@`c@@`")
@example("\\|\\\\|")
@example("[x]: https://evil.example")
def test_escaped_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    document = f"| a | b |\n| --- | --- |\n| {escape(text)} | end |\n\n- **{escape(text)}**: {escape(text)}\n"
    (_, cells) = markdown_rows(document)
    assert [shown(cell) for cell in cells] == [spaced(text).replace("\x00", "�"), "end"]
    assert {child.type for cell in cells for child in cell.children or ()} <= SHOWN
    allowed = SHOWN | {"strong_open", "strong_close"}
    for token in markdown_tokens(document):
        assert {child.type for child in token.children or ()} <= allowed
        assert token.type not in {"html_block", "fence", "code_block", "heading_open", "hr", "blockquote_open"}


def test_an_escape_that_is_left_out_would_be_seen() -> None:
    document = "| a | b |\n| --- | --- |\n| x | y | z | *end* |\n"
    (_, cells) = markdown_rows(document)
    assert [shown(cell) for cell in cells] != ["x | y | z", "*end*"]


@given(anything)
def test_a_workflow_command_is_one_line_and_comes_back(text: str) -> None:
    line = f"::error title={_escape_property(text)}::{_escape(text)}"
    (command,) = commands(line + "\n")
    assert (command.properties["title"], command.text) == (text, text)


@given(anything, st.text(min_size=1))
def test_a_step_output_ends_where_its_value_ends(value: str, name: str) -> None:
    lines = _output("report", value).split("\n")
    if lines[0].startswith("report="):
        assert lines == [f"report={value}"]
        return
    end = lines[0].removeprefix("report<<")
    assert lines.index(end) == len(lines) - 1
    assert "\n".join(lines[1:-1]) == value


@given(anything)
def test_a_label_comes_back(text: str) -> None:
    name = text.encode("utf-8", "replace").decode()
    document = f'# TYPE x gauge\nx{{a="{escape_label(name)}"}} 1\n# EOF\n'
    assert metrics(document) == {("x", (("a", name),)): 1.0}


@given(anything)
@example("[a\\](https://evil.example) {{0} }")
def test_a_sarif_message_is_no_template_and_has_no_link(text: str) -> None:
    escaped = _message_text(text)
    assert "](" not in escaped
    assert escaped.replace("{{", "").count("{") == 0
    assert escaped.replace("}}", "").count("}") == 0


def test_control_characters_that_came_by_another_way_break_no_format() -> None:
    report = hostile_report(model="tiny", policy_name="sample", rule="accuracy")
    (finding,) = [each for each in report.verdict.findings if each.rule == "accuracy"]
    bad = "x\x00\x1b[31m]]>\r\n::error::y\u2028\x85|"
    for field in ("detail", "remedy", "statement"):
        object.__setattr__(finding, field, bad)
    assert len(commands(render_github(report))) == 2
    (case,) = [case for name, _, case in junit_cases(render(report, "junit")) if name == "accuracy"]
    text = case.findtext("failure") or ""
    assert "x\\u0000\\u001b[31m]]>\\u000d\n::error::y\u2028\x85|" in text
    json.loads(render(report, "sarif"))
    metrics(render(report, "openmetrics"))
    assert len({len(row) for row in markdown_rows(render(report, "markdown"))[:9]}) == 1
