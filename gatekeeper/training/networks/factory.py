"""A network from a function of the user's, which runs only if the policy allows its code."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import Argument
from gatekeeper.errors import GatekeeperError, UnsupportedModelError
from gatekeeper.training.networks.allowed_code import ImportedCode, import_file, import_module

T = TypeVar("T")


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
    place, _, function = factory.rpartition(":")
    imported = _guarded(factory, lambda: _import(place, allow_code))
    make = getattr(imported.module, function, None)
    if not callable(make):
        raise UnsupportedModelError(f"{place} has no function {function}", where=factory)
    given = {argument.name: argument.value for argument in arguments}
    network = _guarded(factory, lambda: make(image_shape=image_shape, classes=classes, **given))
    if not isinstance(network, nn.Module):
        raise UnsupportedModelError(f"it returned a {type(network).__name__}, not a torch.nn.Module", where=factory)
    _check_parameters(factory, network)
    outputs = (classes, *image_shape[1:]) if task == "segmentation" else (classes,)
    _check_outputs(factory, network, image_shape=image_shape, outputs=outputs)
    return MadeNetwork(network=network, code=imported.files)


def _import(place: str, allow_code: tuple[CodeFile, ...]) -> ImportedCode:
    if place.endswith(".py"):
        return import_file(Path(place), allow=allow_code)
    return import_module(place, allow=allow_code)


def _guarded(factory: str, action: Callable[[], T]) -> T:
    """What foreign code returns; whatever it raises is the candidate's fault, not a bug of gatekeeper's."""
    try:
        return action()
    except GatekeeperError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UnsupportedModelError(
            f"the factory {factory} failed: {type(error).__name__}: {error}", where=f"{last.filename}:{last.lineno}"
        ) from error


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
        found = _guarded(factory, lambda: network(probe))
    network.train(was_training)
    wanted = (2, *outputs)
    if not isinstance(found, Tensor) or found.dtype != torch.float32 or tuple(found.shape) != wanted:
        got = f"{found.dtype} of {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise UnsupportedModelError(
            f"from images of {tuple(probe.shape)} the network must make float32 logits of {wanted}, it made {got}",
            where=factory,
        )
