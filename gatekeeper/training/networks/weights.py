"""Weights that training starts from: a file of safetensors whose tensors fit the network's, one to one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gatekeeper.errors import InvalidInputError
from gatekeeper.training.networks.trainable import named_by


def load_base(network: nn.Module, *, path: str, skip: tuple[str, ...]) -> str:
    """Set a network's parameters and buffers to those of a file.

    Args:
        network: whose tensors are replaced in place.
        path: the file, absolute or relative to the working directory.
        skip: patterns of tensors, of the network's or of the file's, that are left alone.

    Returns:
        SHA-256 of the file's bytes: the very ones that were loaded.

    Raises:
        InvalidInputError: the file can't be read, or its tensors aren't the network's: every difference.
    """
    content = _content(path)
    try:
        given = safetensors.torch.load(content)
    except SafetensorError as error:
        raise InvalidInputError(
            f"not a file of safetensors: {error}",
            where=path,
            hint="`gatekeeper weights convert` makes one of a torch file",
        ) from error
    own = network.state_dict()
    skipped = named_by(skip, {**own, **given}, key="base_skip")
    own, given = ({name: t for name, t in side.items() if name not in skipped} for side in (own, given))
    differences = sorted(_differences(own, given))
    if differences:
        raise InvalidInputError(
            "the weights don't fit the network:\n  " + "\n  ".join(differences),
            where=path,
            hint="name the parameters that shall keep their initial values in base_skip",
        )
    with torch.no_grad():
        for name, tensor in given.items():
            own[name].copy_(tensor)
    return hashlib.sha256(content).hexdigest()


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"the weights can't be read: {error.strerror}", where=path) from error


def _differences(own: dict[str, Tensor], given: dict[str, Tensor]) -> Iterator[str]:
    """Why each tensor that doesn't fit doesn't."""
    for name in own.keys() - given.keys():
        yield f"{name}: the file lacks it"
    for name in given.keys() - own.keys():
        yield f"{name}: the network has none"
    for name in own.keys() & given.keys():
        wanted, found = own[name], given[name]
        if wanted.shape != found.shape:
            yield f"{name}: shape {_shape(found)} in the file, {_shape(wanted)} in the network"
        elif wanted.is_floating_point() != found.is_floating_point():
            yield f"{name}: {found.dtype} in the file, {wanted.dtype} in the network"
        elif found.is_floating_point() and not bool(torch.isfinite(found).all()):
            yield f"{name}: holds values that are not finite"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"
