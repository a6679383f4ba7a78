"""Refuses networks whose per-unit gradient is not defined: layers that mix samples, and shared weights."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gatekeeper.errors import UnsupportedModelError

_REMEDIES: tuple[tuple[type[nn.Module], str], ...] = (
    (_BatchNorm, "it mixes the units of a batch, and its running statistics leave un-noised; use GroupNorm"),
    (nn.modules.instancenorm._InstanceNorm, "with tracked statistics it keeps un-noised averages; use GroupNorm"),
    (nn.modules.rnn.RNNBase, "its weights are used many times a sample; per-unit gradients are not supported"),
)


def _offence(module: nn.Module) -> str | None:
    """Why `module` can't be trained with per-unit clipping, or None."""
    for kind, remedy in _REMEDIES:
        if isinstance(module, kind):
            tracks = getattr(module, "track_running_stats", True)
            if kind is nn.modules.instancenorm._InstanceNorm and not tracks:
                continue
            return remedy
    if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
        return "max_norm shortens the rows that were looked up, un-noised; leave it out"
    return None


def check_network(network: nn.Module) -> None:
    """Refuse a network that breaks per-unit clipping, with every offending layer and its remedy.

    Raises:
        UnsupportedModelError: naming each layer.
    """
    offences = [
        f"{name or 'the network'} ({type(module).__name__}): {remedy}"
        for name, module in network.named_modules()
        if (remedy := _offence(module)) is not None
    ]
    shared = _shared_parameters(network)
    offences += [f"parameter {name} is used in several places; tied weights are not supported" for name in shared]
    if offences:
        raise UnsupportedModelError("differential privacy can't be had with:\n  " + "\n  ".join(offences))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UnsupportedModelError("the network has no trainable parameter")


def _shared_parameters(network: nn.Module) -> list[str]:
    """Names of parameters that several modules, or one module under several names, hold."""
    seen: dict[int, str] = {}
    shared = []
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            shared.append(name)
        seen[id(parameter)] = name
    return shared
