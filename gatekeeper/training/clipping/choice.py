"""Which way a convolution's share is formed: by a model of what each way costs, on shapes alone.

Shapes are fixed for a run (physical batches are filled up), and so is the choice: it does not depend on who was
sampled. The constants are nanoseconds on x86 cores, and only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.training.clipping.rounding import Summation, summation

# pointwise: one batched matrix product · grouped: one backward pass, samples as channel groups · few: a few units'
# products at a time, or a backward pass a unit · rows: factored, patches written out.
Way = Literal["pointwise", "grouped", "few", "rows"]

# With more rows than this the Gram matrices take more memory than they are worth.
_MOST_ROWS = 256

# Nanoseconds: for each number of all units' gradients …
_POINTWISE, _FEW, _GROUPED_IN_CACHE, _GROUPED = 0.1, 0.55, 0.9, 2.2
_CACHE = 32e6
# … for each number of their patches; for each product where few input channels leave vector units half empty …
_PATCH, _NARROW = 0.3, 0.015
_FEW_CHANNELS = 8
# … for each product of Gram matrices, and each number of a sub-batch's sum; for each backward pass of one unit.
_MULTIPLY, _ADD, _EACH_CALL = 0.014, 1.0, 60_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """The shapes that a choice is made on.

    Attributes:
        units: in a physical batch.
        views: of each unit.
        pixels: of the output.
        channels_in: of the input.
        channels_out: of the output.
        taps: of a filter.
        factors: whether the gradient factors: one channel group, and not transposed.
        pointwise: whether the kernel is 1, and nothing is skipped or padded.
    """

    units: int
    views: int
    pixels: int
    channels_in: int
    channels_out: int
    taps: int
    factors: bool
    pointwise: bool

    @property
    def filters(self) -> int:
        """Numbers in all filters."""
        return self.channels_in * self.channels_out * self.taps

    @property
    def rows(self) -> int:
        """Rows of a unit: output pixels of all its views."""
        return self.views * self.pixels

    @property
    def summation(self) -> Summation:
        """How factors are summed."""
        return summation(terms=self.rows)


def ways(problem: Problem) -> tuple[Way, ...]:
    """Every way that is right for these shapes."""
    found: list[Way] = ["grouped", "few"] if problem.views == 1 else ["few", "grouped"]
    if problem.factors and problem.pointwise:
        found.append("pointwise")
    if problem.factors and problem.rows <= _MOST_ROWS:
        found.append("rows")
    return tuple(found)


def cost(problem: Problem, way: Way) -> float:
    """Nanoseconds beyond an ordinary weight gradient, roughly."""
    written = problem.units * problem.filters
    if way == "grouped":
        fits = 4 * written * problem.views <= _CACHE
        narrow = written * problem.rows * _NARROW if problem.channels_in < _FEW_CHANNELS else 0.0
        return written * problem.views * (_GROUPED_IN_CACHE if fits else _GROUPED) + narrow
    if way == "few":
        patches = problem.units * problem.rows * problem.channels_in * problem.taps
        return written * _FEW + (patches * _PATCH if problem.factors else problem.units * _EACH_CALL)
    if way == "pointwise":
        return written * _POINTWISE
    gram = problem.rows**2 * (problem.channels_in * problem.taps + problem.channels_out)
    return problem.units * gram * _MULTIPLY + written / problem.summation.units * _ADD


def choose(problem: Problem) -> Way:
    """The cheapest way."""
    return min(ways(problem), key=lambda way: cost(problem, way))
