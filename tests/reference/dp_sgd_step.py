"""One clipped sum, the slow and obvious way: one unit at a time, one view at a time, in float64."""

from __future__ import annotations

import copy
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.training.grid import Grid
from gatekeeper.training.views import Views


def unit_gradients(network: nn.Module, batch: Views, *, views: int) -> list[list[Tensor]]:
    """For each unit its gradient (the mean over its views), one float64 tensor for each parameter."""
    exact = copy.deepcopy(network).double()
    parameters = [p for p in exact.parameters() if p.requires_grad]
    gradients = []
    for start in range(0, len(batch.targets), views):
        total = [torch.zeros_like(p) for p in parameters]
        for view in range(start, start + views):
            image, label = batch.images[view : view + 1].double(), batch.targets[view : view + 1]
            loss = functional.cross_entropy(exact(image), label)
            for sum_, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                sum_ += gradient / views
        gradients.append(total)
    return gradients


def norm(gradient: list[Tensor]) -> float:
    """The Euclidean norm over all parameters."""
    return float(torch.cat([g.flatten() for g in gradient]).norm())


def clipped_sum(network: nn.Module, batch: Views, *, views: int, clipping_norm: float) -> list[Tensor]:
    """Σ min(1, C/‖gᵢ‖)·gᵢ."""
    total = [torch.zeros(p.shape, dtype=torch.float64) for p in network.parameters() if p.requires_grad]
    for gradient in unit_gradients(network, batch, views=views):
        factor = min(1.0, clipping_norm / norm(gradient))
        for sum_, part in zip(total, gradient, strict=True):
            sum_ += factor * part
    return total


def rounded_sum(gradients: list[list[float]], factors: list[float], *, grid: Grid) -> list[int]:
    """Σ round(factorᵢ·gᵢ/h), coordinate by coordinate, in Python's unbounded whole numbers."""
    return [
        sum(round(Fraction(factor * g) / Fraction(grid.step)) for factor, g in zip(factors, column, strict=True))
        for column in zip(*gradients, strict=True)
    ]
