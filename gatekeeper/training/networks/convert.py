"""A torch file of weights as safetensors: names and numbers, and nothing that could run."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gatekeeper.errors import InvalidInputError

# Where training scripts put the state_dict among other things.
_WRAPPERS = ("state_dict", "model")
_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedWeights:
    """What was written.

    Attributes:
        tensors: how many.
        numbers: in all of them.
        sha256: digest of the new file.
    """

    tensors: int
    numbers: int
    sha256: str


def convert(source: Path, destination: Path) -> ConvertedWeights:
    """Write the tensors of a torch file as safetensors.

    Args:
        source: what `torch.load(weights_only=True)` reads: a state_dict, alone or under `state_dict` or `model`.
        destination: the new file.

    Raises:
        InvalidInputError: the source is no such file, holds code or anything but tensors, or the destination exists.
    """
    state = _state(_loaded(source), where=str(source))
    # Copies: tensors that share memory in the torch file are separate here.
    content = safetensors.torch.save({name: tensor.detach().clone().contiguous() for name, tensor in state.items()})
    try:
        with destination.open("xb") as file:
            file.write(content)
    except OSError as error:
        exists = isinstance(error, FileExistsError)
        raise InvalidInputError(
            "exists already and is not overwritten" if exists else f"can't be written: {error.strerror}",
            where=str(destination),
            hint="choose another name" if exists else None,
        ) from error
    return ConvertedWeights(
        tensors=len(state),
        numbers=sum(tensor.numel() for tensor in state.values()),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _loaded(source: Path) -> object:
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInputError(f"can't be read: {error.strerror}", where=str(source)) from error
    except pickle.UnpicklingError as error:
        raise InvalidInputError(
            "holds more than weights: loading it would run code, or it is damaged",
            where=str(source),
            hint="where you trust it, save its state_dict alone: torch.save(model.state_dict(), …)",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        raise InvalidInputError(f"is no file of torch's: {error}", where=str(source)) from error


def _state(loaded: object, *, where: str) -> dict[str, Tensor]:
    """The state_dict, which may lie among other things, such as an optimizer's."""
    wrapped = [key for key in _WRAPPERS if isinstance(loaded, dict) and isinstance(loaded.get(key), dict)]
    state = loaded[wrapped[0]] if isinstance(loaded, dict) and wrapped else loaded
    if not isinstance(state, dict) or not state:
        raise InvalidInputError(
            f"holds no state_dict but a {type(state).__name__}" if state else "holds nothing", where=where
        )
    strangers = [f"{name} ({type(entry).__name__})" for name, entry in state.items() if not _is_plain(name, entry)]
    if strangers:
        more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
        raise InvalidInputError(
            f"holds entries that are no dense real tensors: {', '.join(strangers[:_SHOWN])}{more}",
            where=where,
            hint="save the state_dict alone: torch.save(model.state_dict(), …)",
        )
    return state


def _is_plain(name: object, entry: object) -> bool:
    """Whether an entry is a named tensor of the kind that safetensors holds."""
    return (
        isinstance(name, str)
        and isinstance(entry, Tensor)
        and entry.layout == torch.strided
        and not entry.is_quantized
        and not entry.is_complex()
    )
