"""What one layer contributes to the gradients of a physical batch's units, kept until their clip factors are known.

Two forms. Materialised: each unit's gradient itself. Factored: inputs and output gradients, whose products are only
summed once the factors are known, so that no unit's gradient is ever formed ("book-keeping": Bu, Wang, Zha and Karypis
2023, "Differentially private optimization on large model at small cost").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from gatekeeper.training.clipping.norms import squared_norms
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
        """Σ cᵢgᵢ over some units: float32, one tensor for each parameter of the layer, of any shape.

        Args:
            factors: c of the units in `units`, float32.
            units: which of the physical batch; at most a block.
        """

    def witnesses(self) -> list[Witness]:
        """All that the contribution of a unit is computed from."""


class OneByOne:
    """A parameter's gradients, formed and kept unit by unit: each is measured while it is still in the cache.

    Args:
        gradients: of each unit, float32.
        look: what else to find out of each, or None.
    """

    summation = MATERIALISED

    def __init__(self, gradients: Iterable[Tensor], *, look: Callable[[Tensor], Tensor] | None = None) -> None:
        self._each: list[Tensor] = []
        squared, looks = [], []
        for gradient in gradients:
            self._each.append(gradient.reshape(-1))
            squared.append(squared_norms(self._each[-1][None]))
            if look is not None:
                looks.append(look(gradient))
        self.squared = torch.cat(squared)
        self.products = self.squared.sqrt()
        self.seen = torch.stack(looks) if looks else None

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        each, scales = self._each[units], factors.tolist()

        def partial(few: slice) -> Tensor:
            first, *others = range(few.start, min(few.stop, len(each)))
            total: Tensor = each[first] * scales[first]
            for unit in others:
                total.add_(each[unit], alpha=scales[unit])
            return total

        return [in_pairs(len(each), _AT_ONCE, partial)]

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        seen = [] if self.seen is None else [self.seen]
        return [self._each, self.squared, *seen]


class Materialised:
    """A layer's part of each unit's gradient, formed and kept.

    Args:
        parts: for each parameter float32, shape (units, *parameter).
    """

    summation = MATERIALISED

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = [part.reshape(len(part), -1) for part in parts]
        self.squared = torch.stack([squared_norms(part) for part in self.parts]).sum(0)
        self.products = self.squared.sqrt()

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        return [self._sum(part[units], factors) for part in self.parts]

    def _sum(self, rows: Tensor, factors: Tensor) -> Tensor:
        return in_pairs(len(rows), _AT_ONCE, lambda few: torch.mv(rows[few].t(), factors[few]))

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [*self.parts, self.squared]


def by_unit(samples: Tensor, views: int) -> Tensor:
    """Samples, unit by unit: (units · views, …) becomes (units, views, …)."""
    return samples.reshape(-1, views, *samples.shape[1:])


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
