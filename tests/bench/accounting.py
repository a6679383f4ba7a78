"""Accountants side by side (`make bench BENCH=accounting`): time, memory, failures, and their ε over ours.

Ours answers every question, a competitor twenty named ones and twenty of the grid, each with its own defaults, five
seconds and 3 GiB a question. Absolute times mean little on shared machines; what fails, hangs or bursts does.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import questions
from tests.bench.limits import Limited, Outcome
from tests.bench.questions import Asked

MODULE, SECONDS = "tests.bench.accountants", 5.0
COMPETITORS = {
    "dp-accounting PLD": "google_pld",
    "dp-accounting RDP": "google_rdp",
    "Opacus RDP": "opacus_rdp",
    "Opacus PRV": "opacus_prv",
    "Opacus GDP": "opacus_gdp",
}
EPSILONS = (1.0, 8.0, 32.0, 1e3, 1e4, 1e6, 1e9, 1e12, 1e15)
SETTING = (0.01, 1000, 1e-5)
_WORTH_COMPARING = 1e-3  # an ε below it is as good as 0, and a ratio to it says nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One accountant's line in the table; every count is of questions."""

    accountant: str
    asked: int
    answered: int
    median_seconds: float
    max_seconds: float
    peak_megabytes: float
    failures: dict[str, int]
    ratio_median: float
    ratio_min: float
    ratio_max: float
    below_proven_low: int
    slowest: str


def ask_all(function: str, asked: list[Asked]) -> dict[str, Outcome]:
    """The outcomes of one accountant by the question's name; an ε that is no number is a failure."""
    with Limited(MODULE, seconds=SECONDS, prepare=("prepare", function)) as process:
        return {question.name: _checked(process.ask(function, *question.arguments)) for question in asked}


def _checked(outcome: Outcome) -> Outcome:
    if isinstance(outcome.value, float) and not math.isfinite(outcome.value):
        return dataclasses.replace(outcome, value=None, failure=f"ε = {outcome.value}")
    return outcome


def row(name: str, outcomes: dict[str, Outcome], ours: dict[str, Outcome]) -> Row:
    """What the table says of one accountant, measured against our own proven ends."""
    answers = {key: outcome.value for key, outcome in outcomes.items() if outcome.failure is None}
    both = [(value, *ours[key].value) for key, value in answers.items() if ours[key].failure is None]
    ratios = [_high(value) / high for value, _, high in both if high >= _WORTH_COMPARING] or [math.nan]
    seconds = [outcome.seconds for outcome in outcomes.values()]
    return Row(
        accountant=name,
        asked=len(outcomes),
        answered=len(answers),
        median_seconds=statistics.median(seconds),
        max_seconds=max(seconds),
        peak_megabytes=max(outcome.peak_bytes for outcome in outcomes.values()) / 2**20,
        failures=dict(Counter(outcome.failure for outcome in outcomes.values() if outcome.failure)),
        ratio_median=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        below_proven_low=sum(_high(value) < low for value, low, _ in both),
        slowest=max(outcomes, key=lambda key: outcomes[key].seconds),
    )


def _high(value: float | tuple[float, float]) -> float:
    return value[1] if isinstance(value, tuple) else value


def accountants() -> list[Row]:
    """The first table."""
    grid = questions.grid()
    few = questions.named() + questions.sample(grid)
    wanted = {"gatekeeper": ("ours", questions.named() + grid)}
    wanted |= {name: (function, few) for name, function in COMPETITORS.items()}
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = dict(zip(wanted, pool.map(lambda name: ask_all(*wanted[name]), wanted), strict=True))
    return [row(name, outcomes, found["gatekeeper"]) for name, outcomes in found.items()]


def calibrations() -> list[dict[str, object]]:
    """The second table: σ for ε, by ourselves under both samplings and by Opacus."""
    table: list[dict[str, object]] = []
    with (
        Limited(MODULE, seconds=SECONDS, prepare=("prepare", "ours")) as us,
        Limited(MODULE, seconds=SECONDS, prepare=("prepare", "opacus_rdp")) as opacus,
    ):
        for epsilon in EPSILONS:
            outcomes = {
                "poisson": us.ask("our_noise", "poisson", epsilon, *SETTING),
                "balls-and-bins": us.ask("our_noise", "balls-and-bins", epsilon, *SETTING),
                "Opacus": opacus.ask("opacus_noise", epsilon, *SETTING),
            }
            table.append({"epsilon": epsilon, **{name: dataclasses.asdict(o) for name, o in outcomes.items()}})
    return table


def print_accountants(rows: list[Row]) -> None:
    print(f"{'accountant':18s} {'answered':>9s} {'median s':>9s} {'max s':>7s} {'peak MB':>8s} ", end="")
    print(f"{'ε / ours: median':>17s} {'min':>8s} {'max':>9s} {'below low':>9s}  failures")
    for line in rows:
        failures = ", ".join(f"{name} {count}" for name, count in line.failures.items()) or "none"
        print(
            f"{line.accountant:18s} {line.answered:4d}/{line.asked:<4d} {line.median_seconds:9.4f} "
            f"{line.max_seconds:7.2f} {line.peak_megabytes:8.0f} {line.ratio_median:17.4g} {line.ratio_min:8.4g} "
            f"{line.ratio_max:9.4g} {line.below_proven_low:9d}  {failures}"
        )
    print(f"slowest of ours: {rows[0].slowest}")
    print("below low: an ε under our proven lower bound, so that it can't be true")


def print_calibrations(table: list[dict[str, object]]) -> None:
    rate, steps, delta = SETTING
    print(f"σ for ε at T {steps}, q {rate:g}, δ {delta:g}, with seconds")
    print(f"{'ε':>8s} {'poisson':>22s} {'balls-and-bins':>22s} {'Opacus RDP':>22s}")
    for line in table:
        cells = " ".join(f"{_cell(line[name]):>22s}" for name in ("poisson", "balls-and-bins", "Opacus"))
        print(f"{line['epsilon']:8g} {cells}")


def _cell(outcome: dict[str, object]) -> str:
    said = outcome["failure"] or f"{outcome['value']:.6g}"
    return f"{said} ({outcome['seconds']:.2f})"


def main() -> None:
    rows = accountants()
    print_accountants(rows)
    table = calibrations()
    print_calibrations(table)
    path = Path("build/bench/accounting.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"accountants": [dataclasses.asdict(line) for line in rows], "calibrations": table}
    path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
