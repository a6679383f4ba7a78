"""A network from a function of the user's, which runs only if the policy allows its code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gatekeeper.core.allowed_code import guarded, import_function
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import Argument
from gatekeeper.errors import UnsupportedModelError


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeNetwork:
    """What a factory returned.

    Attributes:
        network: takes pixel values in [0, 1], shape (n, channels, *spatial).
        code: the files that ran to make it.
    """

    network: nn.Module
    code: tuple[CodeFile, ...]


def factory_network(
    factory: str,
    *,
    arguments: tuple[Argument, ...],
    image_shape: tuple[int, ...],
    classes: int,
    task: Task,
    allow_code: tuple[CodeFile, ...],
) -> MadeNetwork:
    """Call a factory and try its network on random pixels.

    Args:
        factory: `package.module:function`, or `path/to/file.py:function`, relative to the working directory.
        arguments: its further keyword arguments.
        image_shape: channels, then the length of each spatial axis.
        classes: number of outputs.
        task: what the outputs are for.
        allow_code: what the policy allows.

    Raises:
        UnsupportedModelError: the code isn't allowed or fails, or what it returns is no network for such images.
    """
    imported = import_function(factory, allow=allow_code, refusal=UnsupportedModelError)
    given = {argument.name: argument.value for argument in arguments}
    network = guarded(
        factory,
        lambda: imported.function(image_shape=image_shape, classes=classes, **given),
        refusal=UnsupportedModelError,
    )
    if not isinstance(network, nn.Module):
        raise UnsupportedModelError(f"it returned a {type(network).__name__}, not a torch.nn.Module", where=factory)
    _check_parameters(factory, network)
    outputs = (classes, *image_shape[1:]) if task == "segmentation" else (classes,)
    _check_outputs(factory, network, image_shape=image_shape, outputs=outputs)
    return MadeNetwork(network=network, code=imported.code.files)


def _check_parameters(factory: str, network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise UnsupportedModelError(
                f"{name} is {parameter.dtype} on {parameter.device}: parameters must be float32 on the CPU",
                where=factory,
            )


def _check_outputs(factory: str, network: nn.Module, *, image_shape: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Try the network on two images of random pixels."""
    probe = torch.rand((2, *image_shape), generator=torch.Generator().manual_seed(0))
    was_training = network.training
    network.eval()
    with torch.no_grad():
        found = guarded(factory, lambda: network(probe), refusal=UnsupportedModelError)
    network.train(was_training)
    wanted = (2, *outputs)
    if not isinstance(found, Tensor) or found.dtype != torch.float32 or tuple(found.shape) != wanted:
        got = f"{found.dtype} of {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise UnsupportedModelError(
            f"from images of {tuple(probe.shape)} the network must make float32 logits of {wanted}, it made {got}",
            where=factory,
        )
