"""The privacy loss of one epoch of balls and bins, with the amplification that the secret bins give, from above.

Derivation. An epoch deals each unit, uniformly and independently, into one of b batches; step t then releases a sum
whose mean the unit moves by a vector v_t of norm at most s⁻¹ noise deviations if it is in batch t. Tell the adversary
the bins of all others. What the earlier outputs show decides v_t: along v_t step t releases c_t 1{bin = t} + N(0, s²)
with a known c_t ≤ 1, which can be made from y_t = 1{bin = t} + N(0, s²) by the map c_t y_t + √(1 − c_t²) N(0, s²), the
same with and without the unit. So, by data processing,

    P = (1/b) Σ_t N(e_t, s² I)   and   Q = N(0, s² I)

dominate the epoch (Chua et al. 2024, "Balls-and-Bins Sampling for DP-SGD", who evaluate the pair by Monte Carlo), and
the epochs, which deal anew, compose. Under Q the likelihood ratio is R = (1/b) Σ_t e^{Y_t} with independent
Y_t ~ N(−μ²/2, μ²), μ = 1/s, and the two hockey sticks, E(R − e^ε)⁺ for removing a unit and E(1 − e^ε R)⁺ for adding
one, are expectations of convex functions of R. Splitting a value between two others with its mean kept raises such
expectations. So each e^{Y_t} is split onto the geometric grid e^{γi}, the sums of two grid values are split onto it
again, and so on by repeated doubling: every step works on positive numbers, with relative accuracy, and no transform.

| what                          | upper end                                                                |
| ----------------------------- | ------------------------------------------------------------------------ |
| splits                        | raise both hockey sticks; second order in γ                              |
| Y_t beyond the grid           | P of the event into δ                                                    |
| values too rare to keep       | P of the event into δ: (r-mass/b + mass), once for each such block       |
| rounding                      | masses raised by 1e-9; a relative change of R by 1e-9 is one of ε        |
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.special as sc

from gatekeeper.errors import InternalError
from gatekeeper.privacy.gaussian_step import GaussianStep
from gatekeeper.privacy.intervals import Array
from gatekeeper.privacy.losses import Direction, GridLoss
from gatekeeper.privacy.regrid import regrid
from gatekeeper.privacy.tilting import Repeated

_ROUNDING = 1e-9
_FINENESS = 0.06  # γ over the relative standard deviation of the sum that it holds
_COARSEST = 0.1
LEAST_DELTA = (
    1e-100  # with the largest losses, e^−ε times the masses that decide it would leave float64's range far below
)
MOST_BATCHES = 10**5  # an epoch of more takes seconds
LARGEST_MU = 8.0  # beyond it R is heavy-tailed: hardly any amplification, at a great cost


@dataclass(frozen=True, kw_only=True, slots=True)
class _Values:
    """A sum of some of the e^{Y_t} under Q.

    Attributes:
        terms: how many.
        stride: the distance of neighbouring indices; sums of few terms are spread wide, and need few grid values.
        low: the index of the first grid value e^{γi}, a multiple of `stride`.
        masses: Q's masses of the grid values.
        zero: Q's mass of the value 0.
        cut: at least P's probability of all that was left out, for one such sum.
        cut_absent: the same under Q.
    """

    terms: int
    stride: int
    low: int
    masses: Array
    zero: float
    cut: float
    cut_absent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Epochs:
    """Epochs of balls and bins with the same batches and noise, in one direction.

    Attributes:
        batches: b, at least 2.
        mu: 1/s, above 0 and at most `LARGEST_MU`.
        times: how many epochs.
        direction: whether the unit's record is removed or added.
    """

    batches: int
    mu: float
    times: int
    direction: Direction

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which one epoch has at most `tail` on each side; see `Source`."""
        reach = self.mu * math.sqrt(2 * math.log(2 * self.batches / tail)) + self.mu**2 / 2
        top = math.log((math.exp(min(reach, 600.0)) + self.batches) / self.batches)
        bottom = -math.log(self.batches) - self.mu**2 / 2
        return (min(bottom, -reach), top) if self.direction == "remove" else (-top, -min(bottom, -reach))

    def above(self, width: float, tail: float) -> Repeated:
        """See `Source`."""
        return Repeated(loss=_epoch(self, width, tail), times=self.times)

    def below(self, width: float, tail: float, precision: float) -> Repeated:
        """Not known.

        Raises:
            InternalError: always.
        """
        raise InternalError("balls and bins are discretised from above only")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grid:
    """The geometric grid of one epoch.

    Attributes:
        batches: b.
        mu: μ.
        gamma: γ of the last sum.
        tail: P's probability that may be left out of one term or one sum.
    """

    batches: int
    mu: float
    gamma: float
    tail: float

    def stride(self, terms: int) -> int:
        """A power of two: the relative deviation of a sum of `terms` falls with their root."""
        deviation = math.sqrt(math.expm1(self.mu**2) / terms)
        return 1 << max(0, math.floor(math.log2(min(_COARSEST, _FINENESS * deviation) / self.gamma)))


def _one(grid: _Grid) -> _Values:
    """One e^{Y} on the grid, with a first grid value below which it is split between that and 0."""
    mu, step, stride = grid.mu, GaussianStep(mu=grid.mu), grid.stride(1)
    gamma = grid.gamma * stride
    reach = mu * math.sqrt(2 * math.log(grid.batches / grid.tail))
    # Values below a fiftieth of the deviation may be merged, if not all b of them are likely to be so small.
    small = math.log(0.02 * math.sqrt(math.expm1(mu * mu)))
    all_small = mu * float(sc.ndtri(grid.tail ** (1 / grid.batches))) - mu * mu / 2
    low = math.floor(max(-mu * mu / 2 - reach, min(small, all_small)) / gamma)
    high = math.ceil((mu * mu / 2 + reach) / gamma)
    points = np.asarray(np.arange(low, high + 1) * gamma, dtype=float)
    edges = step.output(points)
    cells = step.cells(edges[:-1], edges[1:])
    present, absent, values = np.exp(cells.p.logs), np.exp(cells.q.logs), np.exp(points)
    # The share of each cell's Q-mass that goes up keeps its P-mass, which is its mean.
    rises = np.clip(present - values[:-1] * absent, 0.0, absent * np.diff(values)) / np.diff(values)
    masses = np.append(absent - rises, 0.0) + np.append(0.0, rises)
    below, mean_below = float(sc.ndtr(edges[0])), float(sc.ndtr(edges[0] - mu))
    masses[0] += mean_below / values[0]
    beyond = float(sc.ndtr(mu - edges[-1]) + grid.batches * sc.ndtr(-edges[-1])) * (1 + _ROUNDING)
    return _Values(
        terms=1,
        stride=stride,
        low=low * stride,
        masses=masses,
        zero=max(0.0, below - mean_below / float(values[0])),
        cut=beyond / grid.batches,
        cut_absent=float(sc.ndtr(-edges[-1])) * (1 + _ROUNDING),
    )


def _finer(values: _Values, stride: int) -> _Values:
    """The same values, which are also values of a finer grid."""
    masses = np.zeros((len(values.masses) - 1) * (values.stride // stride) + 1)
    masses[:: values.stride // stride] = values.masses
    return replace(values, stride=stride, masses=masses)


def _sum(first: _Values, second: _Values, gamma: float, stride: int) -> tuple[int, Array]:
    """The sums of two values, both above 0, each split between two grid values with its mean kept.

    e^{γi} + e^{γj} = e^{γ(i + c)} with c = log(1 + e^{γ(j − i)})/γ, which depends on j − i only.
    """
    a, b, wide = first.masses, second.masses, first.stride
    width, ratio = gamma * stride, wide // stride
    low = min(first.low, second.low)
    top = max(first.low + len(a) * wide, second.low + len(b) * wide)
    masses = np.zeros((top - low) // stride + math.ceil(math.log(2) / width) + 2)
    offset = (second.low - first.low) // wide
    for apart in range(offset - len(a) + 1, offset + len(b)):
        # i = first.low + n·wide and j = i + apart·wide = second.low + (n + shift)·wide
        shift = apart - offset
        start, end = max(0, -shift), min(len(a), len(b) - shift)
        products = a[start:end] * b[start + shift : end + shift]
        exact = float(np.logaddexp(0.0, gamma * wide * apart)) / width
        whole = math.floor(exact)
        share = math.expm1(width * (exact - whole)) / math.expm1(width)
        at = (first.low + start * wide - low) // stride + whole
        span = (len(products) - 1) * ratio + 1
        masses[at : at + span : ratio] += (1 - share) * products
        masses[at + 1 : at + 1 + span : ratio] += share * products
    return low, masses


def _trimmed(values: _Values, grid: _Grid) -> _Values:
    """Without the values at both ends that are too rare to matter, charged to δ."""
    values_at = np.exp((values.low + np.arange(len(values.masses)) * values.stride) * grid.gamma)
    charge = values.masses * (values_at / grid.batches + 1.0)
    kept = np.flatnonzero((np.cumsum(charge) > grid.tail) & (np.cumsum(charge[::-1])[::-1] > grid.tail))
    if not len(kept):
        return values
    first, last = int(kept[0]), int(kept[-1])
    gone = float(charge[:first].sum() + charge[last + 1 :].sum()) * (1 + _ROUNDING)
    return replace(
        values,
        low=values.low + first * values.stride,
        masses=values.masses[first : last + 1],
        cut=values.cut + gone,
        cut_absent=values.cut_absent + gone,
    )


def _added(first: _Values, second: _Values, grid: _Grid) -> _Values:
    wide = min(first.stride, second.stride)
    first, second = _finer(first, wide), _finer(second, wide)
    terms = first.terms + second.terms
    stride = min(wide, grid.stride(terms))
    low, masses = _sum(first, second, grid.gamma, stride)
    for weight, other in ((first.zero, second), (second.zero, first)):
        at = (other.low - low) // stride
        span = (len(other.masses) - 1) * (wide // stride) + 1
        masses[at : at + span : wide // stride] += weight * other.masses
    whole = _Values(
        terms=terms,
        stride=stride,
        low=low,
        masses=masses,
        zero=first.zero * second.zero,
        cut=first.cut + second.cut,
        cut_absent=first.cut_absent + second.cut_absent,
    )
    return _trimmed(whole, grid)


@functools.lru_cache(maxsize=32)
def _all_terms(grid: _Grid) -> _Values:
    """The sum of all b terms, bR, under Q, by doubling."""
    doubled, total, left = _one(grid), None, grid.batches
    while left:
        if left & 1:
            total = doubled if total is None else _added(total, doubled, grid)
        left >>= 1
        if left:
            doubled = _added(doubled, doubled, grid)
    if total is None:
        raise InternalError(f"an epoch needs a batch, got {grid.batches!r}")
    return total


def _epoch(epochs: Epochs, width: float, tail: float) -> GridLoss:
    deviation = math.sqrt(math.expm1(epochs.mu**2) / epochs.batches)
    gamma = min(_COARSEST, _FINENESS * deviation)
    grid = _Grid(batches=epochs.batches, mu=epochs.mu, gamma=gamma, tail=tail / (8 * epochs.batches))
    found = _all_terms(grid)
    places = found.low + np.arange(len(found.masses)) * found.stride
    losses = np.asarray(places * gamma - math.log(epochs.batches), dtype=float)
    with np.errstate(divide="ignore"):
        absent = np.log(found.masses) + _ROUNDING
    if epochs.direction == "remove":
        return regrid(losses, absent + losses, width=width, infinite=found.cut, error=_ROUNDING)
    cut = found.cut_absent + found.zero
    return regrid(-losses[::-1], absent[::-1], width=width, infinite=cut, error=_ROUNDING)
