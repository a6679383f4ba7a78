"""The attacks as anybody would write them first: one image at a time, gradients by autograd, nothing shared.

They do what `gatekeeper.audit.attacks` does, in the same arithmetic and with the same noise where a generator is seeded
alike, so that a ratio of times compares the same work.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.audit.attacks.inversion import Loss, Search
from gatekeeper.audit.prior import LinearPrior
from gatekeeper.audit.shaping import ReadOut, gains
from gatekeeper.training.losses import cross_entropy

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]

CLIPPING_NORM = 0.7


def _similarity(truth: Floats, found: Floats) -> float:
    """NCC of two centred images."""
    return float(truth @ found / (np.linalg.norm(truth) * np.linalg.norm(found)))


def _noisy(gradient: Tensor, *, sigma: float, generator: torch.Generator) -> Floats:
    clipped = gradient * min(1.0, CLIPPING_NORM / float(gradient.norm()))
    noise = torch.randn(clipped.shape, generator=generator, dtype=torch.float64)
    return np.asarray((clipped + sigma * CLIPPING_NORM * noise).numpy())


def analytic(images: Images, *, mean: Floats, sigma: float, generator: torch.Generator) -> Floats:
    """Attack A: plant a row, take its gradient, clip, add noise, compare: shape (images,)."""
    found = []
    for image in images:
        truth = (image / 255 - mean).reshape(-1)
        weight = torch.zeros(truth.size, dtype=torch.float64, requires_grad=True)
        loss = 1e6 * CLIPPING_NORM * (torch.from_numpy(truth) @ weight)
        (gradient,) = torch.autograd.grad(loss, weight)
        found.append(_similarity(truth, _noisy(gradient, sigma=sigma, generator=generator)))
    return np.array(found)


def denoised(
    images: Images, *, prior: LinearPrior, read_out: ReadOut, sigma: float, generator: torch.Generator
) -> Floats:
    """Attack E: weight the prior's directions, clip, add noise, read them out, compare: shape (images,)."""
    chosen = gains(read_out, variances=prior.all_variances, counts=prior.counts, noise=sigma)
    found = []
    for image in images:
        truth = (image / 255 - prior.mean).reshape(-1)
        gradient = torch.from_numpy(1e6 * CLIPPING_NORM * _weighted(truth, prior, chosen.planted))
        received = _noisy(gradient, sigma=sigma, generator=generator)
        found.append(_similarity(truth, _weighted(received, prior, chosen.read)))
    return np.array(found)


def _weighted(values: Floats, prior: LinearPrior, weights: Floats) -> Floats:
    """An image's coordinates along the prior's directions, and the rest of it, times weights."""
    along = prior.basis @ values
    rest = values - along @ prior.basis
    return np.asarray((weights[:-1] * along) @ prior.basis + weights[-1] * rest)


def inversion(
    network: nn.Module,
    *,
    gradients: Tensor,
    targets: Tensor,
    starts: Tensor,
    search: Search,
    loss: Loss = cross_entropy,
) -> Tensor:
    """Attack B from one start for each image: shape (images, channels, *spatial)."""
    return torch.stack(
        [
            _descend(network, gradient=gradient, target=target, start=start, search=search, loss=loss)
            for gradient, target, start in zip(gradients, targets, starts, strict=True)
        ]
    )


def _descend(
    network: nn.Module, *, gradient: Tensor, target: Tensor, start: Tensor, search: Search, loss: Loss
) -> Tensor:
    parameters = [p for p in network.parameters() if p.requires_grad]
    image = start[None].clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=search.learning_rate)
    milestones = [int(share * search.iterations) for share in (0.375, 0.625, 0.875)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=milestones, gamma=0.1)
    for _ in range(search.iterations):
        parts = torch.autograd.grad(loss(network(image), target[None]).sum(), parameters, create_graph=True)
        own = torch.cat([part.flatten() for part in parts])
        cosine = own @ gradient / (own.norm() * gradient.norm())
        variation = sum(image.diff(dim=axis).abs().mean() for axis in range(2, image.ndim))
        (image.grad,) = torch.autograd.grad(1 - cosine + search.total_variation * variation, image)
        image.grad.sign_()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            image.clamp_(0, 1)
    return image.detach()[0]
