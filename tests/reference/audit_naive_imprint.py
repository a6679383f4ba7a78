"""Attack A′ the slow and obvious way: loops over rows and units, no network, in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.reference.audit_naive_similarity import naive_ncc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NaiveGradients:
    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class NaiveActivations:
    image: NDArray[np.int64]
    active: NDArray[np.bool_]


@dataclass
class NaiveStep:
    """Rows alone, for units of one image each: each row that a unit activates gets slope·(x − m), its bias the slope.

    All rows' gradients are clipped as one, to norm `clipping_norm`, and noise is drawn from `rng`.
    """

    images: Floats  # (units, pixels), centred
    weight: Floats
    bias: Floats
    slopes: Floats  # of each unit
    mean: Floats  # (channels, *spatial)
    flavour: str
    batch: int
    noise_multiplier: float = 0.0
    clipping_norm: float = 1.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def rows(self) -> int:
        return len(self.bias)

    def activates(self, unit: int, row: int) -> bool:
        return sum(float(w) * float(x) for w, x in zip(self.weight[row], self.images[unit], strict=True)) > -float(
            self.bias[row]
        )

    def silent(self, units: NDArray[np.int64], *, step: int) -> NaiveGradients:
        weight, bias = np.zeros_like(self.weight), np.zeros_like(self.bias)
        for unit in units:
            active = [row for row in range(self.rows) if self.activates(unit, row)]
            squared = len(active) * self.slopes[unit] ** 2 * (float(self.images[unit] @ self.images[unit]) + 1)
            factor = min(1.0, self.clipping_norm / math.sqrt(squared)) if active else 0.0
            for row in active:
                weight[row] += factor * self.slopes[unit] * self.images[unit]
                bias[row] += factor * self.slopes[unit]
        return NaiveGradients(weight=weight, bias=bias)

    def observe(self, units: NDArray[np.int64], *, steps: range) -> NaiveGradients:
        total = self.silent(units, step=steps[0])
        scale = self.noise_multiplier * self.clipping_norm / math.sqrt(len(steps))
        return NaiveGradients(
            weight=total.weight + scale * self.rng.standard_normal(total.weight.shape),
            bias=total.bias + scale * self.rng.standard_normal(total.bias.shape),
        )

    def activations(self, units: NDArray[np.int64], *, step: int) -> NaiveActivations:
        active = [[self.activates(unit, row) for row in range(self.rows)] for unit in units]
        return NaiveActivations(image=units, active=np.array(active))


def naive_candidates(gradients: NaiveGradients, *, flavour: str) -> list[Floats]:
    """The ratio itself, row by row, with its scale; a row of which nothing is left gives nothing."""
    found = []
    for row in range(len(gradients.bias)):
        weight, bias = gradients.weight[row], gradients.bias[row]
        if flavour == "bins" and row + 1 < len(gradients.bias):
            weight, bias = weight - gradients.weight[row + 1], bias - gradients.bias[row + 1]
        found.append(weight / bias if bias else np.zeros_like(weight))
    return found


def naive_isolated(image: NDArray[np.int64], active: NDArray[np.bool_], *, flavour: str) -> set[int]:
    """Images that are alone in a bin, or alone in activating a row."""
    alone = set()
    for row in range(active.shape[1]):
        last = flavour == "trap" or row + 1 == active.shape[1]
        shown = {int(image[v]) for v in range(len(image)) if active[v, row] and (last or not active[v, row + 1])}
        if len(shown) == 1:
            alone |= shown
    return alone


def naive_best(candidates: list[Floats], truth: Floats) -> float:
    """The best NCC of any candidate; a candidate of zeros has none."""
    return max((naive_ncc(candidate, truth) if candidate.any() else 0.0) for candidate in candidates)
