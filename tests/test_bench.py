"""The benches' own helpers: what hangs, bursts or raises is a line of the table, and the next question is asked."""

from __future__ import annotations

import math
import sys

import pytest

from tests.bench import questions
from tests.bench.accounting import Row, _checked, row
from tests.bench.limits import Limited, Outcome

HELPERS = "tests.bench.limits"


def outcome(value: object, *, failure: str | None = None, seconds: float = 1.0) -> Outcome:
    return Outcome(value=value, failure=failure, seconds=seconds, peak_bytes=2**20)


def test_a_hang_is_ended_and_the_next_question_is_answered() -> None:
    with Limited(HELPERS, seconds=1.0) as process:
        assert process.ask("hang").failure == "timeout"
        assert process.ask("burst", 10).value == 10


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
def test_a_burst_of_memory_is_an_error_there_and_not_here() -> None:
    with Limited(HELPERS, seconds=30.0, bytes_more=2**27) as process:
        assert process.ask("burst", 2**40).failure == "MemoryError"
        small = process.ask("burst", 2**20)
    assert (small.value, small.failure) == (2**20, None)
    assert small.peak_bytes > 2**20
    assert small.seconds >= 0


def test_an_exception_is_named() -> None:
    with Limited(HELPERS, seconds=30.0) as process:
        assert process.ask("burst", -1).failure == "ValueError"


def test_a_process_that_ends_is_named_too() -> None:
    with Limited("os", seconds=30.0) as process:
        assert process.ask("_exit", 3).failure == "killed"


def test_what_cannot_be_prepared_is_not_benched() -> None:
    with pytest.raises(RuntimeError, match="no_such"), Limited("tests.bench.no_such", seconds=1.0):
        pass


def test_a_row_compares_with_our_proven_ends() -> None:
    ours = {"a": outcome((9.0, 10.0)), "b": outcome((1.0, 2.0)), "c": outcome(None, failure="timeout")}
    theirs = {"a": outcome(8.0, seconds=3.0), "b": outcome(4.0), "c": outcome(1.0), "d": outcome(None, failure="E")}
    found = row("theirs", theirs, {**ours, "d": outcome((1.0, 1.0))})
    assert isinstance(found, Row)
    assert (found.asked, found.answered, found.failures) == (4, 3, {"E": 1})
    assert (found.ratio_min, found.ratio_max, found.below_proven_low) == (0.8, 2.0, 1)
    assert (found.max_seconds, found.slowest) == (3.0, "a")


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_epsilon_that_is_no_number_is_a_failure(value: float) -> None:
    assert _checked(outcome(value)).failure == f"ε = {value}"
    assert _checked(outcome((1.0, 2.0))).failure is None


def test_the_questions_are_always_the_same() -> None:
    grid = questions.grid()
    assert grid == questions.grid()
    assert len(grid) == 500
    assert len({asked.name for asked in questions.named() + grid}) == 520
    assert questions.sample(grid) == questions.sample(grid)
    assert len(questions.named()) == len(questions.sample(grid)) == 20
    for asked in grid:
        assert 1e-9 <= asked.sigma <= 1e3
        assert 1e-6 <= asked.rate <= 1
        assert 1 <= asked.steps <= 10**6
        assert 1e-12 <= asked.delta <= 1e-3
