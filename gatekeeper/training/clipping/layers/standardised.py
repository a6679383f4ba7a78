"""Weight-standardised convolutions: an ordinary one's share, seen through the standardisation.

With u = w − mean(w) of a filter, n its length and s = (n(mean(u²) + ε))^(−½), the standardised filter is su, and an
ordinary gradient g pulls back to g' − mean(g') − s²u⟨g', u⟩ with g' = sg (`standardise_vjp`): linear, so it may wait
for the sum. Two orthogonal directions are taken out, 1 and u; so the pulled-back gradient's squared norm is
‖g'‖² − p², p² = n·mean(g')² + s²⟨g', u⟩²(2 − s²‖u‖²).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.training.clipping.choice import choose
from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, detached, trainable
from gatekeeper.training.clipping.layers.convolution import Chooser, ConvolutionLayer
from gatekeeper.training.clipping.norms import VANISHING, squared_norms
from gatekeeper.training.clipping.rounding import Summation, gamma
from gatekeeper.training.clipping.rows import FactoredRows
from gatekeeper.training.clipping.shares import AFewAtATime, Share, Witness, by_unit
from gatekeeper.training.networks.standardised import StandardisedConv2d, scales, standardise, standardise_vjp
from gatekeeper.training.precision import widened


class StandardisedLayer:
    """A weight-standardised convolution under the engine.

    Args:
        module: the layer, with one channel group and padded with zeros.
        views: views of each unit.
        chooser: picks the way to form shares.
    """

    def __init__(self, module: StandardisedConv2d, *, views: int, chooser: Chooser = choose) -> None:
        self._module, self._views = module, views
        self._ordinary = ConvolutionLayer(module, views=views, chooser=chooser)
        self._filters: _Filters | None = None

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`; keeps what the filters see, without the bias, unless that is rounded to bfloat16."""
        seen = self._ordinary.convolve(inputs, self._standardised().filters, None)
        bias = detached(self._module.bias, like=inputs)
        output = seen if bias is None else seen + bias.view(1, -1, 1, 1)
        return Forward(output=output, kept=() if seen.dtype == torch.bfloat16 else (seen,))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        own = self._standardised()
        gradients, inputs = gradients.contiguous(), inputs.contiguous()
        contributions = []
        if trainable(self._module.weight):
            # In bfloat16 rounded once more: the share is that of these.
            scaled = gradients * own.scales.to(gradients.dtype).view(1, -1, 1, 1)
            share = self._ordinary.share(scaled, inputs, own.filters)
            pulled = _PulledBack(share, self._removed(share, scaled, inputs, *kept))
            contributions.append(Contribution(share=pulled, parameters=(self._module.weight,)))
        if self._module.bias is not None and trainable(self._module.bias):
            contributions.append(self._ordinary.of_bias(gradients, self._module.bias))
        return Backward(
            input_gradient=self._ordinary.of_inputs(gradients, inputs, own.filters) if wanted else None,
            contributions=tuple(contributions),
        )

    def _standardised(self) -> _Filters:
        """The filters as they are now: the same for all physical batches of a step."""
        weight = self._module.weight
        if self._filters is None or not self._filters.are_of(weight):
            self._filters = _Filters(weight)
        return self._filters

    def finish(self, parameter: Tensor) -> Finish | None:
        """Sums over units are pulled back, in float64; those of a bias are left alone."""
        if parameter is not self._module.weight:
            return None
        weight = parameter.detach().double()
        return lambda sums: standardise_vjp(weight, (sums / scales(weight)).unsqueeze(0))[0]

    def _removed(self, share: Share, scaled: Tensor, inputs: Tensor, seen: Tensor | None = None) -> Tensor:
        """p² of each unit, or less: float64, shape (units,).

        Inner products with g' need no g': a filter of ones sees a patch's sum, and the layer itself saw ⟨patch, su⟩. In
        bfloat16 it saw that too coarsely; they are then taken of g' where that is formed, and those with u left out
        where it isn't.
        """
        own, length = self._standardised(), self._module.weight[0].numel()
        pixels = self._views * scaled[0, 0].numel()
        if isinstance(share, AFewAtATime) and (seen is None or length < pixels):
            error = 2 * gamma(length + 4) * share.products
            found = torch.cat([own.along(few) for few in share.formed])
        else:
            # Of what is seen and summed here, and of g' as it was formed.
            error = 2 * gamma(length + pixels + 8) * self._products(share, scaled, inputs)
            found = self._along(widened(scaled), widened(inputs), seen)
        ones, along = (inner.square() for inner in found.unbind(2))
        removed = (ones + along * own.weighting).sum(1).sqrt()
        return (removed - error * (1 + own.cancellation)).clamp(min=0).square()

    def _along(self, scaled: Tensor, inputs: Tensor, seen: Tensor | None) -> Tensor:
        """As `_Filters.along`, without g'; zeros for what nothing is known of."""
        rows, length = scaled.flatten(2), self._module.weight[0].numel()
        ones = torch.bmm(rows, self._sums_of_patches(inputs)).squeeze(2) * length**-0.5
        own = torch.zeros_like(ones) if seen is None else torch.linalg.vecdot(rows, seen.flatten(2))
        inner = torch.stack([ones, own], dim=2)
        return by_unit(inner.double(), self._views).sum(1)

    def _products(self, share: Share, scaled: Tensor, inputs: Tensor) -> Tensor:
        """An upper limit of m, the norm of each unit's sum of absolute products: float64, shape (units,).

        m ≤ Σ‖patch‖‖g‖ ≤ (Σ‖patch‖²)^½(Σ‖g‖²)^½, and a pixel is seen through each tap once at most.
        """
        if isinstance(share, FactoredRows):
            return share.products
        seen, gradients = (squared_norms(widened(by_unit(each, self._views).flatten(1))) for each in (inputs, scaled))
        return (self._module.weight[0, 0].numel() * seen * gradients).sqrt()

    def _sums_of_patches(self, inputs: Tensor) -> Tensor:
        """Of what each output pixel sees: shape (samples, pixels, 1)."""
        pixels = inputs.sum(1, keepdim=True)
        ones = pixels.new_ones((1, 1, *self._module.weight.shape[2:]))
        return self._ordinary.convolve(pixels, ones, None).flatten(2).transpose(1, 2)


class _Filters:
    """A layer's standardised filters, and what norms under the pull-back need of them.

    Args:
        weight: shape (out, in, height, width).

    Attributes:
        filters: su, float32, of that shape.
        scales: s, float32, shape (out, 1, 1, 1).
        weighting: 2 − s²‖u‖² of each filter, float64, shape (out,).
        cancellation: the largest s‖w‖, by how much subtracting a filter's mean amplifies its rounding; about 1 where
            the mean is 0.
    """

    def __init__(self, weight: Tensor) -> None:
        self._version, weight = weight._version, weight.detach()
        self._of = weight.data_ptr()
        self.filters, self.scales = standardise(weight), scales(weight)
        self.weighting = 2 - self.filters.square().sum((1, 2, 3)).double()
        lengths = torch.linalg.vector_norm(weight.flatten(1), dim=1)
        self.cancellation = float((self.scales.flatten() * lengths).max())

    def along(self, gradients: Tensor) -> Tensor:
        """⟨g', 1/√n⟩ and ⟨g', su⟩ of every filter, float64, shape (units, out, 2), to within γ_{n+4}‖g'‖ each.

        Args:
            gradients: g', shape (units, out, in, height, width).
        """
        rows, filters = gradients.flatten(2), self.filters.flatten(1)
        ones = rows @ filters.new_full((filters.shape[1],), filters.shape[1] ** -0.5)
        return torch.stack([ones, torch.linalg.vecdot(rows, filters)], dim=2).double()

    def are_of(self, weight: Tensor) -> bool:
        """Whether these filters are those of a weight that nobody wrote to since."""
        return (self._version, self._of) == (weight._version, weight.data_ptr())


class _PulledBack:
    """A share of scaled gradients g', measured by what is left of them after the pull-back.

    Pulling back shortens vectors, so what bounds the rounding of sums of g' bounds it still.

    Args:
        share: of g'.
        removed: p² or less, float64, shape (units,).
    """

    def __init__(self, share: Share, removed: Tensor) -> None:
        self._share = share
        self.squared = (share.squared - removed).clamp(min=VANISHING**2)
        self.products = share.products

    @property
    def summation(self) -> Summation:
        """That of g'."""
        return self._share.summation

    def sums(self, factors: Tensor, units: slice) -> list[Tensor]:
        """Those of g'."""
        return self._share.sums(factors, units)

    def witnesses(self) -> list[Witness]:
        """See `Share.witnesses`."""
        return [*self._share.witnesses(), self.squared]
