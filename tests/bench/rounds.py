"""Arms that take turns, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

Clock = Callable[[], float]
Run = Callable[[], Any]


def seconds(arms: dict[str, Run], *, rounds: int, clock: Clock, warm_up: bool = True) -> dict[str, list[float]]:
    """Seconds of each arm, round by round."""
    return interleaved({name: timed(run, clock) for name, run in arms.items()}, rounds=rounds, warm_up=warm_up)


def interleaved(arms: dict[str, Clock], *, rounds: int, warm_up: bool = True) -> dict[str, list[float]]:
    """What the arms say they took, round by round; every round begins with another, and all have run once before."""
    gc.collect()
    for run in arms.values() if warm_up else ():
        run()
    found: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(rounds):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            found[name].append(arms[name]())
    return found


def timed(run: Run, clock: Clock) -> Clock:
    """Runs it and says how long that took."""

    def seconds_of_run() -> float:
        began = clock()
        run()
        return clock() - began

    return seconds_of_run
