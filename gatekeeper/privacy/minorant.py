"""A discrete loss that the true loss of one step dominates: the lower twin of `losses.grid_loss`.

Derivation. Grid points are g_j = o + j·h, with any origin o. Cell j holds the outputs whose loss lies between g_j and
g_{j+1}, with masses p_j under P and q_j under Q. Send each cell to its upper end with probability a_j, to its lower
end otherwise: a randomised function of the output, the same under P and Q, which makes no composition easier to tell
apart (data processing). Grid point j then collects a_{j−1} of the cell below it and 1 − a_j of the cell above it, and
what arrives has loss at least g_j whenever

    a_{j−1} (e^{g_j} q_{j−1} − p_{j−1}) ≤ (1 − a_j) (p_j − e^{g_j} q_j).        (balance)

So give it the loss g_j: E[(1 − e^{ε−S})⁺] only falls when S does. Any shares in [0, 1] with (balance) are valid; the
closer to equality the better. With the share b_j of "connect the dots" (`losses`) the two sides are
p_{j−1} (1 − b_{j−1}) (e^h − 1) and p_j b_j (1 − e^{−h}), so that (balance) is r_j a_{j−1} + a_j ≤ 1 with
r_j = e^h p_{j−1} (1 − b_{j−1}) / (p_j b_j). Masses beyond the grid's ends are left out, which only lowers δ.

Design note. Equality everywhere is a recurrence, a_{j−1} = (1 − a_j)/r_j downwards or a_j = 1 − r_j a_{j−1} upwards. It
stays in [0, 1] where it runs towards higher density (r ≥ 1 downwards, r < 1 upwards), so it starts in the valleys and
ends at the modes, where one point is left with a surplus. Under sparse sampling nearly all mass sits at a mode
narrower than h; the origin is moved until that mode's mean is a grid point, and nothing is lost but what the mode's
own outputs could tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_banded

from gatekeeper.privacy.intervals import SLACK, Array, Cells
from gatekeeper.privacy.losses import GridLoss, OneStep
from gatekeeper.privacy.search import crossing

_MARGIN = 1e-12  # relative: covers the rounding of the few operations on shares
_HUGE = 700.0  # nats: the exponential is still finite
_PHASES, _MOVES = 8, 20
_FORGOTTEN = 14.0  # nats of density


@dataclass(frozen=True, kw_only=True, slots=True)
class Minorant:
    """A loss that the true one dominates.

    Attributes:
        loss: the loss less `origin`; masses that are missing to 1 count as −∞.
        origin: o, in nats.
    """

    loss: GridLoss
    origin: float


def _kept_share(cells: Cells, lower_losses: Array, width: float) -> Array:
    """At most b = (p − e^g q) / (p (1 − e^{−h})), the share of "connect the dots"; 0 where nothing is known."""
    seen = np.isfinite(cells.p.logs) & np.isfinite(cells.q.logs)
    log_p, log_q = np.where(seen, cells.p.logs, 0.0), np.where(seen, cells.q.logs, 0.0)
    size = 1 + np.abs(lower_losses) + np.abs(log_p) + np.abs(log_q)
    slack = (SLACK * size + cells.p.error + cells.q.error) / -math.expm1(-width)
    share = -np.expm1(np.minimum(0.0, log_q + lower_losses - log_p)) / -math.expm1(-width) - slack
    return np.asarray(np.where(seen, np.clip(share, 0.0, 1.0), 0.0), dtype=float)


def _ratios(log_p: Array, error: Array, share: Array, width: float) -> Array:
    """r_0 … r_n at the grid points, rounded up: 0 at the first one, infinite at the last."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = log_p[:-1] + error[:-1] - log_p[1:] + error[1:] + np.log1p(-share[:-1]) - np.log(share[1:]) + width
    inner = np.where(logs < _HUGE, np.exp(np.minimum(logs, _HUGE)) * (1 + _MARGIN), np.inf)
    return np.asarray(np.concatenate([[0.0], inner, [np.inf]]), dtype=float)


def _equalities(ratios: Array) -> Array:
    """Shares with equality in (balance) but at modes and valleys."""
    here, above = ratios[:-1], ratios[1:]
    up, down = here < 1, above >= 1
    only_down, valley = ~up & down, ~up & ~down
    bands = np.zeros((3, len(here)))
    bands[1] = 1.0
    bands[0, 1:] = np.where(only_down, 1 / np.maximum(above, 1.0), 0.0)[:-1]
    bands[2, :-1] = np.where(up, here, 0.0)[1:]
    guess = (1 / (1 + here) + 1 / (1 + above)) / 2
    right = np.where(up, 1.0, np.where(valley, guess, 1 / np.maximum(above, 1.0)))
    solved = solve_banded((1, 1), bands, right, check_finite=False, overwrite_ab=True, overwrite_b=True)
    return np.asarray(np.clip(solved, 0.0, 1.0), dtype=float)


def _shares(ratios: Array) -> Array:
    """Shares a that satisfy (balance), whatever rounding did to the equalities."""
    solved = _equalities(ratios)
    most = (1 - np.append(solved[1:], 0.0)) * (1 - _MARGIN)
    with np.errstate(divide="ignore", invalid="ignore"):
        allowed = np.where(ratios[1:] > 0, most / ratios[1:], 1.0)
    return np.asarray(np.minimum(solved, allowed), dtype=float)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Laid:
    """The grid with one origin: its cells' masses, the shares that rise, and the loss given away at each point."""

    origin: float
    cells: Cells
    rise: Array
    surpluses: Array

    @property
    def surplus(self) -> float:
        """The loss given away in the mean."""
        return float(self.surpluses.sum())


def _laid(step: OneStep, grid: Array, origin: float, width: float) -> _Laid:
    points = origin + grid
    edges = step.output(points)
    cells = step.cells(edges[:-1], edges[1:]) if step.rising else step.cells(edges[1:], edges[:-1])
    share = _kept_share(cells, points[:-1], width)
    rise = _shares(_ratios(cells.p.logs, cells.p.error + cells.q.error, share, width))
    masses = np.exp(cells.p.logs)
    # The difference of the two sides of (balance) at each grid point but the last.
    over = masses * share * (1 - rise) * -math.expm1(-width)
    under = masses * (1 - share) * rise * math.expm1(min(width, _HUGE))
    return _Laid(origin=origin, cells=cells, rise=rise, surpluses=over - np.append(0.0, under[:-1]))


def _near_the_mode(laid: _Laid) -> slice:
    """The cells that decide the surplus: the recurrence forgets where it started as the density rises."""
    heavy = np.flatnonzero(laid.cells.p.logs >= laid.cells.p.logs.max() - _FORGOTTEN)
    return slice(max(0, int(heavy[0]) - 2), int(heavy[-1]) + 4)


def _best_origin(step: OneStep, grid: Array, width: float, precision: float) -> float:
    """The origin in one period with the least surplus, which touches zero where it passes to another grid point."""

    def laid(origin: float) -> _Laid:
        return _laid(step, grid, origin, width)

    tried = [laid(width * phase / _PHASES) for phase in range(_PHASES)]
    best = min(tried, key=lambda one: one.surplus)
    left, right = laid(best.origin - width / _PHASES), laid(best.origin + width / _PHASES)
    first = int(left.surpluses.argmax())

    def signed(origin: float) -> float:
        tried.append(laid(origin))
        return tried[-1].surplus if int(tried[-1].surpluses.argmax()) == first else -tried[-1].surplus

    if signed(right.origin) < 0 < left.surplus:
        crossing(signed, left.origin, right.origin, absolute=precision, at_most=_MOVES)
    return min(tried, key=lambda one: one.surplus).origin


def _well_laid(step: OneStep, grid: Array, width: float, precision: float) -> _Laid:
    plain = _laid(step, grid, 0.0, width)
    if plain.surplus <= precision:
        return plain
    moved = _laid(step, grid, _best_origin(step, grid[_near_the_mode(plain)], width, precision), width)
    return min(plain, moved, key=lambda one: one.surplus)


def minorant(step: OneStep, *, width: float, tail: float, precision: float) -> Minorant:
    """The discrete loss on multiples of `width` from some origin that one step's dominates.

    Args:
        step: one step in one direction.
        width: h in nats, above 0.
        tail: the mass that may be left out at each end of the grid.
        precision: what may be given away in the mean, in nats, above 0, before another origin is looked for.
    """
    low, high = step.extent(tail)
    indices = np.arange(math.floor(low / width) - 1, math.ceil(high / width) + 1, dtype=np.int64)
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        laid = _well_laid(step, np.asarray(indices * width, dtype=float), width, precision)
        logs = laid.cells.p.logs - laid.cells.p.error
        stays = np.concatenate([logs + np.log1p(-laid.rise), [-np.inf]])
        rises = np.concatenate([[-np.inf], logs + np.log(laid.rise)])
        masses = np.logaddexp(stays, rises)
    loss = GridLoss(
        width=width,
        indices=indices,
        log_masses=masses,
        infinite=0.0,
        clipped=0.0,
        inflation=0.0,
        lift=0.0,
        error=SLACK * (1 + max(abs(low), abs(high)) + 2 * width),
    )
    return Minorant(loss=loss, origin=laid.origin)
