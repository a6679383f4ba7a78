"""Attack B: gradient inversion by optimisation.

The attacker knows the weights, the label and one noisy gradient of the whole network, and looks for the image whose own
gradient points the same way (Geiping et al. 2020, "Inverting gradients: how easy is it to break privacy in federated
learning?", equation 4): it minimises 1 − cos(∇θ(x), g) + α·TV(x) by Adam on the sign of the gradient, from several
random starts. The cosine is free of scale, so a clip changes nothing. Of the starts it keeps the one whose objective is
least, which it can see: one candidate for each unit.

It plants no layer and isolates nobody: far weaker than attack A on large networks, and the only one that the network
itself and no planted layer gives away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from gatekeeper.core.checks import check_integer, check_non_negative, check_positive

Loss = Callable[[Tensor, Tensor], Tensor]

# Geiping et al. 2020, section 5: the learning rate falls by 10 at these shares of the iterations.
_MILESTONES = (0.375, 0.625, 0.875)
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """How hard the attack searches.

    Attributes:
        iterations: of each start, at least 1.
        starts: random starts for each unit, at least 1.
        learning_rate: of Adam at first, on pixels in [0, 1], above 0.
        total_variation: α, at least 0.
    """

    iterations: int = 600
    starts: int = 2
    learning_rate: float = 0.1
    total_variation: float = 1e-2

    def __post_init__(self) -> None:
        check_integer(iterations=self.iterations, at_least=1)
        check_integer(starts=self.starts, at_least=1)
        check_positive(learning_rate=self.learning_rate)
        check_non_negative(total_variation=self.total_variation)


def invert(
    network: nn.Module,
    *,
    loss: Loss,
    gradients: Tensor,
    targets: Tensor,
    image_shape: tuple[int, ...],
    search: Search,
    generator: torch.Generator,
) -> Tensor:
    """The image of each unit that explains its gradient best.

    Args:
        network: with the weights that the gradients were taken at; float32. It is not changed.
        loss: one loss a view from outputs and targets, shape (views,).
        gradients: observed, of the network's trainable parameters one after the other, float32, shape (units, numbers).
        targets: known to the attacker, shape (units, …).
        image_shape: (channels, *spatial).
        search: how hard to look.
        generator: draws the starts.

    Returns:
        Pixels in [0, 1], float32, shape (units, *image_shape).
    """
    objective = _objective(network, loss=loss, gradients=gradients, targets=targets, alpha=search.total_variation)
    best, least = gradients.new_zeros((len(gradients), *image_shape)), gradients.new_full((len(gradients),), torch.inf)
    for _ in range(search.starts):
        images = torch.rand((len(gradients), *image_shape), generator=generator)
        found = _descend(objective, images, search=search)
        reached = objective(found).detach()
        better = reached < least
        best[better], least[better] = found[better], reached[better]
    return best


def total_variation(images: Tensor) -> Tensor:
    """The mean absolute difference of neighbouring pixels along each axis, added up: shape (images,)."""
    axes = range(2, images.ndim)
    return torch.stack([images.diff(dim=axis).abs().flatten(1).mean(1) for axis in axes]).sum(0)


def _objective(
    network: nn.Module, *, loss: Loss, gradients: Tensor, targets: Tensor, alpha: float
) -> Callable[[Tensor], Tensor]:
    """1 − cos(∇θ(x), g) + α·TV(x) of each image, shape (images,)."""
    trained = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    others = {name: p.detach() for name, p in network.named_parameters() if not p.requires_grad}
    constants = {**others, **dict(network.named_buffers())}
    directions = gradients / gradients.norm(dim=1, keepdim=True).clamp_min(_TINY)

    def of_view(parameters: dict[str, Tensor], image: Tensor, target: Tensor) -> Tensor:
        output = functional_call(network, {**parameters, **constants}, (image[None],))
        return loss(output, target[None]).sum()

    each = vmap(grad(of_view), in_dims=(None, 0, 0))

    def objective(images: Tensor) -> Tensor:
        own = torch.cat([part.flatten(1) for part in each(trained, images, targets).values()], dim=1)
        cosine = (own * directions).sum(1) / own.norm(dim=1).clamp_min(_TINY)
        found: Tensor = 1 - cosine + alpha * total_variation(images)
        return found

    return objective


def _descend(objective: Callable[[Tensor], Tensor], images: Tensor, *, search: Search) -> Tensor:
    images = images.clone().requires_grad_()
    optimizer = torch.optim.Adam([images], lr=search.learning_rate)
    milestones = [int(share * search.iterations) for share in _MILESTONES]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=milestones, gamma=0.1)
    for _ in range(search.iterations):
        (images.grad,) = torch.autograd.grad(objective(images).sum(), images)
        images.grad.sign_()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
    return images.detach()
