"""What the audit costs (`make bench BENCH=audit`): its attacks beside loops over single images, and beside training.

Absolute times mean nothing on shared machines; the ratio of two things that ran side by side does. In every round each
arm does the same work once, and the tables show medians over rounds. Attacks A, E and B are compared with the plainest
code that does the same, one image at a time by autograd (`audit_loops`). A and B are also compared with breaching, the
library of gradient inversion (Geiping et al. 2020), where it is installed: `make build/breaching/installed` gives it an
environment of its own (`audit_breaching`). It has nothing like attack E.

The whole training is never run: a few epochs are, and their time is scaled by the number of steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from rich.console import Console

from gatekeeper.training.memory import keep_freed_memory
from tests.bench.audit_breaching import ENVIRONMENT, beside_breaching
from tests.bench.audit_cost import cost, growth
from tests.bench.audit_results import SCHEMA, print_breaching, print_cost, print_growth, print_speed
from tests.bench.audit_speed import speed
from tests.bench.training import machine

# Of the tables, where a terminal has none or less.
_WIDTH = 100


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny images and networks: to see that it works")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds on one thread: for a busy machine")
    parser.add_argument(
        "--breaching", type=Path, default=ENVIRONMENT, help="its environment (default: build/breaching)"
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench/audit.json"))
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables and write the file."""
    options = _parsed(arguments)
    keep_freed_memory()  # as the product's runs do; it is as good for the loops
    clock = time.process_time if options.cpu_time else time.perf_counter
    if options.cpu_time:
        torch.set_num_threads(1)
    console = Console(width=max(_WIDTH, Console().width))
    rounds, quick = options.rounds, options.quick
    speeds = list(speed(rounds=rounds, quick=quick, clock=clock))
    print_speed(console, speeds)
    library = list(
        beside_breaching(options.breaching, rounds=rounds, quick=quick, clock=clock, cpu_time=options.cpu_time)
    )
    print_breaching(console, library)
    share = cost(rounds=rounds, quick=quick, clock=clock)
    print_cost(console, share)
    growing = list(growth(rounds=rounds, quick=quick, clock=clock))
    print_growth(console, growing)
    found = {
        "schema": SCHEMA,
        "machine": machine(),
        "settings": {"rounds": rounds, "quick": quick, "clock": "processor" if options.cpu_time else "wall"},
        "speed": [dataclasses.asdict(row) for row in speeds],
        "breaching": [dataclasses.asdict(row) for row in library],
        "cost": dataclasses.asdict(share),
        "growth": [dataclasses.asdict(row) for row in growing],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
