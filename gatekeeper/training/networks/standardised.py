"""Weight-standardised convolution (Qiao et al. 2019) with its per-sample gradient.

Standardising each filter keeps activations well scaled without mixing samples, which BatchNorm would do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Keeps the scale finite for a filter whose weights are all alike.
EPSILON = 1e-5

_FAN_IN = (1, 2, 3)


def standardise(weight: Tensor) -> Tensor:
    """Each filter minus its mean, divided by √(variance · fan-in), so that outputs keep the input's scale.

    Args:
        weight: filters, shape (out, in, height, width).
    """
    centred = weight - weight.mean(_FAN_IN, keepdim=True)
    return centred * _scale(centred)


def scales(weight: Tensor) -> Tensor:
    """S of each filter: `standardise` maps w to s·(w − mean(w)). Shape (out, 1, 1, 1)."""
    return _scale(weight - weight.mean(_FAN_IN, keepdim=True))


def _scale(centred: Tensor) -> Tensor:
    """1/√(fan-in · (variance + ε)) of each filter, shape (out, 1, 1, 1)."""
    fan_in = centred[0].numel()
    return torch.rsqrt(fan_in * (centred.square().mean(_FAN_IN, keepdim=True) + EPSILON))


def standardise_vjp(weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with respect to `weight`, from gradients with respect to `standardise(weight)`.

    Args:
        weight: filters, shape (out, in, height, width).
        gradient: per-sample gradients of the standardised filters, shape (samples, out, in, height, width).

    Returns:
        Per-sample gradients of the raw filters, of the same shape. With u = w − mean(w) and
        s = (n(mean(u²) + ε))^(−½), n the fan-in: s·(g − mean g) − n·s³·u·mean(g·u).
    """
    axes = tuple(axis + 1 for axis in _FAN_IN)
    centred = weight - weight.mean(_FAN_IN, keepdim=True)
    scale = _scale(centred)
    slope = (gradient * centred).mean(axes, keepdim=True) * (weight[0].numel() * scale**3 * centred)
    return scale * (gradient - gradient.mean(axes, keepdim=True)) - slope


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose filters are standardised in every forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x`, shape (batch, in, height, width)."""
        return functional.conv2d(
            x, standardise(self.weight), self.bias, self.stride, self.padding, self.dilation, self.groups
        )
