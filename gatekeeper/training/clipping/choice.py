"""Which way a convolution's share is formed: by a model of what each way costs, on shapes alone.

Shapes are fixed for a run (physical batches are filled up), and so is the choice: it does not depend on who was
sampled. The constants are nanoseconds on x86 cores, and only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.training.clipping.rounding import Summation, summation

# pointwise: one batched matrix product · grouped: one backward pass, samples as channel groups · one-by-one: a backward
# pass a unit · rows: patches written out, factored · convolved: factored.
Way = Literal["pointwise", "grouped", "one-by-one", "rows", "convolved"]

# With more rows than this the Gram matrices take more memory than they are worth.
_MOST_ROWS = 256
_MOST_PATCH_ROWS = 8

_GROUPED_IN_CACHE, _GROUPED, _ONE_BY_ONE, _POINTWISE, _EACH_CALL = 0.8, 2.4, 0.9, 0.1, 60_000.0
_CACHE = 32e6
_MULTIPLY, _WINDOW, _ADD = 0.013, 0.7, 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """The shapes that a choice is made on.

    Attributes:
        units: in a physical batch.
        views: of each unit.
        pixels: of the output.
        padded_pixels: of the input with its padding.
        channels_in: of the input.
        channels_out: of the output.
        taps: of a filter.
        factors: whether the gradient factors: one channel group, and not transposed.
        pointwise: whether the kernel is 1, and nothing is skipped or padded.
    """

    units: int
    views: int
    pixels: int
    padded_pixels: int
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
        """How the convolved way sums."""
        return summation(terms=self.rows)


def ways(problem: Problem) -> tuple[Way, ...]:
    """Every way that is right for these shapes."""
    found: list[Way] = ["grouped", "one-by-one"] if problem.views == 1 else ["one-by-one", "grouped"]
    if problem.factors and problem.pointwise:
        found.append("pointwise")
    if problem.factors and problem.rows <= _MOST_PATCH_ROWS:
        found.append("rows")
    if problem.factors and problem.rows <= _MOST_ROWS:
        found.append("convolved")
    return tuple(found)


def cost(problem: Problem, way: Way) -> float:
    """Nanoseconds beyond an ordinary weight gradient, roughly."""
    written = problem.units * problem.filters
    if way == "grouped":
        fits = 4 * written * problem.views <= _CACHE
        return written * problem.views * (_GROUPED_IN_CACHE if fits else _GROUPED)
    if way == "one-by-one":
        return written * _ONE_BY_ONE + problem.units * _EACH_CALL
    if way == "pointwise":
        return written * _POINTWISE
    pixels = problem.views * problem.padded_pixels
    grams = pixels**2 * problem.channels_in + problem.rows**2 * problem.channels_out
    gram_cost = problem.units * (grams * _MULTIPLY + problem.taps * problem.rows**2 * _WINDOW)
    if way == "rows":
        return gram_cost - written * 0.1  # such a product is cheaper than the small convolution that it replaces
    return gram_cost + written / problem.summation.units * _ADD


def choose(problem: Problem) -> Way:
    """The cheapest way."""
    return min(ways(problem), key=lambda way: cost(problem, way))


def choose_products(problem: Problem) -> Way:
    """The cheapest way that sums units by matrix products only, for devices whose convolutions are of any kind.

    A convolution by Winograd's or Fourier's algorithm errs by more than its number of roundings says, so no sum over
    units may be one. Where each unit's gradient is formed by itself and then clipped and summed as it came out, the
    algorithm doesn't matter: its error is a function of that unit alone, which `isolation` tries.
    """
    return min((way for way in ways(problem) if way != "convolved"), key=lambda way: cost(problem, way))
