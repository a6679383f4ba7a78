"""A process in the environment of the library breaching, which makes its attacks and times them (`audit_breaching`).

Pickled work comes through standard input, answers go to standard output, a line of JSON each. The clock runs over what
it runs over for the product's attack: not over the making of the attack, nor over any talk between the processes.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from tests.bench.breaching_attacks import Inversion, Row, attack_on, import_breaching, similarities

Clock = Callable[[], float]


def serve(*, threads: int, clock: str) -> None:
    """Make the attack on each work that comes, run it as often as None comes, until standard input ends.

    Args:
        threads: that torch may use.
        clock: a function of the module `time`.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the library prints
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    attacker = _Attacker(getattr(time, clock))
    for asked in iter(_asked, _END):
        try:
            answer = attacker.run() if asked is None else attacker.prepare(asked)
        except Exception as error:  # whatever the library raises is what the table shows
            answer = {"failure": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


_END = object()


def _asked() -> Any:
    try:
        return pickle.load(sys.stdin.buffer)
    except EOFError:
        return _END


class _Attacker:
    """The latest work and the attack on it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._breaching = clock, import_breaching()

    def prepare(self, work: Inversion | Row) -> dict[str, Any]:
        self._work, self._attack = work, attack_on(self._breaching, work)
        return {}

    def run(self) -> dict[str, Any]:
        """The seconds that the attack took, and what it reached; to compare belongs to attack A's work."""
        began = self._clock()
        reached = similarities(self._attack(), self._work)
        return {"seconds": self._clock() - began, "similarities": reached.tolist()}
