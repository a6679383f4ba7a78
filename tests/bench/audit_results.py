"""What the audit bench found, as it is written to the file and printed."""

from __future__ import annotations

import dataclasses

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.training_results import Spread

SCHEMA = "gatekeeper/bench-audit/1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeedRow:
    """An attack beside a loop over single images.

    Attributes:
        attack: which.
        setting: image shape, and for attack B the network.
        images: in each round.
        rounds: how many.
        images_per_second: of the product's attack; for attack B whole searches of `iterations` steps.
        over_loop: the loop's seconds over the product's, round by round: above 1 the product is faster.
        iterations: of attack B's search; None for the others.
    """

    attack: str
    setting: str
    images: int
    rounds: int
    images_per_second: Spread
    over_loop: Spread
    iterations: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reached:
    """What attacks get to without noise.

    Attributes:
        recovered: images whose NCC with what was found is at least `audit_breaching.RECOVERED`.
        median_similarity: NCC.
    """

    recovered: int
    median_similarity: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class BreachingRow:
    """An attack beside that of the library breaching. Where there is a failure, nothing was measured.

    Attributes:
        attack: which.
        setting: image shape, and for attack B the network.
        images: in each round.
        iterations: of attack B's searches; None for attack A.
        rounds: how many.
        images_per_second: of the product's attack.
        over_breaching: the library's seconds over the product's, round by round: above 1 the product is faster.
        ours: what the product's attack gets to without noise.
        theirs: what the library's does.
        failure: `not installed`, or what went wrong; None where nothing did.
    """

    attack: str
    setting: str
    images: int
    iterations: int | None
    rounds: int = 0
    images_per_second: Spread | None = None
    over_breaching: Spread | None = None
    ours: Reached | None = None
    theirs: Reached | None = None
    failure: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostResult:
    """The default audit beside the training whose model it judges.

    Attributes:
        candidate: whose network and data.
        train_units: units trained on.
        audited_units: the random sample, without the worst-k stratum.
        rounds: how many.
        steps: of the whole training.
        measured_steps: of the training that was measured; the rest is scaled by the number of steps.
        training_seconds: of the whole training, scaled.
        attacks_over_training: seconds of the simulated attacks over those, round by round.
        matching_over_training: the same of matching candidates.
    """

    candidate: str
    train_units: int
    audited_units: int
    rounds: int
    steps: int
    measured_steps: int
    training_seconds: Spread
    attacks_over_training: Spread
    matching_over_training: Spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowthRow:
    """The simulated attacks' cost at one size.

    Attributes:
        varied: `pixels` or `units`.
        pixels: N, values of an image.
        units: attacked, and trained on.
        size_ratio: what was varied, over the smallest.
        cost_ratio: seconds over those of the smallest, round by round.
    """

    varied: str
    pixels: int
    units: int
    size_ratio: float
    cost_ratio: Spread


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _quartiles(spread: Spread) -> str:
    return f"{spread.lower_quartile:.3g}–{spread.upper_quartile:.3g}"


def print_speed(console: Console, rows: list[SpeedRow]) -> None:
    """A line for each attack and setting."""
    table = _table("attack", "images/s", "× loop", "quartiles")
    for row in rows:
        table.add_row(
            _name(row), f"{row.images_per_second.median:.3g}", f"{row.over_loop.median:.2f}", _quartiles(row.over_loop)
        )
    console.print("Attacks beside a loop over single images (above 1 the product's is faster)", table)


def print_breaching(console: Console, rows: list[BreachingRow]) -> None:
    """A line for each attack and setting; without noise, how many images each recovers and its median NCC."""
    table = _table("attack", "images/s", "× breaching", "quartiles", "recovered", "breaching's")
    table.columns[0].no_wrap = False  # failures are long
    for row in rows:
        rate, ratio = row.images_per_second, row.over_breaching
        if rate is None or ratio is None:
            table.add_row(f"{_name(row)}: {row.failure}")
            continue
        reached = (_reached(of, images=row.images) for of in (row.ours, row.theirs))
        table.add_row(_name(row), f"{rate.median:.3g}", f"{ratio.median:.2f}", _quartiles(ratio), *reached)
    console.print("Attacks beside the library breaching (above 1 the product's is faster)", table)


def _reached(of: Reached | None, *, images: int) -> str:
    return "" if of is None else f"{of.recovered}/{images}, {of.median_similarity:.2f}"


def _name(row: SpeedRow | BreachingRow) -> str:
    return f"{row.attack}, {row.setting}" + (f", {row.iterations} iterations" if row.iterations else "")


def print_cost(console: Console, cost: CostResult) -> None:
    """The audit's parts, as shares of the training."""
    title = (
        f"The audit beside the training of {cost.candidate}, {cost.steps} steps, scaled from {cost.measured_steps}; "
        f"{cost.train_units} units, {cost.audited_units} attacked"
    )
    table = _table("part", "÷ training", "quartiles")
    for name, spread in (
        ("simulated attacks", cost.attacks_over_training),
        ("matching candidates", cost.matching_over_training),
    ):
        table.add_row(name, f"{spread.median:.3g}", _quartiles(spread))
    console.print(title, table)


def print_growth(console: Console, rows: list[GrowthRow]) -> None:
    """How the cost of the simulated attacks grows, beside what was varied."""
    table = _table("varied", "N", "units", "size ×", "cost ×", "quartiles")
    for row in rows:
        sizes = (str(row.pixels), str(row.units), f"{row.size_ratio:.3g}")
        table.add_row(row.varied, *sizes, f"{row.cost_ratio.median:.3g}", _quartiles(row.cost_ratio))
    console.print("Growth of the simulated attacks", table)
