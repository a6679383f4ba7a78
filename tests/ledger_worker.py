"""Processes that use a ledger, started by one that has loaded everything, so that starting one costs little.

They say what they do, word by word, and may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from itertools import count
from pathlib import Path

# Loaded here once, and not by every process that is started.
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

from gatekeeper.core.ledger import Standing
from gatekeeper.ledger import Ledger, open_ledger
from tests.ledger_samples import POLICY, go, mechanism, people, reservation

PROCESSES, RUNS, CAP = 8, 3, 5
EVERYBODY = people(*range(20))


def several(ledger: Ledger, name: str) -> None:
    """Reserve and settle several runs, each on its own unit and one that everybody uses."""
    for number in range(RUNS):
        run = f"{name}-{number}"
        ledger.reserve(reservation(run, steps=10), people(run, "shared"), allow=go)
        ledger.settle(run, mechanism(number))
        print("settled", run, flush=True)


def full(standing: Standing) -> str | None:
    return f"{standing.runs} runs are enough" if standing.runs >= CAP else None


def capped(ledger: Ledger, name: str) -> None:
    """Reserve one run, if fewer than five used these units."""
    answer = ledger.reserve(reservation(name), EVERYBODY, allow=full)
    print("granted" if answer.declined is None else "declined", name, flush=True)


def hasty(ledger: Ledger, name: str) -> None:
    """The same, wrongly: look first, reserve when everybody has looked."""
    objection = full(ledger.standing(EVERYBODY, policy_digest=POLICY))
    Path(f"{name} has looked").touch()
    while len(list(Path().glob("* has looked"))) < PROCESSES:
        time.sleep(0.001)
    answer = ledger.reserve(reservation(name), EVERYBODY, allow=lambda standing: objection)
    print("granted" if answer.declined is None else "declined", name, flush=True)


def endless(ledger: Ledger, name: str) -> None:
    """Reserve and settle until killed; every word is said before and after it is done."""
    for number in count():
        run = f"{name}-{number}"
        print("reserving", run, flush=True)
        ledger.reserve(reservation(run), EVERYBODY, allow=go)
        print("reserved", run, flush=True)
        ledger.settle(run, mechanism(1))
        print("settled", run, flush=True)


def stalled(ledger: Ledger, name: str) -> None:
    """Reserve a run and train for ever."""
    ledger.reserve(reservation(name), EVERYBODY, allow=go)
    print("reserved", name, flush=True)
    time.sleep(600)


def holding(ledger: Ledger, name: str) -> None:
    """Think for ever about whether a run may start."""

    def thinking(standing: Standing) -> str | None:
        print("thinking", name, flush=True)
        time.sleep(600)
        return None

    ledger.reserve(reservation(name), EVERYBODY, allow=thinking)


TASKS = {task.__name__: task for task in (several, capped, hasty, endless, stalled, holding)}


def work(task: str, url: str, key: str, place: str, name: str) -> None:
    """One task in a process of its own, from the moment that the file `go` is there; what it says goes to a file."""
    os.chdir(place)
    with open(name, "w") as words, contextlib.redirect_stdout(words):
        ledger = open_ledger(url, key=Path(key))
        while not Path("go").exists():
            time.sleep(0.001)
        TASKS[task](ledger, name)


def begin(*words: str) -> int:
    """Start a process for a task; it opens the ledger itself, so that it shares nothing with others."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*words)
            code = 0
        finally:
            os._exit(code)
    return pid


def main() -> None:
    """`begin TASK URL KEY PLACE NAME` starts a process and gives its id; `wait ID` gives what `waitpid` says."""
    running = set()
    for line in sys.stdin:
        order, *words = line.split()
        if order == "begin":
            answer = begin(*words)
            running.add(answer)
        else:
            running.remove(int(words[0]))
            answer = os.waitpid(int(words[0]), 0)[1]
        print(answer, flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
