"""Attack C, its floor: images that the released network takes most surely for each class.

A model inversion (Fredrikson et al. 2015, "Model inversion attacks that exploit confidence information and basic
countermeasures", section 5): from random starts −log p_y(x) + α·TV(x) is minimised by Adam on the sign of the gradient.
It shows what the network holds of a class rather than of one unit: it counts where a unit and its class's picture are
hard to tell apart, or where the network's idea of a class is one image that it memorised. Any classifier will do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gatekeeper.audit.attacks.inversion import total_variation
from gatekeeper.core.weights_only import WeightsSearch

# α, and Adam's rate on pixels in [0, 1] at first; half a cosine brings the rate to 0.
_TOTAL_VARIATION = 0.3
_RATE = 0.03

# Half a cosine from there to rest needs no more steps, whatever the policy allows for searches that do.
MOST_ITERATIONS = 400

# Images that are improved together: more fill the memory.
_TOGETHER = 32


def invert_classes(
    network: nn.Module,
    *,
    image_shape: tuple[int, ...],
    classes: int,
    search: WeightsSearch,
    generator: torch.Generator,
    progress: Callable[[int], None],
) -> Tensor:
    """As many images as the search asks for, dealt out to the classes: image i is of class i mod classes.

    Args:
        network: the trained one, float32, in evaluation mode. It is not changed.
        image_shape: (channels, *spatial).
        classes: outputs of the network.
        search: how many images and iterations (at most 400); each image is a start of its own.
        generator: draws the images that it starts from.
        progress: hears how many images are done.

    Returns:
        Pixels in [0, 1], float32, shape (candidates, *image_shape).
    """
    starts = torch.rand((search.candidates, *image_shape), generator=generator)
    owners = torch.arange(search.candidates) % classes
    found = []
    for first in range(0, search.candidates, _TOGETHER):
        some = slice(first, first + _TOGETHER)
        found.append(_descend(network, starts[some], owners[some], iterations=min(search.iterations, MOST_ITERATIONS)))
        progress(len(found[-1]))
    return torch.cat(found)


def objective(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """−log p_y(x) + α·TV(x) of each image, shape (images,)."""
    surprise = cross_entropy(network(images), targets, reduction="none")
    return surprise + _TOTAL_VARIATION * total_variation(images)


def _descend(network: nn.Module, images: Tensor, targets: Tensor, *, iterations: int) -> Tensor:
    images = images.clone().requires_grad_()
    optimizer = torch.optim.Adam([images], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=iterations)
    for _ in range(iterations):
        (images.grad,) = torch.autograd.grad(objective(network, images, targets).sum(), images)
        images.grad.sign_()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
    return images.detach()
