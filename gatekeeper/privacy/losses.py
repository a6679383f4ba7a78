"""The privacy loss of one step, above all of the Poisson-subsampled Gaussian, on a grid, dominating the true one.

Removing a unit compares P = (1−q) N(0, σ²) + q N(1, σ²) with Q = N(0, σ²), adding one compares Q with P: these
pairs dominate every pair of neighbouring data sets, and so do their compositions (Zhu, Dong and Wang 2022,
"Optimal Accounting of Differential Privacy via Characteristic Function", theorems 10 and 11). The loss is L(x) =
log(P/Q)(x) = log(1 − q + q exp((x − ½)/σ²)), or −L(x).

Design note. The mass of a grid cell is split between the cell's two ends so that its mass under P and under Q are
both kept ("connect the dots", Doroshenko et al. 2022). The result dominates the true loss, and its distance is of
second order in the grid's width h: seen as a randomised rounding L̃ of the loss L, it has E[L̃ − L | L] between
0 and h²/8 (Hoeffding's lemma) where rounding up has h/2. So one grid serves both ends of the interval. Masses are
logarithms: at δ = 1e-300 the tails are as small as that. Rounding errors only ever move mass up; their extent
is reported, for the lower end to subtract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gatekeeper.privacy.intervals import SLACK, Array, Cells, gaussian_masses, mixture

Direction = Literal["remove", "add"]


class OneStep(Protocol):
    """What a grid needs to know of one step: a loss that is monotone in a real output, and the masses of intervals."""

    @property
    def rising(self) -> bool:
        """Whether the loss grows with the output."""

    def output(self, losses: Array) -> Array:
        """The output with the given privacy loss; the nearest end of the outputs for losses that none has."""

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which P has at most `tail` on each side."""

    def cells(self, low: Array, high: Array) -> Cells:
        """The masses of the intervals [low, high] of outputs under P and under Q."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subsampled:
    """One step of the Poisson-subsampled Gaussian, in one direction.

    Attributes:
        rate: q, strictly between 0 and 1.
        sigma: noise multiplier, above 0.
        direction: whether the unit's record is removed (P has it) or added (Q has it).
    """

    rate: float
    sigma: float
    direction: Direction

    @property
    def rising(self) -> bool:
        """Whether the loss grows with the output: removing a unit moves the output up."""
        return self.direction == "remove"

    def loss(self, x: float) -> float:
        """The privacy loss in nats at the output x."""
        value = float(np.logaddexp(math.log1p(-self.rate), math.log(self.rate) + (x - 0.5) / self.sigma**2))
        return value if self.direction == "remove" else -value

    def output(self, losses: Array) -> Array:
        """The output x with the given privacy loss; −∞ for losses that no output reaches."""
        values = losses if self.direction == "remove" else -losses
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.log1p(np.expm1(np.minimum(values, 50.0)) / self.rate)
        exponents = np.where(values > 50, values - math.log(self.rate), exact)
        floor = values <= math.log1p(-self.rate)
        return self.sigma**2 * np.where(floor | np.isnan(exponents), -np.inf, exponents) + 0.5

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which P has at most `tail` on each side, by Φ(−z) ≤ exp(−z²/2)."""
        reach = self.sigma * math.sqrt(-2 * math.log(tail))
        if self.direction == "remove":
            return self.loss(-reach), self.loss(1 + reach)
        return self.loss(reach), self.loss(-reach)

    def cells(self, low: Array, high: Array) -> Cells:
        """The masses of the intervals [low, high] of outputs under P and under Q."""
        base = gaussian_masses(low / self.sigma, high / self.sigma)
        moved = gaussian_masses((low - 1) / self.sigma, (high - 1) / self.sigma)
        mixed = mixture((math.log1p(-self.rate), base), (math.log(self.rate), moved))
        return Cells(p=mixed, q=base) if self.direction == "remove" else Cells(p=base, q=mixed)


@dataclass(frozen=True, kw_only=True, slots=True)
class GridLoss:
    """A discrete privacy loss that dominates the true one.

    Attributes:
        width: h, the distance of grid points, in nats.
        indices: i, for the grid points i·h.
        log_masses: log P(L̃ = i·h), rounded up.
        infinite: P(L̃ = ∞): the upper tail that was cut off.
        clipped: the mass of losses below the grid, counted at its lowest point.
        inflation: the largest factor by which rounding increased a mass, less 1.
        lift: at least E[L̃ − L | L], in nats.
        error: how far a loss computed from an output may be from the true one, in nats.
    """

    width: float
    indices: NDArray[np.int64]
    log_masses: Array
    infinite: float
    clipped: float
    inflation: float
    lift: float
    error: float

    @property
    def losses(self) -> Array:
        """The grid points in nats."""
        return np.asarray(self.indices * self.width, dtype=float)


def _outer(step: OneStep, edges: Array) -> tuple[float, float]:
    """P's mass (below, above) the grid in terms of the loss, rounded up."""
    first, last = (edges[:1], edges[-1:])
    nothing = np.full(1, -np.inf)
    ends = ((nothing, first), (last, -nothing))
    if not step.rising:
        ends = ((first, -nothing), (nothing, last))
    sides = [step.cells(*end) for end in ends]
    below, above = (min(1.0, float(np.exp(side.p.logs + side.p.error)[0])) for side in sides)
    return below, above


def _upper_share(cells: Cells, lower_losses: Array, width: float) -> tuple[Array, Array]:
    """The share of each cell's mass that goes to its upper end, rounded up, and by how much.

    b = (P − e^{g} Q) / (P (1 − e^{−h})), which keeps both masses (Doroshenko et al. 2022, section 4).
    """
    known, seen = np.isfinite(cells.p.logs), np.isfinite(cells.p.logs) & np.isfinite(cells.q.logs)
    log_p, log_q = np.where(known, cells.p.logs, 0.0), np.where(seen, cells.q.logs, 0.0)
    log_ratio = np.minimum(0.0, np.where(seen, log_q + lower_losses - log_p, -np.inf))
    size = 1 + np.abs(lower_losses) + np.abs(log_p) + np.abs(log_q)
    slack = (SLACK * size + cells.p.error + cells.q.error) / -math.expm1(-width)
    share = np.where(known, -np.expm1(log_ratio) / -math.expm1(-width) + slack, 1.0)
    return np.minimum(1.0, share), np.where(known, 2 * slack, 0.0)


def grid_loss(step: OneStep, *, width: float, tail: float) -> GridLoss:
    """The discrete loss on multiples of `width` that dominates one step's.

    Args:
        step: one step in one direction, such as `Subsampled`.
        width: h in nats, above 0; the number of grid points is about the extent of the losses over h.
        tail: the mass that may go to infinity at the upper end, or be clipped at the lower one.

    Returns:
        The loss, its cut-off mass and its rounding errors.
    """
    low, high = step.extent(tail)
    indices = np.arange(math.floor(low / width), math.ceil(high / width) + 1, dtype=np.int64)
    points = np.asarray(indices * width, dtype=float)
    edges = step.output(points)
    lower, upper = (edges[:-1], edges[1:]) if step.rising else (edges[1:], edges[:-1])
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        cells = step.cells(lower, upper)
        share, slack = _upper_share(cells, points[:-1], width)
        below, above = _outer(step, edges)
        masses = np.minimum(0.0, cells.p.logs + cells.p.error)
        nothing = [-np.inf]
        stay = np.concatenate([masses + np.log1p(-share), nothing])
        rise = np.concatenate([np.log([below]), masses + np.log(share)])
    return GridLoss(
        width=width,
        indices=indices,
        log_masses=np.logaddexp(stay, rise),
        infinite=above,
        clipped=below,
        inflation=math.expm1(min(700.0, 2 * float(cells.p.error.max()))),
        lift=min(width, width * width / 8) + width * min(1.0, float(slack.max())),
        error=SLACK * (1 + max(abs(low), abs(high)) + width),
    )
