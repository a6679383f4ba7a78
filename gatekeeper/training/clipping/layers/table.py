"""Which layer of the engine runs a module."""

from __future__ import annotations

from typing import Any

from torch import nn

from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.clipping.choice import choose
from gatekeeper.training.clipping.layers.base import Layer
from gatekeeper.training.clipping.layers.convolution import Chooser, ConvolutionLayer, is_evenly_padded
from gatekeeper.training.clipping.layers.embedding import EmbeddingLayer
from gatekeeper.training.clipping.layers.hooked import HookedLayer
from gatekeeper.training.clipping.layers.linear import LinearLayer
from gatekeeper.training.clipping.layers.normalisation import GroupNormLayer, LayerNormLayer
from gatekeeper.training.clipping.layers.standardised import StandardisedLayer
from gatekeeper.training.networks.standardised import StandardisedConv2d

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def layer_for(name: str, module: Any, *, views: int, chooser: Chooser = choose) -> Layer:
    """The engine's layer for a module that has parameters of its own.

    Subclasses may do anything in their `forward`, so only the very types count; others go through Opacus.

    Args:
        name: the module's, for the error.
        module: it has parameters of its own.
        views: views of each unit.
        chooser: picks the way in which convolutions form their shares.

    Raises:
        UnsupportedModelError: the module has layers with parameters beneath it besides its own.
    """
    if any(True for child in module.children() for _ in child.parameters()):
        raise UnsupportedModelError(
            f"{name or 'the network'} ({type(module).__name__}) has parameters beside layers with parameters",
            hint="put each parameter into a module of its own that has no layers beneath it",
        )
    kind = type(module)
    if kind is StandardisedConv2d and module.groups == 1 and is_evenly_padded(module):
        return StandardisedLayer(module, views=views, chooser=chooser)
    if kind in _CONVOLUTIONS and is_evenly_padded(module):
        return ConvolutionLayer(module, views=views, chooser=chooser)
    if kind is nn.Linear:
        return LinearLayer(module, views=views)
    if kind is nn.GroupNorm or (kind in _INSTANCE_NORMS and not module.track_running_stats):
        return GroupNormLayer(module, views=views)
    if kind is nn.LayerNorm:
        return LayerNormLayer(module, views=views)
    if kind is nn.Embedding and module.max_norm is None and not (module.scale_grad_by_freq or module.sparse):
        return EmbeddingLayer(module, views=views)
    return HookedLayer(module, views=views)
