"""Checkpoints and kept deals as bytes: safetensors, so that reading them runs no code.

A checkpoint holds what follows from the noisy sums and nothing else. A deal says which unit falls into which batch of
the epoch in progress: as secret as the data, and kept only while the run's private directory holds the training.
"""

from __future__ import annotations

import hashlib

import numpy as np
import safetensors.numpy
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from gatekeeper.errors import RunDirectoryError

_DIGEST_LENGTH = 64


def pack_state(state: dict[str, Tensor]) -> bytes:
    """The state of a training as the content of a checkpoint."""
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()})


def unpack_state(content: bytes) -> dict[str, Tensor]:
    """What `pack_state` packed; the content's digest must have been compared."""
    return safetensors.torch.load(content)


def digest_of(content: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(content).hexdigest()


def pack_deal(epoch: int, bins: NDArray[np.uint64]) -> bytes:
    """An epoch's deal, behind its digest.

    Args:
        epoch: from 0, over all starts.
        bins: the batch of each unit, shape (units,).
    """
    content = safetensors.numpy.save({"epoch": np.array([epoch]), "bins": bins})
    return digest_of(content).encode() + content


def unpack_deal(content: bytes) -> tuple[int, NDArray[np.uint64]]:
    """What `pack_deal` packed.

    Raises:
        RunDirectoryError: it was changed or cut short.
    """
    digest, content = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH:]
    if digest_of(content).encode() != digest:
        raise RunDirectoryError(
            "the batches of the epoch in progress were changed or cut short, so the epoch can't go on",
            hint="certify anew; this run stays counted in full",
        )
    try:
        found = safetensors.numpy.load(content)
    except SafetensorError as error:
        raise RunDirectoryError(f"the batches of the epoch in progress can't be read: {error}") from error
    return int(found["epoch"][0]), found["bins"]
