"""The engine: clipped sums of a step's units, a physical batch at a time.

A unit's gradient is the mean over its views; it is clipped once to norm r whatever the number of its views or images
(Abadi et al. 2016, algorithm 1, with the unit in place of the example).

*Who is where.* Physical batches are filled with sampled units in order, and what is left empty with blank images whose
gradients are dropped. The number of units is public: a unit that is zeroed out keeps its place, blank. So it changes
one block of one physical batch, in which it leaves every other unit's share as it was, to the last bit (`isolation`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.core.precision import Precision
from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping.choice import choose
from gatekeeper.training.clipping.clip import Clip, Rule
from gatekeeper.training.clipping.layers.base import Contribution, Layer
from gatekeeper.training.clipping.layers.convolution import Chooser
from gatekeeper.training.clipping.layers.hooked import HookedLayer
from gatekeeper.training.clipping.layers.table import layer_for
from gatekeeper.training.clipping.recorded import Loss, RecordedNetwork
from gatekeeper.training.clipping.rounding import BLOCK, SLACK, Summation, exposures
from gatekeeper.training.clipping.totals import Totals
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.distributed import LoneRank
from gatekeeper.training.grid import Grid
from gatekeeper.training.views import Views

# Physical batches of a half, a quarter and an eighth serve the last units of a step, if they still hold so many.
_FEWEST_UNITS, _HALVINGS = 4, 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnitShares:
    """What the layers contribute to the gradients of a physical batch's units.

    Attributes:
        contributions: of every layer.
        norms: an upper limit of each unit's norm over all layers, float64, shape (units,).
        exposures: how much each unit's products can disturb the sum over its block, float64, shape (units,).
    """

    contributions: list[Contribution]
    norms: Tensor
    exposures: Tensor


class ClippingEngine:
    """Clipped sums of a network's per-unit gradients.

    Args:
        network: the network; checked for layers that mix units. Its layers' `forward` is replaced until `close`.
        views: views of each unit, at least 1.
        units_at_once: units of a physical batch, which bounds memory; at least 1.
        loss: one loss a view.
        chooser: picks the way in which convolutions form their shares.
        ranks: the processes that share out a step's physical batches.
        precision: of the network's forward pass and of the gradients by its layers' inputs.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        views: int,
        units_at_once: int,
        loss: Loss,
        chooser: Chooser = choose,
        ranks: LoneRank | None = None,
        precision: Precision = "float32",
    ) -> None:
        check_network(network)
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._layers = _layers(network, views=views, chooser=chooser)
        self._recorded = RecordedNetwork(network, self._layers, precision=precision)
        self._loss = loss
        self.views = views
        self.units_at_once = units_at_once
        self._totals = Totals(self._parameters)
        self._tally = torch.zeros(1, dtype=torch.int64, device=self._parameters[0].device)
        self._ranks = ranks or LoneRank()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._parameters[0].device

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of a physical batch, and of those that serve a step's last units, in falling order."""
        sizes = [self.units_at_once]
        while len(sizes) <= _HALVINGS and sizes[-1] % 2 == 0 and sizes[-1] >= 2 * _FEWEST_UNITS:
            sizes.append(sizes[-1] // 2)
        return tuple(sizes)

    @property
    def hooked(self) -> tuple[str, ...]:
        """Names of the layers whose gradients Opacus forms, because the engine has no kernel for them."""
        return tuple(name for name, (_, layer) in self._layers.items() if isinstance(layer, HookedLayer))

    @property
    def tally(self) -> int:
        """Of the last sum's units, those with a norm of at most r less those beyond: as secret as that sum."""
        return int(self._tally)

    def own(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of a step's units that this process forms the sum of: whole physical batches, as one alone would fill.

        Args:
            units: all that were sampled, in order.
        """
        pieces = [units[piece.start : piece.start + piece.size] for piece in self._pieces(len(units))]
        return np.concatenate((units[:0], *self._ranks.share(pieces)))

    def clipped_sum(self, batch: Views, *, grid: Grid, rule: Rule = "flat") -> list[Tensor]:
        """Σ cᵢgᵢ over units on the grid: one unit changes it by at most C/h in norm.

        Args:
            batch: the views of this process's units (`own`), unit by unit; may be empty.
            grid: where sums live, and to what they are clipped.
            rule: how; see `Clip`.

        Returns:
            One int64 tensor for each trainable parameter, of its shape, in steps of the grid; it is overwritten by
            the next call. It is the sum over all processes' units in the first one, and of no use in the others.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        self._totals.clear()
        self._tally.zero_()
        with self._ranks.diverging_together():
            for filled in self._physical_batches(batch):
                shares = self.shares(filled.batch)
                factors = self._factors(shares, grid=grid, rule=rule, units=filled.units)
                self._tally += 2 * (shares.norms[: filled.units] <= grid.radius).sum() - filled.units
                for start in range(0, filled.units, BLOCK):
                    self._add(shares, factors, slice(start, min(start + BLOCK, filled.units)), grid=grid)
        self._ranks.add_up(self._totals.every)
        self._ranks.add_up(self._tally)
        return self._finished(grid)

    def shares(self, batch: Views) -> UnitShares:
        """The shares of one physical batch's units, blank ones included."""
        contributions = self._recorded.contributions(batch.images, batch.targets, loss=self._loss, views=self.views)
        squared = _added(contribution.share.squared for contribution in contributions)
        return UnitShares(contributions=contributions, norms=squared.sqrt(), exposures=_exposures(contributions))

    def close(self) -> None:
        """Give the network its own layers back."""
        self._recorded.close()

    @torch.no_grad()
    def _add(self, shares: UnitShares, factors: Tensor, block: slice, *, grid: Grid) -> None:
        """Add a block of units to the totals."""
        for contribution in shares.contributions:
            sums = contribution.share.sums(factors[block], block)
            for parameter, sum_ in zip(contribution.parameters, sums, strict=True):
                self._totals.add(parameter, sum_, grid=grid)

    def _factors(self, shares: UnitShares, *, grid: Grid, rule: Rule, units: int) -> Tensor:
        """The clip factors of the first `units` units; the others are blank."""
        if not bool(torch.isfinite(shares.norms).all()):
            raise DivergedError(
                "a unit's gradient is not finite", hint="lower the learning rate, or raise warmup or epsilon"
            )
        clip = Clip(radius=grid.radius, exposure=SLACK * grid.radius, rule=rule)
        return clip.factors(shares.norms[:units], shares.exposures[:units])

    def _finished(self, grid: Grid) -> list[Tensor]:
        for module, layer in self._layers.values():
            for parameter in module.parameters(recurse=False):
                finish = layer.finish(parameter) if parameter.requires_grad else None
                if finish is not None:
                    total = self._totals.of(parameter)
                    total.copy_((finish(total.double() * grid.step) / grid.step).round_())
        return [self._totals.of(parameter) for parameter in self._parameters]

    def _physical_batches(self, batch: Views) -> Iterator[_Filled]:
        units = len(batch.targets) // self.views
        for piece in self._pieces(units):
            rows = slice(piece.start * self.views, (piece.start + piece.size) * self.views)
            yield _Filled(
                batch=Views(
                    images=_filled(batch.images[rows], piece.size * self.views),
                    targets=_filled(batch.targets[rows], piece.size * self.views),
                ),
                units=min(piece.size, units - piece.start),
            )

    def _pieces(self, units: int) -> Iterator[_Piece]:
        """How units are cut into physical batches. Some of the pieces in a row, cut again, give the same pieces."""
        start = 0
        while start < units:
            piece = _Piece(start=start, size=self._size_for(units - start))
            yield piece
            start += piece.size

    def _size_for(self, left: int) -> int:
        """The next physical batch's size: the largest of which a quarter at most is blank."""
        sizes = self.sizes
        return next((size for size in sizes if 4 * left >= 3 * size), sizes[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A physical batch of `size` units, from unit `start` on; the last one may not be filled."""

    start: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Filled:
    """A physical batch of which the first `units` units are not blank."""

    batch: Views
    units: int


def _layers(network: nn.Module, *, views: int, chooser: Chooser) -> dict[str, tuple[nn.Module, Layer]]:
    """The engine's layer for every module with trainable parameters of its own."""
    return {
        name: (module, layer_for(name, module, views=views, chooser=chooser))
        for name, module in network.named_modules()
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    }


def _exposures(contributions: list[Contribution]) -> Tensor:
    """Of each unit, its m being over all layers that are summed in the same way."""
    alike: dict[Summation, list[Tensor]] = {}
    for contribution in contributions:
        alike.setdefault(contribution.share.summation, []).append(contribution.share.products)
    return exposures({way: _added(products.square() for products in every).sqrt() for way, every in alike.items()})


def _added(tensors: Iterable[Tensor]) -> Tensor:
    """Added up one after the other: a sum over an axis orders its additions by the place in the others."""
    return functools.reduce(torch.add, tensors)


def _filled(part: Tensor, rows: int) -> Tensor:
    """A fresh tensor of `rows` rows, zeros after those of `part`: fresh, so that its alignment is always the same."""
    filled = part.new_zeros((rows, *part.shape[1:]))
    filled[: len(part)] = part
    return filled
