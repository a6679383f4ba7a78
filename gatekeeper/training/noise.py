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
    sizes = [sum_.numel() for sum_ in sums]
    drawn = rounded_normals(sum(sizes), scale=grid.noise_scale, stream=stream, threads=torch.get_num_threads())
    noises = torch.from_numpy(drawn).split(sizes)
    return [noise.view(sum_.shape).to(sum_.device).add_(sum_) for noise, sum_ in zip(noises, sums, strict=True)]


def from_grid(sums: list[Tensor], *, grid: Grid) -> list[Tensor]:
    """Sums as float64 numbers: sum·h. A function of what was released, so its rounding beyond 2⁵³ steps is harmless."""
    return [sum_.to(torch.float64) * grid.step for sum_ in sums]
