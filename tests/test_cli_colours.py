"""Who gets colours and control characters: a terminal that wants them, and nobody else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.cli import output, progress
from tests.command_line import gatekeeper
from tests.facts import measurement, sample_facts
from tests.test_cli_report import judged_run

ESCAPE = "\x1b"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {}, True),
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": "", "TERM": "xterm"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_stdout_is_coloured_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    assert output.use_colour() == colour


@pytest.mark.parametrize(
    ("terminal", "environment", "watched"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "TERM": "xterm"}, False),
        (False, {}, False),
    ],
)
def test_lines_are_drawn_again_on_a_terminal_only_whatever_forces_colours(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], watched: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    assert progress.watched() == watched


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_progress_in_a_pipe_has_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with progress.StderrProgress(quiet=False) as drawn:
        drawn.begin("training", 10)
        for _ in range(10):
            drawn.advance(1)
    err = capsys.readouterr().err
    assert "training" in err
    assert not set(err) & {ESCAPE, "\r", "\b"}


@pytest.mark.parametrize("low", [0.9, 0.1])
def test_the_verdict_and_each_status_are_words_that_need_no_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: float
) -> None:
    facts = sample_facts(accuracy=measurement(low=low))
    run = judged_run(tmp_path, facts)
    plain = gatekeeper("report", run)
    assert plain.code == 0
    assert ESCAPE not in plain.stdout + plain.stderr
    words = plain.stdout.split()
    assert words[0] == ("APPROVED" if low > 0.5 else "REFUSED")
    assert "PASS" in words
    assert ("FAIL" in words) == (low < 0.5)
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = gatekeeper("report", run).stdout
    assert ESCAPE in coloured
    assert ESCAPE not in gatekeeper("report", run, "--format", "markdown").stdout


@pytest.mark.parametrize("command", [("--help",), ("certify", "--help"), ("policy", "validate", "policy.yaml")])
def test_stdout_and_stderr_in_pipes_have_no_escape_codes(tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gatekeeper", *command],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm-256color"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout or ran.stderr
    assert ESCAPE not in ran.stdout + ran.stderr
