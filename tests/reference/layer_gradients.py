"""What one layer contributes to each unit's gradient, the slow and obvious way: one view at a time, in float64."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from gatekeeper.training.networks.standardised import StandardisedConv2d, scales


def unit_gradients(module: nn.Module, inputs: Tensor, gradients: Tensor, *, views: int) -> list[dict[str, Tensor]]:
    """For each unit the gradient of ⟨output, gradients⟩ summed over its views, for each trainable parameter.

    Args:
        module: the layer.
        inputs: shape (units · views, …).
        gradients: of the outputs.
        views: of each unit.
    """
    exact = copy.deepcopy(module).double()
    named = {name: parameter for name, parameter in exact.named_parameters() if parameter.requires_grad}
    found = []
    for start in range(0, len(inputs), views):
        total = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        for view in range(start, start + views):
            image = inputs[view : view + 1]
            output = exact(image.double() if image.is_floating_point() else image)
            loss = (output * gradients[view : view + 1].double()).sum()
            for name, part in zip(named, torch.autograd.grad(loss, list(named.values())), strict=True):
                total[name] += part
        found.append(total)
    return found


def input_gradient(module: nn.Module, inputs: Tensor, gradients: Tensor) -> Tensor:
    """The gradient of ⟨output, gradients⟩ with respect to the inputs."""
    exact, images = copy.deepcopy(module).double(), inputs.double().requires_grad_()
    (found,) = torch.autograd.grad((exact(images) * gradients.double()).sum(), images)
    return found


def product_norms(module: nn.Module, inputs: Tensor, gradients: Tensor, *, views: int) -> list[float]:
    """For each unit ‖Σ|products|‖ of a convolution's or linear layer's weights: all that is added up made positive."""
    if isinstance(module, StandardisedConv2d):
        gradients = gradients.double() * scales(module.weight.detach().double()).view(1, -1, 1, 1)
        ordinary = nn.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            bias=False,
        )
        return product_norms(ordinary, inputs, gradients, views=views)
    found = unit_gradients(module, inputs.abs(), gradients.abs(), views=views)
    return [float(gradient["weight"].norm()) for gradient in found]
