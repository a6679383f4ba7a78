"""One clipped sum, the slow and obvious way: one unit at a time, one view at a time, in float64."""

from __future__ import annotations

import copy
from fractions import Fraction

import torch
from torch import Tensor, nn

from gatekeeper.training.grid import Grid
from gatekeeper.training.losses import PerViewLoss, cross_entropy
from gatekeeper.training.views import Views


def unit_gradients(
    network: nn.Module, batch: Views, *, views: int, loss: PerViewLoss = cross_entropy
) -> list[list[Tensor]]:
    """For each unit its gradient (the mean over its views), one float64 tensor for each parameter."""
    exact = copy.deepcopy(network).double()
    parameters = [p for p in exact.parameters() if p.requires_grad]
    gradients = []
    for start in range(0, len(batch.targets), views):
        total = [torch.zeros_like(p) for p in parameters]
        for view in range(start, start + views):
            image, target = batch.images[view : view + 1].double(), batch.targets[view : view + 1]
            found = torch.autograd.grad(loss(exact(image), target).sum(), parameters)
            for sum_, gradient in zip(total, found, strict=True):
                sum_ += gradient / views
        gradients.append(total)
    return gradients


def norm(gradient: list[Tensor]) -> float:
    """The Euclidean norm over all parameters."""
    return float(torch.cat([g.flatten() for g in gradient]).norm())


def clipped_sum(
    network: nn.Module, batch: Views, *, views: int, clipping_norm: float, loss: PerViewLoss = cross_entropy
) -> list[Tensor]:
    """Σ min(1, C/‖gᵢ‖)·gᵢ."""
    total = [torch.zeros(p.shape, dtype=torch.float64) for p in network.parameters() if p.requires_grad]
    for gradient in unit_gradients(network, batch, views=views, loss=loss):
        factor = min(1.0, clipping_norm / norm(gradient))
        for sum_, part in zip(total, gradient, strict=True):
            sum_ += factor * part
    return total


def rounded(block: list[float], *, grid: Grid) -> list[int]:
    """Each number in whole steps of the grid, ties to even, in Python's unbounded whole numbers."""
    return [round(Fraction(value) / Fraction(grid.step)) for value in block]
