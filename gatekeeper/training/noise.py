"""Gaussian noise for sums on a grid: whole numbers, distributed exactly as a rounded Gaussian, added exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.training.exact_normal import rounded_normals
from gatekeeper.training.grid import Grid
from gatekeeper.training.secret_stream import SecretStream


def add_noise(sums: list[Tensor], *, grid: Grid, stream: SecretStream) -> list[Tensor]:
    """Each sum plus an independent round(s·Z) in every coordinate: the noisy sums that are released.

    Args:
        sums: in steps of the grid, int64.
        grid: its `noise_scale` is s.
        stream: this run's, and only for noise.

    Returns:
        In steps of the grid, int64, of the same shapes.
    """
    return [sum_ + _noise(sum_, grid=grid, stream=stream) for sum_ in sums]


def from_grid(sums: list[Tensor], *, grid: Grid) -> list[Tensor]:
    """Sums as float64 numbers: sum·h. A function of what was released, so its rounding beyond 2⁵³ steps is harmless."""
    return [sum_.to(torch.float64) * grid.step for sum_ in sums]


def _noise(like: Tensor, *, grid: Grid, stream: SecretStream) -> Tensor:
    noise = rounded_normals(like.numel(), scale=grid.noise_scale, stream=stream)
    return torch.from_numpy(noise).view(like.shape).to(like.device)
