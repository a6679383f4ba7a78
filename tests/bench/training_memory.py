"""What an arm's steps add to a fresh process: its peak of resident memory, over that with model and data alone."""

from __future__ import annotations

import resource
import sys

from tests.bench.limits import KILOBYTE, Limited, Outcome
from tests.bench.training_arms import load
from tests.bench.training_cases import Case, tiny

_STEPS, _SECONDS, _BYTES_MORE = 2, 900.0, 16 * 2**30


def ask(case: Case, arm: str) -> Outcome:
    """`peak` in a process of its own; what it can't do is named."""
    with Limited(__name__, seconds=_SECONDS, bytes_more=_BYTES_MORE) as process:
        return process.ask("peak", case, arm)


def peak(case: Case, arm: str) -> int:
    """Bytes beyond those of model, data and imports, over the making of the arm and its first steps.

    Call it in a process that has done nothing else. A small plain step comes first, so that what torch itself sets up
    in the first one isn't counted.
    """
    small = tiny(case)
    load("plain-whole")(small, small.network()).step(next(small.batches()))
    make, network, batches = load(arm), case.network(), case.batches()
    drawn = [next(batches) for _ in range(_STEPS)]
    before = _peak_resident()
    made = make(case, network)
    for batch in drawn:
        made.step(batch)
    return _peak_resident() - before


def _peak_resident() -> int:
    """Bytes. On Linux not from getrusage, whose figure a process inherits from the one that started it."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
