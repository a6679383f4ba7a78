"""The factored share of a convolution: inputs and output gradients, convolved once the factors are known."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.training.clipping.geometry import Geometry, patch_gram
from gatekeeper.training.clipping.rounding import Summation
from gatekeeper.training.clipping.rows import Grams
from gatekeeper.training.clipping.shares import Witness, by_unit, in_pairs


class FactoredConvolution:
    """Inputs and output gradients of a convolution with one channel group.

    Args:
        geometry: how it slides.
        inputs: float32, shape (units · views, in, *spatial).
        gradients: of the outputs, float32, shape (units · views, out, *spatial).
        filters: only their shape is read.
        views: views of each unit.
        summation: units whose filters' gradients are summed by one backward pass.
    """

    def __init__(
        self,
        geometry: Geometry,
        inputs: Tensor,
        gradients: Tensor,
        filters: Tensor,
        *,
        views: int,
        summation: Summation,
    ) -> None:
        self._geometry, self._inputs, self._gradients, self._filters = geometry, inputs, gradients, filters
        self._views = views
        self.summation = summation
        outputs = tuple(gradients.shape[2:])
        rows = by_unit(gradients, views).transpose(1, 2).flatten(2)
        grams = Grams(
            patch_gram(geometry, inputs, outputs, views=views),
            torch.bmm(rows.transpose(1, 2), rows),
            roundings=filters[0].numel() + gradients.shape[1],
        )
        self.squared, self.products = grams.squared, grams.products

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """See `Share.sums`."""
        gradients, inputs = (by_unit(tensor, self._views)[units] for tensor in (self._gradients, self._inputs))
        scales = factors.view(-1, *[1] * (gradients.dim() - 1))

        def partial(few: slice) -> Tensor:
            scaled = gradients[few] * scales[few]
            return self._geometry.filters_gradient(scaled.flatten(0, 1), inputs[few].flatten(0, 1), self._filters)

        return [in_pairs(len(inputs), self.summation.units, partial)]

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [*(by_unit(t, self._views) for t in (self._inputs, self._gradients)), self.squared]
