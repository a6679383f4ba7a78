"""Every format for CI systems says what the JSON report says: the same verdict, findings and numbers."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import jsonschema
import junitparser
import pytest

from gatekeeper.cli import output
from gatekeeper.core.policy_file import PolicyFile, RuleLine
from gatekeeper.errors import InvalidValueError
from gatekeeper.pipeline.inputs import read_policy
from gatekeeper.report import FORMATS, Report, render
from gatekeeper.report.content import NON_CLAIMS
from gatekeeper.report.github import github_outputs
from gatekeeper.report.implied_rules import implied_meanings
from gatekeeper.report.openmetrics import _number
from gatekeeper.report.rule_meaning import meaning_of
from tests.facts import bound, measurement, sample_facts, sample_policy
from tests.format_readers import commands, junit_cases, markdown_rows, markdown_tokens, metrics, sarif_run, shown
from tests.hostile import report_of
from tests.sarif import sarif_schema
from tests.test_waivers import WORSE, _today, facts_of, policy_of, presented, waiver_lines  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent

APPROVED = report_of(sample_policy(), sample_facts())
REFUSED = report_of(sample_policy(), sample_facts(epsilon=1e9, accuracy=measurement(low=0.1), risk=bound(0.5)))
OPEN = report_of(sample_policy(), sample_facts(accuracy=measurement(estimate=math.nan, low=math.nan, high=math.nan)))
FILE = PolicyFile(
    path="policies/a b,c.yaml",
    lines=tuple(RuleLine(rule=finding.rule, line=3 + i) for i, finding in enumerate(REFUSED.verdict.findings)),
)


@pytest.fixture
def waived(tmp_path: Path) -> Report:
    policy, facts = policy_of(), facts_of(drop=WORSE)
    return report_of(policy, dataclasses.replace(facts, waivers=presented(policy, tmp_path, waiver_lines(policy))))


def machine(report: Report) -> dict[str, object]:
    return json.loads(render(report, "json"))


def numbers(report: Report) -> list[tuple[str, float, float, float]]:
    """Rule, measured, limit and margin, by the JSON report."""
    found = machine(report)["findings"]
    assert isinstance(found, list)
    return [(each["rule"], *(float(each[name]) for name in ("measured", "limit", "margin"))) for each in found]


def same(found: list[tuple[str, float, float, float]], expected: list[tuple[str, float, float, float]]) -> bool:
    """Whether rules and numbers are the same, to the last bit; a NaN is a NaN."""
    return [list(map(repr, each)) for each in found] == [list(map(repr, each)) for each in expected]


REPORTS = pytest.mark.parametrize("report", [APPROVED, REFUSED, OPEN], ids=["approved", "refused", "open"])


def test_the_command_line_offers_every_format() -> None:
    assert output.FORMATS == FORMATS


@REPORTS
def test_junit_has_the_numbers_of_the_json_report(report: Report) -> None:
    cases = junit_cases(render(report, "junit"))
    found = [(name, *(float(p[key]) for key in ("measured", "limit", "margin"))) for name, p, _ in cases]
    assert same(found, numbers(report))
    assert [p["status"] for _, p, _ in cases] == [finding.status for finding in report.verdict.findings]


@REPORTS
def test_a_junit_parser_counts_what_the_verdict_counts(report: Report) -> None:
    text = render(report, "junit").encode()
    (suite,) = junitparser.JUnitXml.fromroot(junitparser.junitparser.etree.parse(io.BytesIO(text)).getroot())
    statuses = [finding.status for finding in report.verdict.findings]
    kinds = {junitparser.Failure: "failed", junitparser.Error: "inconclusive", junitparser.Skipped: "waived"}
    read = [kinds[type(case.result[0])] if case.result else "passed" for case in suite]
    assert read == statuses
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        len(statuses),
        statuses.count("failed"),
        statuses.count("inconclusive"),
        0,
    )


@REPORTS
def test_openmetrics_has_the_numbers_of_the_json_report(report: Report) -> None:
    text = render(report, "openmetrics")
    assert text.endswith("# EOF\n")
    samples = metrics(text)
    about = (("model", "tiny"), ("policy", "sample"))
    found = [
        (
            rule,
            *(samples[f"gatekeeper_rule_{name}", (*about, ("rule", rule))] for name in ("measured", "limit", "margin")),
        )
        for rule, *_ in numbers(report)
    ]
    assert same(found, numbers(report))
    for finding in report.verdict.findings:
        assert samples["gatekeeper_rule_passed", (*about, ("rule", finding.rule))] == (finding.status == "passed")
    document = machine(report)
    assert samples["gatekeeper_exit_code", about] == document["exit_code"]
    state = (("gatekeeper_verdict", str(document["verdict"])), *about)
    assert samples["gatekeeper_verdict", state] == 1.0
    assert samples["gatekeeper_epsilon", about] == report.facts.guarantee.epsilon.high
    assert samples["gatekeeper_noise_multiplier", about] == report.facts.evidence.record.mechanism.noise_multiplier


@REPORTS
def test_sarif_follows_its_schema_and_has_the_numbers_of_the_json_report(report: Report) -> None:
    document = json.loads(render(dataclasses.replace(report, policy_file=FILE), "sarif"))
    schema = sarif_schema()
    jsonschema.Draft4Validator.check_schema(schema)
    jsonschema.Draft4Validator(schema).validate(document)
    run = sarif_run(json.dumps(document))
    assert run["properties"]["findings"] == machine(report)["findings"]
    results = [
        (r["ruleId"], *(float(r["properties"][n]) for n in ("measured", "limit", "margin"))) for r in run["results"]
    ]
    shows = [each for each, f in zip(numbers(report), report.verdict.findings, strict=True) if f.status != "passed"]
    assert same(results, shows)
    assert {result["level"] for result in run["results"]} <= {"error"}
    document["runs"][0]["results"] = [{"level": "error"}]
    assert not jsonschema.Draft4Validator(schema).is_valid(document)


def test_sarif_points_at_the_policys_line_and_explains_each_rule() -> None:
    run = sarif_run(render(dataclasses.replace(REFUSED, policy_file=FILE), "sarif"))
    for result in run["results"]:
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert artifact == {"uri": "policies/a%20b%2Cc.yaml", "uriBaseId": "%SRCROOT%"}
        assert location["physicalLocation"]["region"] == {"startLine": FILE.line_of(result["ruleId"])}
    for rule in run["tool"]["driver"]["rules"]:
        assert "a pass means" in rule["help"]["text"]
        assert "- a pass means: " in rule["help"]["markdown"]
    assert "locations" not in sarif_run(render(REFUSED, "sarif"))["results"][0]
    absolute = dataclasses.replace(FILE, path="/somewhere/policy.yaml", lines=())
    (location,) = sarif_run(render(dataclasses.replace(REFUSED, policy_file=absolute), "sarif"))["results"][0][
        "locations"
    ]
    assert location == {"physicalLocation": {"artifactLocation": {"uri": "file:///somewhere/policy.yaml"}}}


@REPORTS
def test_github_annotates_what_did_not_pass(report: Report) -> None:
    head, *others = commands(render(dataclasses.replace(report, policy_file=FILE), "github"))
    assert head.text.startswith(str(machine(report)["verdict"]).upper())
    assert head.name == ("notice" if machine(report)["exit_code"] == 0 else "error")
    bad = [finding for finding in report.verdict.findings if finding.status != "passed"]
    assert [each.properties["title"] for each in others] == [finding.rule for finding in bad]
    for each, finding in zip(others, bad, strict=True):
        assert each.name == "error"
        assert (each.properties["file"], each.properties["line"]) == (FILE.path, str(FILE.line_of(finding.rule)))
        assert finding.detail in each.text
        assert str(finding.remedy) in each.text


@REPORTS
def test_markdown_says_the_verdict_first_and_shows_every_rule_and_non_claim(report: Report) -> None:
    text = render(report, "markdown")
    heading = markdown_tokens(text)[1]
    assert shown(heading) == f"{str(machine(report)['verdict']).upper()}: tiny"
    rows = [[shown(cell) for cell in row] for row in markdown_rows(text)]
    for finding, row in zip(report.verdict.findings, rows[1:], strict=False):
        assert row[1] == finding.rule
        assert row[0] == {"passed": "PASS", "failed": "FAIL", "inconclusive": "OPEN"}[finding.status]
        if not math.isnan(finding.measured):
            assert float(row[3]) == pytest.approx(finding.measured, rel=1e-3)
            assert float(row[5]) <= finding.margin
    said = "\n".join(shown(token) for token in markdown_tokens(text) if token.type == "inline")
    for claim in NON_CLAIMS:
        assert claim in said
    assert "realistic, all steps, with prior" in said
    assert "weights only" in said


def test_a_waiver_is_visible_in_every_format(waived: Report) -> None:
    assert machine(waived)["verdict"] == "approved"
    reason = "the twin is retrained in March"
    for name in FORMATS:
        text = render(waived, name)
        assert name == "openmetrics" or ("W-1" in text and reason in " ".join(text.split())), name
    ((_, properties, case),) = [each for each in junit_cases(render(waived, "junit")) if each[0] == "drop"]
    assert properties["waiver"] == "W-1"
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("WAIVED by W-1: ")
    (result,) = sarif_run(render(waived, "sarif"))["results"]
    jsonschema.Draft4Validator(sarif_schema()).validate(json.loads(render(waived, "sarif")))
    assert (result["ruleId"], result["level"]) == ("drop", "warning")
    ((suppression),) = result["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"].endswith(reason)
    head, warning = commands(render(waived, "github"))
    assert (head.name, warning.name) == ("notice", "warning")
    assert "1 WAIVED" in head.text
    labels = (("model", "tiny"), ("policy", "sample"), ("rule", "drop"))
    samples = metrics(render(waived, "openmetrics"))
    assert samples["gatekeeper_rule_passed", labels] == 0
    assert samples["gatekeeper_rule_status", (("gatekeeper_rule_status", "waived"), *labels)] == 1


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (0.1, "0.1"), (1e300, "1e+300")]
)
def test_openmetrics_writes_every_number(value: float, text: str) -> None:
    assert _number(value) == text


def test_outputs_of_a_step_say_the_verdict_and_where_the_report_is() -> None:
    assert github_outputs(REFUSED, path="out/report.json") == "verdict=refused\nreport=out/report.json\n"
    assert github_outputs(APPROVED, path=None) == "verdict=approved\n"


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_finding_of_a_ready_policy_can_be_explained(path: Path) -> None:
    policy = read_policy(path)
    names = [each.rule for each in implied_meanings(policy)] + [rule.id for rule in policy.rules]
    assert [meaning_of(policy, name).rule for name in names] == names


def test_a_policy_file_is_checked_at_birth() -> None:
    with pytest.raises(InvalidValueError, match="line"):
        RuleLine(rule="a", line=0)
    with pytest.raises(InvalidValueError, match="path"):
        PolicyFile(path="", lines=())
    assert FILE.line_of("nothing of the kind") is None
