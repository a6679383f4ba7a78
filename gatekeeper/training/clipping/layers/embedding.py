"""Embeddings: rows of a table that a unit looks up."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward
from gatekeeper.training.clipping.shares import Materialised


class EmbeddingLayer:
    """An embedding under the engine.

    Args:
        module: the layer, without `max_norm`, `scale_grad_by_freq` and `sparse`.
        views: views of each unit.
    """

    def __init__(self, module: nn.Embedding, *, views: int) -> None:
        self._module, self._views = module, views

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        return Forward(output=functional.embedding(inputs, self._module.weight.detach(), self._module.padding_idx))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        weight = self._module.weight
        units = len(inputs) // self._views
        looked_up = inputs.reshape(units, -1, 1).expand(-1, -1, weight.shape[1])
        rows = gradients.reshape(units, -1, weight.shape[1])
        tables = gradients.new_zeros((units, *weight.shape)).scatter_add_(1, looked_up, rows)
        if self._module.padding_idx is not None:
            tables[:, self._module.padding_idx] = 0
        return Backward(
            input_gradient=None, contributions=(Contribution(share=Materialised([tables]), parameters=(weight,)),)
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None
