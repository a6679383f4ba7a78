"""Several processes at once, and processes that are killed: nothing is lost, doubled or understated."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.errors import LedgerError
from gatekeeper.ledger import Ledger
from gatekeeper.ledger import database as database_module
from tests.ledger_samples import POLICY, go, new_ledger, people, reservation, steps_of
from tests.ledger_server import Server, server_or_skip
from tests.ledger_worker import CAP, EVERYBODY, PROCESSES, RUNS

ROOT = Path(__file__).resolve().parent.parent
KILLS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with server_or_skip() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    server: Server = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def ledger(url: str, key: Path) -> Ledger:
    return new_ledger(url, key)


class Worker:
    """A process of its own that carries out a task."""

    def __init__(self, nursery: Nursery, pid: int, words: Path) -> None:
        self._nursery, self._pid, self._words = nursery, pid, words

    def said(self) -> str:
        return self._words.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 300
        while not (self._words.exists() and text in self.said()):
            assert time.monotonic() < deadline, text
            time.sleep(0.002)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        assert self.wait() == signal.SIGKILL

    def wait(self) -> int:
        """What `waitpid` says: 0 for a good end, the signal where one ended it."""
        return self._nursery.order(f"wait {self._pid}")


class Nursery:
    """The process that starts the others."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.ledger_worker"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Nursery(process)


class Crew:
    """Starts workers on one ledger; `go` lets them begin at once."""

    def __init__(self, nursery: Nursery, url: str, key: Path, place: Path) -> None:
        self._nursery, self._url, self._key, self._place = nursery, url, key, place

    def start(self, task: str, name: str) -> Worker:
        pid = self._nursery.order(f"begin {task} {self._url} {self._key} {self._place} {name}")
        return Worker(self._nursery, pid, self._place / name)

    def go(self) -> None:
        (self._place / "go").touch()

    def all_at_once(self, task: str) -> list[str]:
        """What eight processes say that start together; each must end well."""
        started = [self.start(task, f"w{number}") for number in range(PROCESSES)]
        time.sleep(0.1)
        self.go()
        assert [worker.wait() for worker in started] == [0] * PROCESSES
        return "".join(worker.said() for worker in started).splitlines()


@pytest.fixture
def crew(ledger: Ledger, nursery: Nursery, url: str, key: Path, tmp_path: Path) -> Crew:
    return Crew(nursery, url, key, tmp_path)


def test_eight_processes_lose_and_double_nothing(ledger: Ledger, crew: Crew) -> None:
    said = crew.all_at_once("several")
    names = {f"w{process}-{number}" for process in range(PROCESSES) for number in range(RUNS)}
    assert set(said) == {f"settled {name}" for name in names}
    assert ledger.check() == ()
    assert ledger.head().length == 1 + 2 * len(names)
    (history,) = ledger.standing(people("shared"), policy_digest=POLICY).histories
    assert {spend.run for spend in history.spends} == names
    assert len(history.spends) == len(names)
    assert sum(spend.mechanism.steps for spend in history.spends) == PROCESSES * sum(range(RUNS))
    assert steps_of(ledger.standing(people("w3-2"), policy_digest=POLICY)) == [(1, [2])]


def test_a_cap_is_never_passed_by_processes_that_start_at_once(ledger: Ledger, crew: Crew) -> None:
    said = crew.all_at_once("capped")
    granted = [line for line in said if line.startswith("granted")]
    assert len(granted) == CAP
    assert len(said) == PROCESSES
    assert ledger.standing(EVERYBODY, policy_digest=POLICY).runs == CAP
    assert [entry.kind for entry in ledger.entries()].count("declined") == PROCESSES - CAP
    assert ledger.check() == ()


def test_a_cap_that_is_looked_at_before_the_lock_would_be_passed(ledger: Ledger, crew: Crew) -> None:
    """The check that the test above can fail."""
    crew.all_at_once("hasty")
    assert ledger.standing(EVERYBODY, policy_digest=POLICY).runs > CAP
    assert ledger.check() == ()


def test_a_process_that_is_killed_never_leaves_less_than_it_took(ledger: Ledger, crew: Crew) -> None:
    moments = random.Random(3)
    crew.go()
    for number in range(KILLS):
        worker = crew.start("endless", f"w{number}")
        worker.wait_for("reserving")
        time.sleep(moments.uniform(0, 0.08))
        worker.kill()
        check_words(ledger, worker.said())


def check_words(ledger: Ledger, said: str) -> None:
    """What a killed process said it had done is in the ledger; what it did not say counts in full, if at all."""
    assert ledger.check() == ()
    (history,) = ledger.standing(EVERYBODY, policy_digest=POLICY).histories
    taken = {spend.run: spend for spend in history.spends}
    words = [line.split() for line in said.split("\n")[:-1]]
    own = {name for _, name in words}
    done = {word: {name for each, name in words if each == word} for word in ("reserving", "reserved", "settled")}
    assert done["reserved"] <= set(taken)
    assert own & set(taken) <= done["reserving"]
    for name in own & set(taken):
        spend = taken[name]
        assert spend.settled or name not in done["settled"]
        assert spend.mechanism.steps == (1 if spend.settled else 100)


def test_a_run_that_is_killed_while_it_trains_counts_in_full(ledger: Ledger, crew: Crew) -> None:
    crew.go()
    worker = crew.start("stalled", "w0")
    worker.wait_for("reserved w0\n")
    worker.kill()
    assert steps_of(ledger.standing(EVERYBODY, policy_digest=POLICY)) == [(20, [100])]
    assert ledger.check() == ()


def test_a_process_that_holds_the_ledger_is_waited_for_but_not_for_ever(
    ledger: Ledger, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 1)
    crew.go()
    worker = crew.start("holding", "w0")
    worker.wait_for("thinking w0\n")
    with pytest.raises(LedgerError, match=r"another process holds the ledger"):
        ledger.reserve(reservation("late"), people("ann"), allow=go)
    assert ledger.check() == (), "it can be read meanwhile"
    worker.kill()
    ledger.reserve(reservation("late"), people("ann"), allow=go)
    assert [entry.kind for entry in ledger.entries()] == ["opened", "reserved"]
    assert ledger.check() == ()
