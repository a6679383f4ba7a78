"""The networks that a candidate can name, built for an image shape and a number of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatekeeper.core.candidate import ModelSpec
from gatekeeper.core.data_spec import Task
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.networks.base import Network
from gatekeeper.training.networks.lenet import LeNet
from gatekeeper.training.networks.mlp import MLP
from gatekeeper.training.networks.resnet9 import ResNet9
from gatekeeper.training.networks.resnet18 import ResNet18
from gatekeeper.training.networks.unet import UNet
from gatekeeper.training.networks.unet3d import UNet3d

_NETWORKS: dict[str, type[Network]] = {
    "resnet9": ResNet9,
    "resnet18": ResNet18,
    "lenet": LeNet,
    "mlp": MLP,
    "unet": UNet,
    "unet3d": UNet3d,
}


class NormalisedInput(nn.Module):
    """A network that takes pixel values in [0, 1] and centres them itself.

    The constants are fixed, never the data's own mean and deviation: those would be un-noised statistics
    of the patients' images, and would leave with the model.

    Attributes:
        spatial_multiple: that of the network (see `Network`).
    """

    centre = 0.5
    spread = 0.25

    def __init__(self, network: nn.Module, *, spatial_multiple: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.spatial_multiple = spatial_multiple

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes), or (batch, classes, *spatial), from pixel values in [0, 1].

        Args:
            x: shape (batch, channels, *spatial).
        """
        logits: Tensor = self.network((x - self.centre) / self.spread)
        return logits


def build(
    spec: ModelSpec, *, image_shape: tuple[int, ...], classes: int, seed: int, task: Task = "classification"
) -> NormalisedInput:
    """A freshly initialised network.

    Args:
        spec: which network.
        image_shape: channels, then the length of each spatial axis: two of images, three of volumes.
        classes: number of outputs, at least 2.
        seed: of the initial weights.
        task: what the outputs are for.

    Raises:
        UnsupportedModelError: the network can't take such images, or is for another task.
    """
    kind = _NETWORKS[spec.network]
    _check(spec, kind, image_shape=image_shape, task=task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(image_shape=image_shape, classes=classes, width=spec.width)
    return NormalisedInput(network, spatial_multiple=kind.spatial_multiple)


def _check(spec: ModelSpec, kind: type[Network], *, image_shape: tuple[int, ...], task: Task) -> None:
    """Refuse images, a width or a task that the network is not made for."""
    sides, name = image_shape[1:], spec.network
    size = "×".join(str(side) for side in sides)
    if kind.task != task:
        raise UnsupportedModelError(f"{name} does {kind.task}, and the data are for {task}", hint=_others(task, sides))
    if len(sides) not in kind.dimensions:
        takes = "volumes" if kind.dimensions == (3,) else "flat images"
        raise UnsupportedModelError(f"{name} takes {takes}, got {size}", hint=_others(task, sides))
    if min(sides) < kind.smallest_side:
        smallest = "×".join([str(kind.smallest_side)] * len(sides))
        raise UnsupportedModelError(
            f"{name} needs images of at least {smallest}, got {size}",
            hint=f"set data.image_size, or {_others(task, sides)}",
        )
    if kind.spatial_multiple is not None and any(side % kind.spatial_multiple for side in sides):
        nearest = "×".join(str(_nearest(side, kind.spatial_multiple)) for side in sides)
        raise UnsupportedModelError(
            f"{name} needs sides that are multiples of {kind.spatial_multiple}, got {size}",
            hint=f"resize the images to {nearest} (data.image_size)",
        )
    if spec.width % kind.width_multiple:
        raise UnsupportedModelError(
            f"{name}'s width must be a multiple of {kind.width_multiple}, got {spec.width}",
            hint="GroupNorm uses groups of four channels",
        )


def _others(task: Task, sides: tuple[int, ...]) -> str:
    """Which networks would take such images."""
    fit = [
        name
        for name, kind in _NETWORKS.items()
        if kind.task == task and len(sides) in kind.dimensions and min(sides) >= kind.smallest_side
    ]
    return f"use network: {' or '.join(fit)}" if fit else f"no network does {task} of such images"


def _nearest(side: int, multiple: int) -> int:
    """The multiple that is nearest to a side, and at least one."""
    return max(1, round(side / multiple)) * multiple
