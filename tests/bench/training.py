"""The price of a private step: its time and memory over those of plain SGD, beside others (`make bench`).

Absolute times mean nothing on shared machines; the ratio of two steps that ran side by side does. All arms of a round
are given the same units, one arm after the other, and the table shows medians over rounds. Plain SGD runs in one go and
in physical batches of gatekeeper's size; the faster of the two is what the others are divided by. It also runs with
channels last, which is faster on some networks, and which no private arm does: that is a line of the table, and no
measure. Others run as they come, in every third round. Memory is measured in a fresh process for each arm.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import json
import platform
import time
from pathlib import Path

import torch
from rich.console import Console

from gatekeeper.core.precision import PRECISIONS
from gatekeeper.training.memory import keep_freed_memory
from tests.bench.training_arms import ARMS, MEASURES, OURS, PLAIN, Arm, Clock, Gatekeeper, installed, load
from tests.bench.training_cases import CASES, Case, tiny
from tests.bench.training_memory import ask
from tests.bench.training_results import (
    SCHEMA,
    ArmResult,
    ModelResult,
    geometric_mean_ratio,
    print_model,
    speedup,
    spread,
)

_OTHERS_EVERY = 3

# Of the table, where a terminal has none or less.
_WIDTH = 100


def measure(case: Case, arms: list[str], *, rounds: int, memory: bool, clock: Clock) -> ModelResult:
    """The table of one model. An arm that fails in its own process, memory being measured there, is not timed."""
    failures = {arm: "not installed" for arm in arms if not installed(arm)}
    peaks: dict[str, int] = {}
    for arm in arms if memory else ():
        if arm not in failures:
            outcome = ask(case, arm)
            if outcome.failure is None:
                peaks[arm] = outcome.value
            else:
                failures[arm] = outcome.failure
    made = {arm: _make(arm, case, clock=clock) for arm in arms if arm not in failures}
    seconds = _seconds(case, made, rounds=rounds * case.repeats, clock=clock)
    baseline = min((arm for arm in MEASURES if arm in made), key=lambda arm: spread(list(seconds[arm].values())).median)
    lines = [
        ArmResult(arm=arm, failure=failures[arm])
        if arm in failures
        else _line(arm, made[arm], seconds[arm], base=seconds[baseline], peaks=peaks)
        for arm in arms
    ]
    ours = made[OURS]
    return ModelResult(
        name=case.name,
        title=case.title,
        parameters=sum(p.numel() for p in ours.network.parameters()),
        batch=case.batch,
        convolutional=case.convolutional,
        baseline=baseline,
        arms=lines,
        parts=_shares(ours.seconds),
        speedup_over_opacus=speedup(lines, OURS),
    )


def _make(arm: str, case: Case, *, clock: Clock) -> Arm:
    make = functools.partial(load(arm), clock=clock) if arm == OURS else load(arm)
    return make(case, case.network())


def _seconds(case: Case, arms: dict[str, Arm], *, rounds: int, clock: Clock) -> dict[str, dict[int, float]]:
    """Seconds of each arm's steps by round; every round begins with another arm."""
    batches = case.batches()
    warm_up = next(batches)
    for arm in arms.values():
        arm.step(warm_up)  # the first step allocates
    ours = arms[OURS]
    assert isinstance(ours, Gatekeeper)
    ours.forget()
    seconds: dict[str, dict[int, float]] = {name: {} for name in arms}
    for number, batch in zip(range(rounds), batches, strict=False):
        turn = number % len(arms)
        for name in [*list(arms)[turn:], *list(arms)[:turn]]:
            if name in (*PLAIN, OURS) or number % _OTHERS_EVERY == 0:
                gc.collect()
                began = clock()
                arms[name].step(batch)
                seconds[name][number] = clock() - began
    return seconds


def _line(
    name: str, arm: Arm, seconds: dict[int, float], *, base: dict[int, float], peaks: dict[str, int]
) -> ArmResult:
    peak = peaks.get(name)
    whole, physical = (peak / peaks[plain] if peak is not None and plain in peaks else None for plain in MEASURES)
    return ArmResult(
        arm=name,
        physical_batch=arm.physical,
        rounds=len(seconds),
        milliseconds=spread([1000 * value for value in seconds.values()]),
        ratio=spread([value / base[number] for number, value in seconds.items()]),
        peak_bytes=peak,
        peak_over_whole=whole,
        peak_over_physical=physical,
        remark=arm.remark,
    )


def _shares(seconds: dict[str, float]) -> dict[str, float]:
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}


def machine() -> dict[str, object]:
    """What the ratios were measured on; nothing that names it."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.training", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--models", nargs="+", choices=names, default=names, help="which (default: all)")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=list(ARMS), help=f"{', '.join((*PLAIN, OURS))} always"
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each model; of short steps more (default: 9)")
    parser.add_argument("--batch", type=int, help="expected logical batch of all models")
    parser.add_argument(
        "--dtype", choices=PRECISIONS, default="float32", help="bfloat16: of plain SGD and gatekeeper only"
    )
    parser.add_argument("--quick", action="store_true", help="tiny networks and images: to see that it works")
    parser.add_argument("--no-memory", action="store_true", help="measure time only")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds on one thread: for a busy machine")
    parser.add_argument("--output", type=Path, default=Path("build/bench/training.json"))
    return parser.parse_args(arguments)


def _cases(options: argparse.Namespace) -> list[Case]:
    chosen = [case for case in CASES if case.name in options.models]
    if options.quick:
        chosen = [tiny(case) for case in chosen]
    return [dataclasses.replace(case, batch=options.batch or case.batch, precision=options.dtype) for case in chosen]


def main(arguments: list[str] | None = None) -> None:
    options = _parsed(arguments)
    keep_freed_memory()  # as the product's trainings do; it is as good for the other arms
    clock = time.process_time if options.cpu_time else time.perf_counter
    if options.cpu_time:
        torch.set_num_threads(1)
    console, models = Console(width=max(_WIDTH, Console().width)), []
    others = options.arms if options.dtype == "float32" else []
    arms = [arm for arm in ARMS if arm in (*PLAIN, OURS, *others)]
    for case in _cases(options):
        models.append(measure(case, arms, rounds=options.rounds, memory=not options.no_memory, clock=clock))
        print_model(console, models[-1])
    mean = geometric_mean_ratio(models, arm=OURS, of=sum(case.convolutional for case in CASES))
    if mean is not None:
        console.print(f"geometric mean of the convolutional models' ratios: {mean:.3f}")
    found = {
        "schema": SCHEMA,
        "machine": machine(),
        "settings": {
            "rounds": options.rounds,
            "dtype": options.dtype,
            "quick": options.quick,
            "clock": "processor" if options.cpu_time else "wall",
        },
        "models": [dataclasses.asdict(model) for model in models],
        "geometric_mean_ratio": mean,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
