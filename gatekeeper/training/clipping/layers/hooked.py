"""Any other layer: its per-sample gradients by Opacus, from the layer's inputs and output gradients.

Slower and larger than the engine's own layers, and right for whatever Opacus has a rule for or `torch.func` can follow.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, trainable
from gatekeeper.training.clipping.shares import Materialised, by_unit
from gatekeeper.training.precision import widened

# Opacus' rule for these pads with zeros whatever the `padding_mode`.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class HookedLayer:
    """A layer with parameters that the engine has no kernel for; it computes in float32.

    Args:
        module: the layer; it maps one tensor to one, sample by sample.
        views: views of each unit.
    """

    def __init__(self, module: nn.Module, *, views: int) -> None:
        # Opacus takes seconds to load, and most networks have no such layer.
        from opacus.grad_sample import GradSampleModule
        from opacus.grad_sample.functorch import ft_compute_per_sample_gradient, prepare_layer

        self._module, self._views = module, views
        self._run = module.forward
        rule = None if isinstance(module, _CONVOLUTIONS) else GradSampleModule.GRAD_SAMPLERS.get(type(module))
        if rule is None:
            prepare_layer(module, batch_first=True)
            rule = ft_compute_per_sample_gradient
        self._rule = rule

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        return Forward(output=self._run(widened(inputs)))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        dtype, inputs, gradients = inputs.dtype, widened(inputs), widened(gradients)
        found: dict[nn.Parameter, Tensor] = self._rule(self._module, [inputs], gradients)
        contributions = [
            Contribution(share=Materialised([self._of_units(each)]), parameters=(parameter,))
            for parameter, each in found.items()
            if trainable(parameter)
        ]
        return Backward(
            input_gradient=self._of_inputs(gradients, inputs).to(dtype) if wanted else None,
            contributions=tuple(contributions),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None

    def _of_units(self, each: Tensor) -> Tensor:
        return by_unit(each.detach().float(), self._views).sum(1)

    def _of_inputs(self, gradients: Tensor, inputs: Tensor) -> Tensor:
        with torch.enable_grad():
            again = inputs.detach().requires_grad_()
            (found,) = torch.autograd.grad(self._run(again), again, gradients)
        return found
