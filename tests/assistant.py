"""A helper of a training that a test leads: `help_out` in a process of its own."""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys

import torch
from torch.distributed import FileStore

from gatekeeper.errors import DivergedError
from gatekeeper.training.assistant import assist
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.distributed import Meeting
from gatekeeper.training.views import Views
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

UNITS, STEPS = 40, 6
EXPECTED = 24


def setting(clipping: str = "flat") -> dict[str, object]:
    """What leader and helpers train: physical batches of 8 units at most."""
    data, plan = tiny_units(units=UNITS, most_images=2), tiny_plan(sigma=0.5, steps=STEPS, divisor=EXPECTED)
    norm = plan.clipping_norm if clipping == "flat" else 1.0
    return {
        "candidate": tiny_candidate(expected_batch=EXPECTED, physical_batch=16, clipping=clipping, clipping_norm=norm),
        "plan": dataclasses.replace(plan, clipping=clipping, clipping_norm=norm),
        "card": tiny_card(data),
        "data": data,
    }


def meeting(store: str, *, index: int, count: int) -> Meeting:
    """A meeting by way of a file, without torchrun."""
    return Meeting(run="-", store=FileStore(store, count), index=index, count=count)


def _misbehave(how: str) -> None:
    numbers, shares = itertools.count(), ClippingEngine.clipped_sum

    def clipped_sum(self: ClippingEngine, batch: Views, **settings: object) -> list[torch.Tensor]:
        if next(numbers) == 2:
            if how == "dies":
                os._exit(9)
            self._factors = _diverge  # type: ignore[method-assign]
        return shares(self, batch, **settings)  # type: ignore[arg-type]

    ClippingEngine.clipped_sum = clipped_sum  # type: ignore[method-assign, assignment]


def _diverge(*_: object, **__: object) -> torch.Tensor:
    raise DivergedError("a unit's gradient is not finite")


def help_out(store: str, index: int, count: int, how: str, clipping: str) -> None:
    """Assist, and exit as a helper of `certify` would.

    Args:
        store: the file by which the processes meet.
        index: which of them this is.
        count: how many there are.
        how: what becomes of it: `works`, `dies` without a word at its third sum, or `diverges` there.
        clipping: the rule.
    """
    if how != "works":
        _misbehave(how)
    try:
        with meeting(store, index=index, count=count).joined(torch.device("cpu")) as ranks:
            ran = assist(ranks=ranks, **setting(clipping))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        sys.exit(130)
    except DivergedError:
        sys.exit(3)
    sys.exit(0 if ran.steps == STEPS else "another number of steps")
