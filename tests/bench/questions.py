"""The questions of the accounting bench: a fixed table of named ones, and a grid drawn with a fixed seed."""

from __future__ import annotations

import dataclasses
import math
import random

SEED, GRID, SAMPLE = 20240901, 500, 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """(σ, q, T, δ): what is the ε?"""

    name: str
    sigma: float
    rate: float
    steps: int
    delta: float

    @property
    def arguments(self) -> tuple[float, float, int, float]:
        return self.sigma, self.rate, self.steps, self.delta


_SIGMAS = (1.4, 1.0, 0.6, 0.4, 0.3, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)

# The settings of Ziller, Mueller, Stieger et al. 2024, from tight to very high budgets.
_PAPER = (
    ("RadImageNet", 0.00307, 16250, (0.649, 0.0663, 9.5e-4)),
    ("HAM10000", 0.253, 300, (3.19, 0.0128)),
    ("MSD Liver", 1 / 106, 53000, (0.17,)),
)


def named() -> list[Asked]:
    """Twenty questions that people ask."""
    ladder = [
        Asked(name=f"T 1000, q 0.01, σ {sigma:g}", sigma=sigma, rate=0.01, steps=1000, delta=1e-5) for sigma in _SIGMAS
    ]
    paper = [
        Asked(name=f"{name}, σ {sigma:g}", sigma=sigma, rate=rate, steps=steps, delta=8e-7)
        for name, rate, steps, sigmas in _PAPER
        for sigma in sigmas
    ]
    return ladder + paper


def grid(count: int = GRID) -> list[Asked]:
    """Questions spread evenly over the logarithms of all that may be asked."""
    source = random.Random(SEED)

    def between(low: float, high: float) -> float:
        return math.exp(source.uniform(math.log(low), math.log(high)))

    def drawn(index: int) -> Asked:
        sigma, rate = between(1e-9, 1e3), between(1e-6, 1.0)
        steps, delta = round(between(1, 1e6)), between(1e-12, 1e-3)
        name = f"grid {index}: σ {sigma:.3g}, q {rate:.3g}, T {steps}, δ {delta:.2g}"
        return Asked(name=name, sigma=sigma, rate=rate, steps=steps, delta=delta)

    return [drawn(index) for index in range(count)]


def sample(questions: list[Asked], count: int = SAMPLE) -> list[Asked]:
    """A few of the grid, always the same."""
    return random.Random(SEED + 1).sample(questions, count)
