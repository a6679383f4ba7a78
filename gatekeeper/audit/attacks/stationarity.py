"""Attack C: images that explain the released weights.

Where a training has come to rest, its weights are a combination of the training images' gradients. A homogeneous
network that gradient flow trains on cross-entropy goes towards a KKT point of margin maximisation (Lyu and Li 2020,
"Gradient descent maximizes the margin of homogeneous neural networks"),

    θ = Σ_i Σ_{k ≠ y_i} λ_ik ∇_θ [f_{y_i}(x_i; θ) − f_k(x_i; θ)],   λ_ik ≥ 0,

and so do the weights of any network under weight decay, where the loss's gradient and the decay cancel. The attacker
looks for the x_i and λ that make the two sides alike (Haim et al. 2022, "Reconstructing training data from trained
neural networks", section 4; of several classes Buzaglo et al. 2023, "Deconstructing data reconstruction", who keep the
largest f_k alone: cross-entropy pulls at all of them as long as the training lasts, so all are kept here).

Real trainings stop early and start from weights that aren't small. What remains of the initial weights, which the
recipe gives away with its seed, is taken off: θ − ρθ₀ is explained, with the ρ in [0, 1] that leaves least. Momentum
keeps that form; Adam, clipping and noise don't, and the more they did the less there is to find.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gatekeeper.core.weights_only import WeightsSearch

# Haim et al. 2022, appendix B: ReLU's derivative is a step, which no search can follow; a steep sigmoid replaces it.
_STEEPNESS = 10.0

# Of Adam at first, on pixels in [0, 1] and on multipliers; half a cosine brings both to 0.
_PIXEL_RATE, _MULTIPLIER_RATE = 0.03, 0.01
_FIRST_MULTIPLIER = 0.01


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Explained:
    """What explains some weights.

    Attributes:
        images: pixels in [0, 1], float32, shape (candidates, channels, *spatial).
        classes: whose image each is, shape (candidates,).
        multipliers: λ, at least 0, and 0 for the image's own class; shape (candidates, classes).
        residual: the share of ‖θ − ρθ₀‖² that they leave unexplained.
    """

    images: Tensor
    classes: Tensor
    multipliers: Tensor
    residual: float


def explain(
    network: nn.Module,
    *,
    initial: nn.Module,
    image_shape: tuple[int, ...],
    classes: int,
    search: WeightsSearch,
    generator: torch.Generator,
    progress: Callable[[int], None],
) -> Explained:
    """The images whose gradients explain a network's weights best, of several searches.

    Args:
        network: the trained one: ReLU layers as `nn.ReLU`, all parameters trained, float32. It is not changed.
        initial: the same before its first step.
        image_shape: (channels, *spatial).
        classes: outputs of the network; candidates are dealt out to them evenly.
        search: how many candidates, searches and iterations.
        generator: draws the images that searches start from.
        progress: hears of each iteration.
    """
    owners = torch.arange(search.candidates) % classes
    residual = Residual(network, initial=initial, owners=owners, classes=classes)
    best: Explained | None = None
    for _ in range(search.starts):
        images = torch.rand((search.candidates, *image_shape), generator=generator)
        found = _descend(residual, images, iterations=search.iterations, progress=progress)
        best = found if best is None or found.residual < best.residual else best
    assert best is not None
    return best


class Residual:
    """The share of the weights that candidates and multipliers leave unexplained.

    Args:
        network: see `explain`.
        initial: the same before its first step.
        owners: the class of each candidate, shape (candidates,).
        classes: outputs of the network.
    """

    def __init__(self, network: nn.Module, *, initial: nn.Module, owners: Tensor, classes: int) -> None:
        self.owners, self.classes = owners, classes
        self._network = _smoothed(copy.deepcopy(network)).requires_grad_(requires_grad=True)
        self._parameters = list(self._network.parameters())
        self._weights = _flat([p.detach() for p in network.parameters()])
        self._initial = _flat([p.detach() for p in initial.parameters()])
        self._scale = (self._weights - self._kept(self._weights) * self._initial).square().sum().clamp_min(1e-12)

    def __call__(self, images: Tensor, multipliers: Tensor) -> Tensor:
        """‖θ − ρθ₀ − Σ λ∇[f_y − f_k]‖² over ‖θ − ρθ₀‖² at the ρ of no candidates; differentiable in both."""
        logits = self._network(images)
        own = logits.gather(1, self.owners[:, None])
        # The gradient is linear in f, so one derivative of the weighted sum is the sum of all.
        weighted = (multipliers * (own - logits)).sum()
        gradient = _flat(torch.autograd.grad(weighted, self._parameters, create_graph=True))
        rest = self._weights - gradient
        return (rest - self._kept(rest.detach()) * self._initial).square().sum() / self._scale

    def _kept(self, rest: Tensor) -> Tensor:
        """ρ: the share of the initial weights in `rest`, by least squares, in [0, 1]."""
        return (rest @ self._initial / self._initial.square().sum().clamp_min(1e-12)).clamp(0, 1)


def _descend(residual: Residual, images: Tensor, *, iterations: int, progress: Callable[[int], None]) -> Explained:
    """Adam; after each step pixels return to [0, 1] and multipliers to what they may be."""
    others = 1 - one_hot(residual.owners, residual.classes).float()
    images, multipliers = images.clone().requires_grad_(), (_FIRST_MULTIPLIER * others).requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [images], "lr": _PIXEL_RATE}, {"params": [multipliers], "lr": _MULTIPLIER_RATE}]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=iterations)
    for _ in range(iterations):
        images.grad, multipliers.grad = torch.autograd.grad(residual(images, multipliers), [images, multipliers])
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
            multipliers.clamp_(min=0).mul_(others)
        progress(1)
    return Explained(
        images=images.detach(),
        classes=residual.owners,
        multipliers=multipliers.detach(),
        residual=float(residual(images, multipliers).detach()),
    )


class _SmoothReLU(nn.Module):
    """ReLU, whose derivative is a steep sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _SmoothReLUFunction.apply(x)  # type: ignore[no-untyped-call]
        return found


class _SmoothReLUFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * torch.sigmoid(_STEEPNESS * x)


def _smoothed(network: nn.Module) -> nn.Module:
    """Each `nn.ReLU` in `network` with a derivative that a search can follow; the outputs stay."""
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.ReLU):
            setattr(network, name, _SmoothReLU())
        else:
            _smoothed(layer)
    return network


def _flat(parts: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])
