"""The stationarity residual, one image and one class at a time, by plain autograd."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def weights(network: nn.Module) -> NDArray[np.float64]:
    """All parameters, flat."""
    return np.concatenate([p.detach().double().numpy().ravel() for p in network.parameters()])


def margin_gradient(network: nn.Module, image: Tensor, own: int, other: int) -> NDArray[np.float64]:
    """∇θ [f_own(x) − f_other(x)], flat."""
    logits = network(image[None])[0]
    parts = torch.autograd.grad(logits[own] - logits[other], list(network.parameters()))
    return np.concatenate([part.double().numpy().ravel() for part in parts])


def residual(network: nn.Module, initial: nn.Module, images: Tensor, owners: list[int], multipliers: Tensor) -> float:
    """min over ρ in [0, 1] of ‖θ − ρθ₀ − Σ λ_ik ∇[f_y − f_k]‖², over the same without candidates."""
    final, start = weights(network), weights(initial)
    explained = np.zeros_like(final)
    for image, own, row in zip(images, owners, multipliers.tolist(), strict=True):
        for other, multiplier in enumerate(row):
            if other != own:
                explained += multiplier * margin_gradient(network, image, own, other)
    shares = np.linspace(0, 1, 10001)

    def least(rest: NDArray[np.float64]) -> float:
        """By trying ten thousand ρ: ‖r‖² − 2ρ⟨r, θ₀⟩ + ρ²‖θ₀‖² of each."""
        squares = rest @ rest - 2 * shares * (rest @ start) + shares**2 * (start @ start)
        return float(squares.min())

    return least(final - explained) / least(final)
