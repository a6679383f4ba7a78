"""The network of a candidate: made, given its weights, its frozen part frozen."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.record import Provenance
from gatekeeper.training.networks.factory import factory_network
from gatekeeper.training.networks.folding import fold_batch_norms
from gatekeeper.training.networks.own import own_network
from gatekeeper.training.networks.trainable import freeze_all_but
from gatekeeper.training.networks.weights import load_base


class NormalisedInput(nn.Module):
    """A network that takes pixel values in [0, 1] and centres them itself.

    The constants are fixed, never the data's own mean and deviation: those would be un-noised statistics
    of the patients' images, and would leave with the model.

    Attributes:
        spatial_multiple: that of the network (see `Network`).
        provenance: the weights and the code that it came from.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        centre: float = 0.5,
        spread: float = 0.25,
        spatial_multiple: int | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.centre = centre
        self.spread = spread
        self.spatial_multiple = spatial_multiple
        self.provenance = provenance or Provenance()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, classes), or (batch, classes, *spatial), from pixel values in [0, 1].

        Args:
            x: shape (batch, channels, *spatial).
        """
        logits: Tensor = self.network((x - self.centre) / self.spread)
        return logits


def build(
    spec: ModelSpec,
    *,
    image_shape: tuple[int, ...],
    classes: int,
    seed: int,
    task: Task = "classification",
    allow_code: tuple[CodeFile, ...] = (),
) -> NormalisedInput:
    """The network before its first step.

    Args:
        spec: which network.
        image_shape: channels, then the length of each spatial axis: two of images, three of volumes.
        classes: number of outputs, at least 2.
        seed: of the initial weights.
        task: what the outputs are for.
        allow_code: the files of the candidate's own code that the policy allows; others don't run.

    Raises:
        UnsupportedModelError: the network can't take such images, is for another task, or its code isn't allowed.
        InvalidInputError: the weights can't be read or don't fit, or a pattern names no parameter.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _made(spec, image_shape=image_shape, classes=classes, task=task, allow_code=allow_code)
    provenance = network.provenance
    if spec.base is not None:
        base_weights = load_base(network.network, path=spec.base, skip=spec.base_skip)
        provenance = dataclasses.replace(provenance, base_weights=base_weights)
    if spec.trainable is not None:
        freeze_all_but(network.network, spec.trainable)
        fold_batch_norms(network, image_shape=image_shape)
    frozen = sum(parameter.numel() for parameter in network.parameters() if not parameter.requires_grad)
    network.provenance = dataclasses.replace(provenance, frozen_parameters=frozen)
    return network


def _made(
    spec: ModelSpec, *, image_shape: tuple[int, ...], classes: int, task: Task, allow_code: tuple[CodeFile, ...]
) -> NormalisedInput:
    """The network with its initial weights. A user's own takes pixel values as they are: it may centre them itself."""
    if spec.factory is None:
        own = own_network(spec, image_shape=image_shape, classes=classes, task=task)
        return NormalisedInput(
            own,
            centre=own.centre,
            spread=own.spread,
            spatial_multiple=own.spatial_multiple,
            provenance=Provenance(base_weights=own.base_weights),
        )
    made = factory_network(
        spec.factory,
        arguments=spec.arguments,
        image_shape=image_shape,
        classes=classes,
        task=task,
        allow_code=allow_code,
    )
    return NormalisedInput(
        made.network,
        centre=0.0,
        spread=1.0,
        spatial_multiple=getattr(made.network, "spatial_multiple", None),
        provenance=Provenance(code=made.code),
    )
