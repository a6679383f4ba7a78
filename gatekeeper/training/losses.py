"""What a network is trained to make small: a loss for each view, and never a mean over views.

A unit's gradient is computed from its own views, so a loss may be averaged over the pixels of a view and over the
classes, but not over views: a mean over the batch would depend on who else was sampled.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from gatekeeper.core.candidate import TrainingSpec, loss_for
from gatekeeper.core.data_spec import Task

PerViewLoss = Callable[[Tensor, Tensor], Tensor]

# Added to both sides of Dice's fraction, in pixels: a class that neither mask nor prediction has costs nothing then,
# instead of 0/0. One pixel is little beside an organ, and constant, so nothing of the data sets it.
SMOOTH = 1.0


def loss_of(spec: TrainingSpec, task: Task) -> PerViewLoss:
    """The loss that a candidate trains with.

    Args:
        spec: the recipe; where it names no loss, the task's default is taken.
        task: what the network is to do.

    Returns:
        A function of logits, shape (views, classes, *spatial), and targets, class indices of shape (views, *spatial),
        to a float32 loss for each view, shape (views,). A view's loss and gradient don't depend on the other views.

    Raises:
        InvalidValueError: the loss doesn't fit the task.
    """
    return _LOSSES[loss_for(spec.loss, task)]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over a view's pixels of −log p(true class); a classifier's view is a single pixel.

    Args:
        logits: shape (views, classes, *spatial).
        targets: class indices, shape (views, *spatial).
    """
    losses: Tensor = functional.cross_entropy(logits.float(), targets.long(), reduction="none")
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses


def soft_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """1 − (2·Σpg + s)/(Σp + Σg + s), averaged over the classes but the first, which is the background.

    The sums go over a view's pixels, p being the softmax probability of a class, g whether the pixel is of it, and s
    `SMOOTH` (Sudre et al. 2017, "Generalised Dice overlap as a deep learning loss function", section 2.1).

    Args:
        logits: shape (views, classes, *spatial), at least two classes.
        targets: class indices, shape (views, *spatial).
    """
    probabilities = torch.softmax(logits.float(), dim=1)[:, 1:].flatten(2)
    foreground = torch.arange(1, logits.shape[1], device=logits.device)[:, None]
    truth = (targets.flatten(1)[:, None] == foreground).to(torch.float32)
    common = (probabilities * truth).sum(2)
    total = probabilities.sum(2) + truth.sum(2)
    overlap: Tensor = (2 * common + SMOOTH) / (total + SMOOTH)
    return 1 - overlap.mean(1)


def dice_and_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of both (Isensee et al. 2021, "nnU-Net"): Dice sees small classes, cross-entropy has smooth gradients.

    Arguments are those of `soft_dice`.
    """
    return soft_dice(logits, targets) + cross_entropy(logits, targets)


_LOSSES: dict[str, PerViewLoss] = {
    "cross-entropy": cross_entropy,
    "dice": soft_dice,
    "dice+cross-entropy": dice_and_cross_entropy,
}
