"""Normalisations within a sample, whose scale and shift are trained: GroupNorm, InstanceNorm, LayerNorm.

Means and variances are computed in float32 whatever the inputs are: sums over a whole image lose too much in 8 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, detached, trainable
from gatekeeper.training.clipping.shares import Materialised
from gatekeeper.training.precision import widened

InstanceNorm = nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d


class GroupNormLayer:
    """GroupNorm under the engine, and InstanceNorm, which is GroupNorm with a group for each channel.

    The backward kernel sums scale and shift over samples. Given all samples' channels as one sample's, it has nothing
    to sum, and returns them for each sample.

    Args:
        module: the layer; an InstanceNorm without running statistics.
        views: views of each unit.
    """

    def __init__(self, module: nn.GroupNorm | InstanceNorm, *, views: int) -> None:
        self._module, self._views = module, views
        self._groups = module.num_groups if isinstance(module, nn.GroupNorm) else module.num_features

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        samples, channels = inputs.shape[:2]
        output, mean, scale = torch.ops.aten.native_group_norm(
            _taken(inputs).contiguous(),
            detached(self._module.weight),
            detached(self._module.bias),
            samples,
            channels,
            inputs[0, 0].numel(),
            self._groups,
            self._module.eps,
        )
        return Forward(output=output.to(inputs.dtype), kept=(mean, scale))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        samples, channels = inputs.shape[:2]
        pixels = inputs[0, 0].numel()
        weight = detached(self._module.weight)
        mean, scale = kept
        input_gradient, weights, biases = torch.ops.aten.native_group_norm_backward(
            _taken(gradients).contiguous().view(1, -1, pixels),
            _taken(inputs).contiguous().view(1, -1, pixels),
            mean.view(1, -1),
            scale.view(1, -1),
            None if weight is None else weight.repeat(samples),
            1,
            samples * channels,
            pixels,
            samples * self._groups,
            (wanted, True, True),
        )
        return Backward(
            input_gradient=input_gradient.view_as(inputs).to(inputs.dtype) if wanted else None,
            contributions=_affine(self._module, weights, biases, views=self._views, shape=(channels,)),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None


class LayerNormLayer:
    """LayerNorm under the engine.

    Args:
        module: the layer.
        views: views of each unit.
    """

    def __init__(self, module: nn.LayerNorm, *, views: int) -> None:
        self._module, self._views = module, views

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        module = self._module
        output, mean, scale = torch.ops.aten.native_layer_norm(
            widened(inputs), module.normalized_shape, detached(module.weight), detached(module.bias), module.eps
        )
        return Forward(output=output.to(inputs.dtype), kept=(mean, scale))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        module, dtype = self._module, inputs.dtype
        inputs, gradients = widened(inputs), widened(gradients)
        mean, scale = kept
        input_gradient = None
        if wanted:
            input_gradient = torch.ops.aten.native_layer_norm_backward(
                gradients.contiguous(),
                inputs,
                module.normalized_shape,
                mean,
                scale,
                detached(module.weight),
                detached(module.bias),
                (True, False, False),
            )[0].to(dtype)
        shape = tuple(module.normalized_shape)
        products = (gradients * ((inputs - mean) * scale)).reshape(len(inputs), -1, *shape)
        shifts = gradients.reshape(len(inputs), -1, *shape)
        return Backward(
            input_gradient=input_gradient,
            contributions=_affine(module, products.sum(1), shifts.sum(1), views=self._views, shape=shape),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None


def _taken(recorded: Tensor) -> Tensor:
    """What the kernel of GroupNorm takes: on a CPU bfloat16 too, which it widens as it reads."""
    return recorded if recorded.is_cpu else widened(recorded)


def _affine(
    module: nn.Module, weights: Tensor, biases: Tensor, *, views: int, shape: tuple[int, ...]
) -> tuple[Contribution, ...]:
    """The shares of scale and shift, from each sample's gradients."""
    found = []
    for parameter, gradients in ((module.weight, weights), (module.bias, biases)):
        if isinstance(parameter, nn.Parameter) and trainable(parameter):
            own = gradients.reshape(-1, views, *shape).sum(1)
            found.append(Contribution(share=Materialised([own]), parameters=(parameter,)))
    return tuple(found)
