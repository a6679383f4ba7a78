"""The factored share of a product of rows: a linear layer's weights, or a convolution's whose patches are written out.

A unit's gradient is GᵀX, its rows being positions and views. Its norm follows from two small Gram matrices, ‖GᵀX‖² =
Σᵣₛ (XXᵀ)ᵣₛ(GGᵀ)ᵣₛ (Goodfellow 2015; Li et al. 2022, "Large language models can be strong differentially private
learners", section 4), and a sub-batch's clipped sum is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gatekeeper.training.clipping.norms import VANISHING, squared_norms
from gatekeeper.training.clipping.rounding import gamma, summation
from gatekeeper.training.clipping.shares import Witness, in_pairs
from gatekeeper.training.precision import widened

Mapped = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


class Grams:
    """‖GᵀX‖² and m of each unit, from its Gram matrices.

    Args:
        inputs: XXᵀ of each unit, float32, shape (units, rows, rows), entries that err by at most γ_n‖xᵣ‖‖xₛ‖.
        gradients: GGᵀ, of the same shape, likewise.
        roundings: the two n added up.
    """

    def __init__(self, inputs: Tensor, gradients: Tensor, *, roundings: int) -> None:
        rows = inputs.shape[1]
        lengths = [
            gram.diagonal(dim1=1, dim2=2).double().clamp(min=0).sqrt() + VANISHING for gram in (inputs, gradients)
        ]
        error = gamma(roundings + rows + 4)
        # |products| of one position form a matrix of rank one, whose norm is ‖xᵣ‖‖gᵣ‖; the norm of a sum is at most
        # the sum of norms. The diagonals' own error is paid for by 1 + error.
        self.products = (lengths[0] * lengths[1]).sum(1) * (1 + error) + VANISHING
        found = (inputs * gradients).sum(2).double().sum(1).clamp(min=0)
        self.squared = found + error * self.products.square()


class FactoredRows:
    """Inputs and output gradients of a layer whose weights multiply rows.

    Args:
        inputs: what rows are made of, float32 or bfloat16, shape (units, …).
        gradients: G, likewise, shape (units, rows, out).
        opened: forms X, of the same type, shape (units, rows, in), of the inputs of some units. Rows that repeat what
            the inputs hold, as patches do, are formed when they are wanted, and not kept.
        shaped: gives a gradient, shape (out, in), the parameter's shape.
    """

    def __init__(self, inputs: Tensor, gradients: Tensor, *, opened: Mapped = _same, shaped: Mapped = _same) -> None:
        self._inputs, self._gradients, self._opened, self._shaped = inputs, gradients, opened, shaped
        rows, columns = widened(opened(inputs)), widened(gradients)
        terms = rows.shape[1]
        self.summation = summation(terms=terms)
        if terms == 1:
            # One product, a matrix of rank one: its norm and that of its absolute values are both ‖x‖‖g‖.
            self.squared = squared_norms(rows[:, 0]) * squared_norms(columns[:, 0])
            self.products = self.squared.sqrt()
            return
        grams = Grams(
            torch.bmm(rows, rows.transpose(1, 2)),
            torch.bmm(columns, columns.transpose(1, 2)),
            roundings=rows.shape[2] + gradients.shape[2],
        )
        self.squared, self.products = grams.squared, grams.products

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        inputs, gradients = self._inputs[units], self._gradients[units]

        def partial(few: slice) -> Tensor:
            scaled = widened(gradients[few]) * factors[few, None, None]
            return scaled.flatten(0, 1).t() @ widened(self._opened(inputs[few])).flatten(0, 1)

        return [self._shaped(in_pairs(len(inputs), self.summation.units, partial))]

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [self._inputs, self._gradients, self.squared]
