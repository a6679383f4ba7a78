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
from gatekeeper.training.clipping.norms import VANISHING
from gatekeeper.training.clipping.rounding import Summation, gamma
from gatekeeper.training.clipping.shares import Materialised, OneByOne, Share, Witness, by_unit
from gatekeeper.training.networks.standardised import StandardisedConv2d, scales, standardise, standardise_vjp


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

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`; keeps the filters and what they see, without the bias."""
        filters = standardise(self._module.weight.detach())
        seen = self._ordinary.convolve(inputs, filters, None)
        bias = detached(self._module.bias)
        return Forward(output=seen if bias is None else seen + bias.view(1, -1, 1, 1), kept=(filters, seen))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        filters, seen = kept
        gradients, inputs = gradients.contiguous(), inputs.contiguous()
        contributions = []
        if trainable(self._module.weight):
            scaled = gradients * scales(self._module.weight.detach()).view(1, -1, 1, 1)
            share = self._ordinary.share(scaled, inputs, filters, look=lambda each: _along(each, filters))
            pulled = _PulledBack(share, self._removed(share, scaled, inputs, seen))
            contributions.append(Contribution(share=pulled, parameters=(self._module.weight,)))
        if self._module.bias is not None and trainable(self._module.bias):
            contributions.append(self._ordinary.of_bias(gradients, self._module.bias))
        return Backward(
            input_gradient=self._ordinary.of_inputs(gradients, inputs, filters) if wanted else None,
            contributions=tuple(contributions),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Sums over units are pulled back, in float64; those of a bias are left alone."""
        if parameter is not self._module.weight:
            return None
        weight = parameter.detach().double()
        return lambda sums: standardise_vjp(weight, (sums / scales(weight)).unsqueeze(0))[0]

    def _removed(self, share: Share, scaled: Tensor, inputs: Tensor, seen: Tensor) -> Tensor:
        """p² of each unit, or less: float64, shape (units,)."""
        weight = self._module.weight.detach()
        filters = standardise(weight)
        weighting = 2 - filters.square().sum((1, 2, 3)).double()  # 2 − s²‖u‖²
        amplified = share.products * (1 + _cancellation(weight))
        if isinstance(share, OneByOne | Materialised):
            error = 2 * gamma(weight[0].numel() + 4) * amplified
        if isinstance(share, OneByOne):
            assert share.seen is not None
            found = share.seen
        elif isinstance(share, Materialised):
            found = _along(share.parts[0].view(-1, *weight.shape), filters)
        else:
            found = self._along_factored(scaled, inputs, seen)
            roundings = weight[0].numel() + scaled[0, 0].numel() + self._views + 8
            error = 2 * gamma(roundings) * amplified
        ones, own = (inner.square() for inner in found.unbind(2))
        removed = (ones + own * weighting).sum(1).sqrt()
        return (removed - error).clamp(min=0).square()

    def _along_factored(self, scaled: Tensor, inputs: Tensor, seen: Tensor) -> Tensor:
        """As `_along`, without the gradients: a filter of ones sees a patch's mean, and the layer itself saw su."""
        weight = self._module.weight.detach()
        ones = weight.new_ones((1, 1, *weight.shape[2:]))
        means = self._ordinary.convolve(inputs.sum(1, keepdim=True), ones, None) / weight[0].numel() ** 0.5
        inner = torch.stack([(scaled * means).flatten(2).sum(2), (scaled * seen).flatten(2).sum(2)], dim=2).double()
        return by_unit(inner, self._views).sum(1)


def _cancellation(weight: Tensor) -> float:
    """The largest s‖w‖: by how much subtracting a filter's mean amplifies its rounding; about 1 where it is 0."""
    return float((scales(weight).flatten() * torch.linalg.vector_norm(weight.flatten(1), dim=1)).max())


def _along(gradients: Tensor, filters: Tensor) -> Tensor:
    """⟨g', 1/√n⟩ and ⟨g', su⟩ of every filter, float64, shape (…, out, 2), to within γ_{n+4}‖g'‖ each.

    Args:
        gradients: g', shape (…, out, in, height, width).
        filters: su, shape (out, in, height, width).
    """
    rows, flat = gradients.flatten(-3), filters.flatten(1)
    ones = torch.matmul(rows, flat.new_full((flat.shape[1],), flat.shape[1] ** -0.5))
    return torch.stack([ones, torch.linalg.vecdot(rows, flat)], dim=-1).double()


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
