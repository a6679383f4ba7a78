"""The objective of gradient inversion, one image at a time, by plain autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


def gradient(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], image: Tensor, target: Tensor) -> Tensor:
    """∇θ of one image's loss, flat."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss(network(image[None]), target[None]).sum(), parameters)
    return torch.cat([part.flatten() for part in found])


def objective(own: Tensor, observed: Tensor, image: Tensor, *, alpha: float) -> float:
    """1 − cos + α·TV."""
    a, b = own.double().numpy(), observed.double().numpy()
    cosine = float(a @ b) / float(np.sqrt(a @ a) * np.sqrt(b @ b))
    pixels, variation = image.double().numpy(), 0.0
    for axis in range(1, pixels.ndim):
        variation += float(np.abs(np.diff(pixels, axis=axis)).mean())
    return 1 - cosine + alpha * variation
