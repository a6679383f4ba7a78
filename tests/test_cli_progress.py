"""What a person or a log hears of a long stage: how far it is, and when it will be done."""

from __future__ import annotations

import itertools
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.cli.progress import StderrProgress
from gatekeeper.core.pace import Pace, in_words


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# Pace


@given(per_step=st.floats(0.001, 1e4), done=st.integers(2, 40), total=st.integers(41, 1000))
def test_at_a_steady_rate_the_rest_is_exact(per_step: float, done: int, total: int) -> None:
    pace = Pace(total)
    for step in range(1, done + 1):
        pace.reach(step, now=100.0 + step * per_step)
    now = 100.0 + done * per_step
    assert pace.seconds_left(now=now) == pytest.approx((total - done) * per_step, rel=1e-6)
    assert pace.seconds_left(now=now + per_step) == pytest.approx((total - done - 1) * per_step, rel=1e-6, abs=1e-6)


def test_what_an_earlier_start_did_and_what_comes_before_the_first_step_is_not_counted() -> None:
    pace = Pace(1000)
    assert pace.seconds_left(now=5.0) is None
    pace.reach(900, now=50.0)  # resumed, after 50 seconds of checks
    assert pace.seconds_left(now=50.0) is None
    pace.reach(910, now=60.0)
    assert (pace.percent, pace.seconds_left(now=60.0)) == (91, 90.0)
    assert pace.seconds_left(now=1e6) == 0.0


@given(st.floats(0, 1e7))
def test_words_are_within_a_minute_or_half_a_second(seconds: float) -> None:
    words = in_words(seconds).split()
    units = {"s": 1.0, "min": 60.0, "h": 3600.0}
    said = sum(float(words[at]) * units[words[at + 1]] for at in range(0, len(words), 2))
    assert abs(said - seconds) <= (0.5 if seconds < 100 else 30.0) + 1e-6


# Lines in a log


def _log(
    capsys: pytest.CaptureFixture[str], *, seconds_a_step: float, start: int = 0, quiet: bool = False
) -> list[str]:
    clock = Clock()
    with StderrProgress(quiet=quiet, clock=clock) as progress:
        progress.begin("training", 1000)
        progress.done(start)
        for step in range(start + 1, 1001):
            clock.now += seconds_a_step
            progress.done(step)
        progress.begin("exporting", 1)
        progress.advance(1)
    return capsys.readouterr().err.splitlines()


def test_a_short_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _log(capsys, seconds_a_step=0.02) == ["[   0.0 s] training", "[  20.0 s] exporting"]


def test_a_long_stage_says_each_tenth_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _log(capsys, seconds_a_step=1.0)
    assert len(lines) == 11
    assert lines[1] == "[ 100.0 s] training: 100 of 1000 (10 %), about 15 min left"
    assert lines[9] == "[ 900.0 s] training: 900 of 1000 (90 %), about 2 min left"


def test_lines_come_no_faster_than_one_in_thirty_seconds_and_no_slower_than_one_in_five_minutes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seconds_a_step, least, most in ((0.1, 30.0, 40.1), (20.0, 30.0, 320.0)):
        lines = _log(capsys, seconds_a_step=seconds_a_step)
        times = [float(line[1:].split(" s]")[0]) for line in lines]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times[:-1])]
        assert gaps
        assert all(least <= gap <= most for gap in gaps), gaps


def test_a_training_that_goes_on_tells_the_rest_by_what_it_did_itself(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _log(capsys, seconds_a_step=2.0, start=850)
    assert lines[1:3] == [
        "[  30.0 s] training: 865 of 1000 (86 %), about 4 min left",
        "[ 100.0 s] training: 900 of 1000 (90 %), about 3 min left",
    ]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert _log(capsys, seconds_a_step=1.0, quiet=True) == []


# A terminal

SCRIPT = """
import time
from gatekeeper.cli.progress import StderrProgress
with StderrProgress(quiet={quiet}) as progress:
    progress.begin("training", 3)
    for step in (1, 2):
        progress.done(step)
        time.sleep(0.15)
    time.sleep(0.2)
"""


def _on_a_terminal(*, quiet: bool = False, **environment: str) -> str:
    """What stderr, a terminal, is sent."""
    parent, child = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(quiet=quiet)],
            stderr=child,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
            check=True,
        )
        os.close(child)
        sent = b""
        try:
            while piece := os.read(parent, 4096):
                sent += piece
        except OSError:  # the other end is closed
            pass
        return sent.decode()
    finally:
        os.close(parent)


@pytest.mark.slow
def test_a_terminal_gets_a_bar_with_the_time_left_and_colours_only_where_they_are_wanted() -> None:
    coloured, plain = _on_a_terminal(), _on_a_terminal(NO_COLOR="1")
    for sent in (coloured, plain):
        assert "2/3" in sent
        assert "s left" in sent
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in plain
    dumb = _on_a_terminal(TERM="dumb")
    assert "\x1b" not in dumb
    assert "training" in dumb
    assert _on_a_terminal(quiet=True) == ""
