"""The best test between "the target was there" and "it was not", played out step by step, with proven limits.

Each draw is a whole run: T outputs, their log-likelihood ratios added up. The threshold comes from runs without the
target, the power is counted among runs with it; both carry exact binomial limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The power of the best test of level κ: `low` and `high` hold together with the confidence asked for."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Steps that each take the target with probability `rate`, by what an adversary sees or up to the sign of it."""

    rate: float
    sigma: float
    steps: int
    folded: bool

    def log_ratios(self, *, present: bool, draws: int, rng: np.random.Generator) -> np.ndarray:
        total = np.zeros(draws)
        for _ in range(self.steps):
            x = self.sigma * rng.standard_normal(draws)
            if present:
                x += rng.random(draws) < self.rate
            ratio = np.exp((x - 0.5) / self.sigma**2)
            if self.folded:
                ratio = (ratio + np.exp((-x - 0.5) / self.sigma**2)) / 2
            total += np.log(1 - self.rate + self.rate * ratio)
        return total


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Epochs that each take the target into one of `batches` steps."""

    batches: int
    sigma: float
    epochs: int

    def log_ratios(self, *, present: bool, draws: int, rng: np.random.Generator) -> np.ndarray:
        total = np.zeros(draws)
        for _ in range(self.epochs):
            x = self.sigma * rng.standard_normal((draws, self.batches))
            if present:
                x[np.arange(draws), rng.integers(self.batches, size=draws)] += 1
            total += np.log(np.exp((x - 0.5) / self.sigma**2).mean(axis=1))
        return total


def power_limits(run: Steps | Bins, *, kappa: float, draws: int, confidence: float, seed: int) -> Limits:
    """Limits of γ(κ) from `draws` runs without the target and as many with it.

    The level of the r-th largest of n absent ratios is at most κ with probability P(Bin(n, κ) ≥ r). A threshold of
    level at most κ, with the lower Clopper–Pearson limit of its power, bounds γ from below; one of level at least κ,
    with the upper limit, bounds it from above. The error is split over four statements.
    """
    rng = np.random.default_rng(seed)
    absent, counted = (np.sort(run.log_ratios(present=there, draws=draws, rng=rng)) for there in (False, True))
    error = (1 - confidence) / 4

    def above(rank: int) -> int:
        return draws - int(np.searchsorted(counted, absent[draws - rank], side="right"))

    few, many = int(binom.ppf(error, draws, kappa)) - 1, int(binom.isf(error, draws, kappa)) + 2
    successes, most = above(few), above(many)
    return Limits(
        low=float(beta.ppf(error, successes, draws - successes + 1)),
        estimate=above(round(kappa * draws)) / draws,
        high=float(beta.isf(error, most + 1, draws - most)),
    )
