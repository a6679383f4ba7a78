"""What the training bench found, as it is written to the file and printed."""

from __future__ import annotations

import dataclasses
import math
import statistics

from rich import box
from rich.console import Console
from rich.table import Table

SCHEMA = "gatekeeper/bench-training/1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of the rounds, and their quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float


def spread(values: list[float]) -> Spread:
    """Of at least one value."""
    if len(values) == 1:
        return Spread(median=values[0], lower_quartile=values[0], upper_quartile=values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median=middle, lower_quartile=low, upper_quartile=high)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One line of the table.

    Attributes:
        arm: its name.
        physical_batch: units that go through the network at once; None: all that were sampled.
        rounds: in which it took part.
        milliseconds: of a step.
        ratio: of its seconds to the baseline's, round by round.
        peak_bytes: that its steps add to model and data, in a process of its own; None where not measured.
        peak_over_whole: ratio of that to plain training in one go.
        peak_over_physical: the same to plain training in gatekeeper's physical batches.
        remark: what else is to be known.
        failure: why there is nothing to report: `not installed`, or what went wrong; None where nothing did.
    """

    arm: str
    physical_batch: int | None = None
    rounds: int = 0
    milliseconds: Spread | None = None
    ratio: Spread | None = None
    peak_bytes: int | None = None
    peak_over_whole: float | None = None
    peak_over_physical: float | None = None
    remark: str = ""
    failure: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelResult:
    """The table of one model.

    Attributes:
        name: of the case.
        title: network, width and image shape.
        parameters: trained numbers.
        batch: expected logical batch.
        convolutional: whether it counts in the geometric mean.
        baseline: which plain arm is the faster one, and the denominator of all ratios.
        arms: a line each.
        parts: how gatekeeper's seconds are shared out: `network` (forward, backward, shares of the layers), `sums`
            (clip factors, clipped sums), `noise`, `optimizer`.
        speedup_over_opacus: how many times gatekeeper's step is faster than that of the best Opacus arm.
    """

    name: str
    title: str
    parameters: int
    batch: int
    convolutional: bool
    baseline: str
    arms: list[ArmResult]
    parts: dict[str, float]
    speedup_over_opacus: float | None

    def of(self, arm: str) -> ArmResult:
        """The line of an arm."""
        return next(line for line in self.arms if line.arm == arm)


def speedup(arms: list[ArmResult], ours: str) -> float | None:
    """The smallest ratio of an Opacus arm over that of `ours`; None without Opacus."""
    ratios = {line.arm: line.ratio.median for line in arms if line.ratio is not None}
    opacus = [ratio for arm, ratio in ratios.items() if arm.startswith("opacus")]
    return min(opacus) / ratios[ours] if opacus and ours in ratios else None


def geometric_mean_ratio(models: list[ModelResult], *, arm: str, of: int) -> float | None:
    """Over the convolutional models' median ratios; None unless all `of` of them were measured."""
    found = [model.of(arm).ratio for model in models if model.convolutional]
    medians = [ratio.median for ratio in found if ratio is not None]
    return math.exp(statistics.fmean(map(math.log, medians))) if len(medians) == of else None


def print_model(console: Console, model: ModelResult) -> None:
    """A table of one model, what its lines have to say, and where gatekeeper's time goes."""
    title = f"{model.title}: {model.parameters / 1e6:.2f} M parameters, batch {model.batch}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("arm", no_wrap=True)
    for heading in ("at once", "ms", "ratio", "quartiles", "peak MB", "÷ whole", "÷ physical"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in model.arms:
        table.add_row(_name(line, baseline=model.baseline), *_cells(line))
    console.print(table)
    for line in model.arms:
        if line.remark:
            console.print(f"{line.arm}: {line.remark}")
    parts = ", ".join(f"{name} {share:.0%}" for name, share in model.parts.items())
    console.print(f"gatekeeper's step: {parts}")
    if model.speedup_over_opacus is not None:
        console.print(f"{model.speedup_over_opacus:.1f} times faster than the best Opacus arm")
    console.print()


def _name(line: ArmResult, *, baseline: str) -> str:
    if line.failure is not None:
        return f"{line.arm}: {line.failure}"
    return f"{line.arm} (= 1)" if line.arm == baseline else line.arm


def _cells(line: ArmResult) -> list[str]:
    timed = line.ratio is not None and line.milliseconds is not None
    return [
        ("all" if line.physical_batch is None else str(line.physical_batch)) if timed else "",
        f"{line.milliseconds.median:.1f}" if timed else "",
        f"{line.ratio.median:.2f}" if timed else "",
        f"{line.ratio.lower_quartile:.2f}–{line.ratio.upper_quartile:.2f}" if timed else "",
        "" if line.peak_bytes is None else f"{line.peak_bytes / 2**20:.0f}",
        "" if line.peak_over_whole is None else f"{line.peak_over_whole:.2f}",
        "" if line.peak_over_physical is None else f"{line.peak_over_physical:.2f}",
    ]
