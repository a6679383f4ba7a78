"""gatekeeper's own networks by name, and what each of them demands of the data."""

from __future__ import annotations

from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.networks.base import Network
from gatekeeper.training.networks.efficientnet import EfficientNetLite0
from gatekeeper.training.networks.lenet import LeNet
from gatekeeper.training.networks.mlp import MLP
from gatekeeper.training.networks.resnet9 import ResNet9
from gatekeeper.training.networks.resnet18 import ResNet18
from gatekeeper.training.networks.unet import UNet
from gatekeeper.training.networks.unet3d import UNet3d

_NETWORKS: dict[str | None, type[Network]] = {
    "resnet9": ResNet9,
    "resnet18": ResNet18,
    "lenet": LeNet,
    "mlp": MLP,
    "unet": UNet,
    "unet3d": UNet3d,
    "efficientnet-lite0": EfficientNetLite0,
}


def own_network(spec: ModelSpec, *, image_shape: tuple[int, ...], classes: int, task: Task) -> Network:
    """The network that the candidate names.

    Args:
        spec: with a network.
        image_shape: channels, then the length of each spatial axis.
        classes: number of outputs.
        task: what the outputs are for.

    Raises:
        UnsupportedModelError: the network can't take such images, is for another task, or isn't installed.
    """
    kind = _NETWORKS[spec.network]
    width = spec.width or kind.only_width
    _check_task(f"{spec.network}", kind, sides=image_shape[1:], task=task)
    _check_images(f"{spec.network}", kind, image_shape=image_shape, task=task)
    if width % kind.width_multiple:
        raise UnsupportedModelError(
            f"{spec.network}'s width must be a multiple of {kind.width_multiple}, got {width}",
            hint="GroupNorm uses groups of four channels",
        )
    return kind(image_shape=image_shape, classes=classes, width=width)


def _check_task(name: str, kind: type[Network], *, sides: tuple[int, ...], task: Task) -> None:
    if kind.task != task:
        raise UnsupportedModelError(f"{name} does {kind.task}, and the data are for {task}", hint=_others(task, sides))
    if len(sides) not in kind.dimensions:
        takes = "volumes" if kind.dimensions == (3,) else "flat images"
        raise UnsupportedModelError(f"{name} takes {takes}, got {_size(sides)}", hint=_others(task, sides))


def _check_images(name: str, kind: type[Network], *, image_shape: tuple[int, ...], task: Task) -> None:
    channels, sides = image_shape[0], image_shape[1:]
    if kind.channels not in (None, channels):
        raise UnsupportedModelError(
            f"{name} takes images of {kind.channels} channels, got {channels}",
            hint=f"set data.channels to {kind.channels}",
        )
    if min(sides) < kind.smallest_side:
        raise UnsupportedModelError(
            f"{name} needs images of at least {_size((kind.smallest_side,) * len(sides))}, got {_size(sides)}",
            hint=f"set data.image_size or data.scan.size, or {_others(task, sides)}",
        )
    multiple = kind.spatial_multiple
    if multiple is not None and any(side % multiple for side in sides):
        nearest = _size(tuple(max(1, round(side / multiple)) * multiple for side in sides))
        raise UnsupportedModelError(
            f"{name} needs sides that are multiples of {multiple}, got {_size(sides)}",
            hint=f"use images of {nearest} (data.image_size, data.phantom.size or data.scan.size)",
        )


def _size(sides: tuple[int, ...]) -> str:
    return "×".join(map(str, sides))


def _others(task: Task, sides: tuple[int, ...]) -> str:
    """Which networks would take such images."""
    fit = [
        f"{name}"
        for name, kind in _NETWORKS.items()
        if kind.task == task and len(sides) in kind.dimensions and min(sides) >= kind.smallest_side
    ]
    return f"use network: {' or '.join(fit)}" if fit else f"no network here does {task} of such images"
