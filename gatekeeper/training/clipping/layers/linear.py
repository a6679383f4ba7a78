"""Linear layers, over one row a view or many."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, detached, trainable
from gatekeeper.training.clipping.rows import FactoredRows
from gatekeeper.training.clipping.shares import Materialised, Share
from gatekeeper.training.precision import forming, widened

# With more rows a unit its Gram matrices cost more than its gradient; with as many, sub-batches would hold few units.
_MOST_ROWS = 16

# For fewer outputs, kernels add up in an order that depends on the row, which `isolation` would notice. So outputs of
# zero weights are put beside them, and dropped.
_FEWEST_OUTPUTS = 16


class LinearLayer:
    """A linear layer under the engine.

    Args:
        module: the layer.
        views: views of each unit.
    """

    def __init__(self, module: nn.Linear, *, views: int) -> None:
        self._module, self._views = module, views

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        return Forward(
            output=_outputs(
                inputs, self._module.weight.detach().to(inputs.dtype), detached(self._module.bias, like=inputs)
            )
        )

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        weight, bias = self._module.weight, self._module.bias
        units = len(inputs) // self._views
        rows = gradients.reshape(units, -1, gradients.shape[-1])
        contributions = []
        if trainable(weight):
            share = _share(inputs.reshape(units, -1, inputs.shape[-1]), rows)
            contributions.append(Contribution(share=share, parameters=(weight,)))
        if trainable(bias):
            contributions.append(Contribution(share=Materialised([widened(rows).sum(1)]), parameters=(bias,)))
        return Backward(
            input_gradient=gradients @ weight.detach().to(inputs.dtype) if wanted else None,
            contributions=tuple(contributions),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None


def _outputs(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    few = len(weight)
    if few >= _FEWEST_OUTPUTS:
        return functional.linear(inputs, weight, bias)
    rows = functional.pad(weight, (0, 0, 0, _FEWEST_OUTPUTS - few))
    found = functional.linear(inputs, rows)[..., :few]
    return found.contiguous() if bias is None else found + bias


def _share(inputs: Tensor, gradients: Tensor) -> Share:
    if inputs.shape[1] <= _MOST_ROWS:
        return FactoredRows(inputs, gradients)
    with forming(inputs):
        return Materialised([torch.bmm(widened(gradients).transpose(1, 2), widened(inputs))])
