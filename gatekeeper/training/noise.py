"""Gaussian noise for clipped sums, drawn and added in float64.

float32 normals stop at 5.8 standard deviations, and float32 sums swallow noise far below their magnitude;
float64 keeps noise down to σ ≈ 1e-11 for sums of thousands of units. (A float64 Gaussian still has holes:
Mironov 2012, "On significance of the least significant bits for differential privacy".)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def add_noise(sums: list[Tensor], *, standard_deviation: float, generator: np.random.Generator) -> list[Tensor]:
    """Each sum plus independent N(0, standard_deviation²) in every coordinate.

    Args:
        sums: float64 tensors.
        standard_deviation: σC, at least 0.
        generator: seeded by the operating system for this run.
    """
    return [sum_ + standard_deviation * _normals(sum_, generator=generator) for sum_ in sums]


def _normals(like: Tensor, *, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.standard_normal(tuple(like.shape))).to(like.device)
