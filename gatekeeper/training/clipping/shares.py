"""What one layer contributes to the gradients of a physical batch's units, kept until their clip factors are known.

Two forms. Materialised: each unit's gradient itself. Factored: inputs and output gradients, whose products are only
summed once the factors are known, so that no unit's gradient is ever formed ("book-keeping": Bu, Wang, Zha and Karypis
2023, "Differentially private optimization on large model at small cost").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from gatekeeper.training.clipping.norms import norms_of_pieces, squared_norms, squared_norms_from
from gatekeeper.training.clipping.rounding import Summation

# Units that one matrix-vector product sums: enough to be fast, few enough to round little.
_AT_ONCE = 16

MATERIALISED = Summation(units=_AT_ONCE, terms=1)


# Something of each unit of a physical batch: the unit is the first index.
Witness = Tensor | list[Tensor]


class Share(Protocol):
    """One layer's part of the gradients of some units.

    Attributes:
        summation: how the clipped sum is formed.
        squared: an upper limit of the squared norm of each unit's part, float64, shape (units,).
        products: an upper limit of m, the norm of the sums of absolute products, float64, shape (units,).
    """

    @property
    def summation(self) -> Summation:
        """See above."""

    @property
    def squared(self) -> Tensor:
        """See above."""

    @property
    def products(self) -> Tensor:
        """See above."""

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """Σ cᵢgᵢ over some units: float32, one tensor for each parameter of the layer, of its shape.

        Args:
            factors: c of the units in `units`, float32.
            units: which of the physical batch; at most a block.
        """

    def witnesses(self) -> list[Witness]:
        """All that the contribution of a unit is computed from."""


class AFewAtATime:
    """A parameter's gradients, formed and kept a few units at a time: they are measured while still in the cache.

    Args:
        gradients: of a few units each, always as many, float32, shape (few, *parameter), dense; in whatever order
            their numbers lie.

    Attributes:
        formed: those gradients.
    """

    summation = MATERIALISED

    def __init__(self, gradients: Iterable[Tensor]) -> None:
        self.formed: list[Tensor] = []
        norms = []
        for few in gradients:
            self.formed.append(few)
            norms.append(norms_of_pieces(_as_they_lie(few)))
        self.squared = squared_norms_from(torch.cat(norms))
        self.products = self.squared.sqrt()

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        first = self.formed[0][0]

        def partial(few: slice) -> Tensor:
            total, start = first.new_empty(first.numel()), few.start
            for rows in self._rows(slice(units.start + few.start, min(units.start + few.stop, units.stop))):
                # β = 0 at first: what is there is not read.
                total.addmv_(rows.t(), factors[start : start + len(rows)], beta=float(start > few.start))
                start += len(rows)
            return total.as_strided(first.shape, first.stride())

        return [in_pairs(units.stop - units.start, _AT_ONCE, partial)]

    def _rows(self, units: slice) -> Iterator[Tensor]:
        """The gradients of some units, as they lie: shape (a few, numbers)."""
        few = len(self.formed[0])
        for start in range(units.start - units.start % few, units.stop, few):
            own = self.formed[start // few]
            yield _as_they_lie(own[max(units.start - start, 0) : units.stop - start])

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [[unit for few in self.formed for unit in few], self.squared]


class Materialised:
    """A layer's part of each unit's gradient, formed and kept.

    Args:
        parts: for each parameter float32, shape (units, *parameter).
    """

    summation = MATERIALISED

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self._shapes = [part.shape[1:] for part in parts]
        self.parts = [part.reshape(len(part), -1) for part in parts]
        self.squared = torch.stack([squared_norms(part) for part in self.parts]).sum(0)
        self.products = self.squared.sqrt()

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        return [
            self._sum(part[units], factors).view(shape) for part, shape in zip(self.parts, self._shapes, strict=True)
        ]

    def _sum(self, rows: Tensor, factors: Tensor) -> Tensor:
        return in_pairs(len(rows), _AT_ONCE, lambda few: torch.mv(rows[few].t(), factors[few]))

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [*self.parts, self.squared]


def by_unit(samples: Tensor, views: int) -> Tensor:
    """Samples, unit by unit: (units · views, …) becomes (units, views, …)."""
    return samples.reshape(-1, views, *samples.shape[1:])


def _as_they_lie(dense: Tensor) -> Tensor:
    """The numbers of each of some dense tensors in the order in which they lie: shape (tensors, numbers)."""
    return dense.as_strided((len(dense), dense[0].numel()), (dense.stride(0), 1), dense.storage_offset())


def in_pairs(units: int, at_once: int, partial: Callable[[slice], Tensor]) -> Tensor:
    """The sum over some units, of sub-batches that are added up in pairs, the pairs in pairs, and so on.

    Args:
        units: how many, at least 1.
        at_once: units of a sub-batch.
        partial: the sum over a sub-batch, a fresh tensor.
    """
    return _tree(slice(0, units), at_once, partial)


def _tree(units: slice, at_once: int, partial: Callable[[slice], Tensor]) -> Tensor:
    pieces = -(-(units.stop - units.start) // at_once)
    if pieces == 1:
        return partial(units)
    middle = units.start + (pieces + 1) // 2 * at_once
    return _tree(slice(units.start, middle), at_once, partial).add_(_tree(slice(middle, units.stop), at_once, partial))
