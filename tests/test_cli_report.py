"""`-o FORMAT:PATH`, `--format` and `--policy`: formats for CI systems by the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gatekeeper.config import render_policy
from gatekeeper.core.certificate import Facts
from gatekeeper.gate import decide
from gatekeeper.report import FORMATS, render
from gatekeeper.rundir import Judgement, RunDirectory
from tests.command_line import gatekeeper
from tests.facts import measurement, sample_facts, sample_policy
from tests.format_readers import commands, markdown_tokens, sarif_run
from tests.golden.make_release import GOLDEN
from tests.hostile import report_of
from tests.test_cli import CERTIFY, REFUSAL, Stage, _signals_as_before, here, stage  # noqa: F401  (fixtures)
from tests.tiny import tiny_candidate

REFUSED = sample_facts(accuracy=measurement(low=0.1))


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)


def judged_run(folder: Path, facts: Facts = REFUSED) -> str:
    run = RunDirectory.create(folder / "runs", policy=sample_policy(), candidate=tiny_candidate())
    run.write_judgement(Judgement(created="2030-01-02T03:04:05Z", facts=facts, verdict=decide(sample_policy(), facts)))
    return str(run.path)


@pytest.mark.parametrize("name", FORMATS)
def test_stdout_and_a_file_get_the_same_report(tmp_path: Path, name: str) -> None:
    path = tmp_path / "report.out"
    ran = gatekeeper("report", judged_run(tmp_path), "--format", name, "-o", f"{name}:{path}")
    assert ran.code == 0, ran.stderr
    if name != "text":  # stdout is as wide as the terminal
        assert ran.stdout == path.read_text(encoding="utf-8")
    assert "accuracy" in ran.stdout


def test_no_verdict_is_shown_under_another_policy_than_it_was_reached_by(tmp_path: Path) -> None:
    run = judged_run(tmp_path)
    kept = Path(run) / "policy.json"
    kept.write_text(kept.read_text(encoding="utf-8").replace('"version":1', '"version":2'), encoding="utf-8")
    for command in ("report", "explain"):
        ran = gatekeeper(command, run)
        assert (ran.code, ran.stdout) == (2, "")
        assert "policy.json changed since the run was judged" in ran.stderr


def test_with_the_policys_file_findings_have_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = judged_run(tmp_path), tmp_path / "repository" / "policies"
    folder.mkdir(parents=True)
    (folder / "sample.yaml").write_text(render_policy(sample_policy()), encoding="utf-8")
    text = (folder / "sample.yaml").read_text(encoding="utf-8").splitlines()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repository"))
    ran = gatekeeper("report", run, "--policy", "sample.yaml", "--format", "sarif")
    assert ran.code == 0, ran.stderr
    (result,) = sarif_run(ran.stdout)["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "policies/sample.yaml"
    assert "accuracy" in text[place["region"]["startLine"] - 1]
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
    _, command = commands(gatekeeper("report", run, "--policy", "sample.yaml", "--format", "github").stdout)
    assert command.properties["file"] == (folder / "sample.yaml").resolve().as_posix()
    monkeypatch.delenv("GITHUB_WORKSPACE")
    _, command = commands(gatekeeper("report", run, "--policy", "sample.yaml", "--format", "github").stdout)
    assert command.properties["file"] == "sample.yaml"


def test_a_policy_that_did_not_judge_the_run_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(render_policy(sample_policy()).replace("0.02", "0.03"), encoding="utf-8")
    ran = gatekeeper("report", judged_run(tmp_path), "--policy", str(other), "--format", "sarif")
    assert ran.code == 2
    assert "the run is judged by sample v1" in ran.stderr
    assert ran.stdout == ""


def test_a_step_of_github_actions_gets_summary_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    summary.write_text("# what another step said\n")
    outputs.write_text("other=1\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    run, sarif, report = judged_run(tmp_path), tmp_path / "r.sarif", tmp_path / "r.json"
    gatekeeper("report", run, "--format", "json")
    assert outputs.read_text() == "other=1\n", "only where the format is github"
    ran = gatekeeper("report", run, "--format", "github", "-o", f"sarif:{sarif}", "-o", f"json:{report}")
    assert ran.code == 0, ran.stderr
    assert outputs.read_text() == f"other=1\nverdict=refused\nreport={report}\n"
    expected = render(report_of(sample_policy(), REFUSED), "markdown").split("gatekeeper 1.2.3")[1]
    assert summary.read_text().startswith("# what another step said\n\n# REFUSED: tiny\n")
    assert summary.read_text().endswith(expected)
    assert len([token for token in markdown_tokens(summary.read_text()) if token.tag == "h1"]) == 4
    assert commands(ran.stdout)[0].text.startswith("REFUSED")


def test_a_summary_that_can_not_be_written_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    ran = gatekeeper("report", judged_run(tmp_path), "--format", "github")
    assert ran.code == 2
    assert "missing/summary.md" in ran.stderr


def test_certify_shows_findings_at_the_lines_of_its_policy(stage: Stage, here: Path) -> None:  # noqa: F811
    stage.verdict = REFUSAL
    ran = gatekeeper(*CERTIFY, "--no-sign", "--format", "github", "-o", "sarif:r.sarif", "-o", "junit:r.xml")
    assert ran.code == 1, ran.stderr
    _, command = commands(ran.stdout)
    line = (here / "policy.yaml").read_text().splitlines()[int(command.properties["line"]) - 1]
    assert (command.properties["file"], "id: accuracy" in line) == ("policy.yaml", True)
    (result,) = json.loads((here / "r.sarif").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert str(place["region"]["startLine"]) == command.properties["line"]


def test_a_policy_that_comes_through_a_pipe_is_read_once(stage: Stage, here: Path) -> None:  # noqa: F811
    reading, writing = os.pipe()
    os.write(writing, (here / "policy.yaml").read_bytes())
    os.close(writing)
    stage.verdict = REFUSAL
    ran = gatekeeper("certify", "candidate.yaml", "--policy", f"/dev/fd/{reading}", "--no-sign", "--format", "github")
    os.close(reading)
    assert ran.code == 1, ran.stderr
    assert "file" not in commands(ran.stdout)[1].properties


@pytest.mark.slow
def test_verify_writes_reports_of_the_certificate_once_it_has_verified(tmp_path: Path) -> None:
    words = ("verify", str(GOLDEN / "release"), "--public-key", str(GOLDEN / "gate.pub"))
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    outputs = ("-o", f"json:{report}", "-o", f"html:{page}")
    ran = gatekeeper(*words, "--policy-digest", "a" * 64, *outputs)
    assert ran.code == 4
    assert not report.exists()
    ran = gatekeeper(*words, "--any-policy", "-o", f"json:{GOLDEN / 'release' / 'x.json'}")
    assert (ran.code, "lies inside the release" in ran.stderr) == (2, True)
    ran = gatekeeper(*words, "--policy", str(GOLDEN / "policy.yaml"), *outputs)
    assert ran.code == 0, ran.stderr
    signed = json.loads((GOLDEN / "release" / "attestations" / "report.json").read_text(encoding="utf-8"))
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["facts"], written["findings"]) == (signed["facts"], signed["findings"])
    assert signed["facts"]["evidence"]["model"]["sha256"] in page.read_text(encoding="utf-8")
