"""Attacks by the library breaching. Whoever runs them has it, torch and numpy, but no gatekeeper.

They go one image after the other: what is attacked is one user's gradient, and the library's interface takes no batch
of users who are attacked each for himself.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]

# What torchvision's Python half registers more of when it is imported.
_TORCHVISION_OPERATORS = ("nms", "qnms")
# Where that is done in its place: an operator goes when its library goes.
_DECLARED: list[torch.library.Library] = []


class Centred(nn.Module):
    """Pixels in [0, 1] less the centre, over the spread."""

    def __init__(self, *, centre: float, spread: float) -> None:
        super().__init__()
        self.centre, self.spread = centre, spread

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.centre) / self.spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inversion:
    """Attack B's work: images from gradients of a whole network.

    Attributes:
        images: the truth, uint8, shape (images, channels, height, width); only looked at afterwards.
        mean: subtracted before comparisons, shape (channels, height, width).
        network: of pixels in [0, 1]; of layers that torch and this module have.
        gradients: one image's each, of the network's parameters one after the other, shape (images, numbers).
        targets: shape (images,).
        starts: shape (images, channels, height, width).
        iterations: of the search from each start.
        learning_rate: of Adam at first.
        total_variation: its weight.
    """

    images: NDArray[np.uint8]
    mean: Floats
    network: nn.Sequential
    gradients: Tensor
    targets: Tensor
    starts: Tensor
    iterations: int
    learning_rate: float
    total_variation: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Attack A's work: a planted row, its gradient clipped, noise added, and the image read out of it.

    Attributes:
        images: uint8, shape (images, channels, height, width).
        mean: subtracted before comparisons, shape (channels, height, width).
        clipping_norm: C.
        noise_multiplier: σ.
    """

    images: NDArray[np.uint8]
    mean: Floats
    clipping_norm: float
    noise_multiplier: float


def similarities(found: Floats, work: Inversion | Row) -> Floats:
    """NCC with the truth, both less the mean image: shape (images,)."""
    shape = (len(work.images), -1)
    truth = (work.images / 255 - work.mean).reshape(shape)
    own = (found.reshape(work.images.shape) - work.mean).reshape(shape)
    return np.asarray((truth * own).sum(1) / (np.linalg.norm(truth, axis=1) * np.linalg.norm(own, axis=1)))


def import_breaching() -> Any:
    """The library.

    Where torchvision was compiled for another build of torch (CUDA's, say, beside the CPU's), its operators don't load
    and it fails to register more of them. The library uses none; they are declared then, with nothing behind them.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        operators = torch.library.Library("torchvision", "DEF")
        for name in _TORCHVISION_OPERATORS:
            operators.define(f"{name}(Tensor dets) -> Tensor")
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _DECLARED.append(operators)
    import breaching

    return breaching


def attack_on(breaching: Any, work: Inversion | Row) -> Callable[[], Floats]:
    """What finds the images, shape (images, pixels), each time that it is called."""
    return _inversion(breaching, work) if isinstance(work, Inversion) else _row(breaching, work)


def _inversion(breaching: Any, work: Inversion) -> Callable[[], Floats]:
    """The library's `invertinggradients`, from the given starts: a search for each image."""
    settings = {
        "optim.max_iterations": work.iterations,
        "optim.step_size": work.learning_rate,
        "regularization.total_variation.scale": work.total_variation,
    }
    config = breaching.get_attack_config("invertinggradients", [f"{key}={value}" for key, value in settings.items()])
    attacker = breaching.attacks.prepare_attack(work.network, nn.CrossEntropyLoss(), config)
    parameters = list(work.network.parameters())
    payload = _payload(work.network, shape=work.images.shape[1:])

    def run() -> Floats:
        found = []
        for gradient, target, start in zip(work.gradients, work.targets, work.starts, strict=True):
            parts = gradient.split([parameter.numel() for parameter in parameters])
            gradients = [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
            metadata = {"num_data_points": 1, "labels": target[None], "local_hyperparams": None}
            shared = {"gradients": gradients, "buffers": None, "metadata": metadata}
            result, _ = attacker.reconstruct([payload], [shared], {}, initial_data=start[None])
            found.append(result["data"].flatten().double().numpy())
        return np.array(found)

    return run


def _row(breaching: Any, work: Row) -> Callable[[], Floats]:
    """The library's user, who clips and adds noise, and its `imprint` read-out of a layer of one row, in float64."""
    shape, double = work.images.shape[1:], {"device": torch.device("cpu"), "dtype": torch.float64}
    network = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 1)).double()
    config = breaching.get_attack_config("imprint", ["impl.dtype=double"])
    attacker = breaching.attacks.prepare_attack(network, _summed, config, double)
    user = breaching.cases.users.UserSingleStep(_Named(network), _summed, None, double, 0, _user_settings(work))
    user.data_key = "inputs"  # which it learns from a data loader, and there is none
    payload, label = _payload(network, shape=shape), torch.zeros(1, dtype=torch.int64)
    block = {"weight_idx": 0, "bias_idx": 1, "shape": shape, "structure": "sparse"}

    def run() -> Floats:
        found = []
        for image in work.images:
            data = {"inputs": torch.from_numpy(image[None] / 255), "labels": label}
            shared, _ = user.compute_local_updates(payload, custom_data=data)
            result, _ = attacker.reconstruct([payload], [shared], {"ImprintBlock": block})
            found.append(result["data"].flatten().numpy())
        return np.array(found)

    return run


class _Named(nn.Module):
    """Takes its input by name, and labels that it ignores, as the library's user hands them over."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.network(inputs)


def _summed(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.sum()


def _user_settings(work: Row) -> Any:
    privacy = {
        "gradient_noise": work.noise_multiplier * work.clipping_norm,
        "input_noise": 0.0,
        "distribution": "gaussian",
        "per_example_clipping": work.clipping_norm,
    }
    return types.SimpleNamespace(
        num_data_points=1,
        provide_labels=True,
        provide_num_data_points=True,
        provide_buffers=False,
        local_diff_privacy=privacy,
    )


def _payload(network: nn.Module, *, shape: tuple[int, ...]) -> dict[str, Any]:
    metadata = types.SimpleNamespace(shape=tuple(shape), modality="vision")
    return {"parameters": [p.detach() for p in network.parameters()], "buffers": [], "metadata": metadata}
