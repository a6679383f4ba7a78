"""What a candidate trains, and on what: its network, or the head behind features that are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import DatasetCard
from gatekeeper.core.units import UnitImages
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.distributed import LoneRank
from gatekeeper.training.features import CachedFeatures, cache_features
from gatekeeper.training.losses import PerViewLoss, loss_of
from gatekeeper.training.networks import NormalisedInput, build
from gatekeeper.training.views import Views, ViewSource


class Source(Protocol):
    """Where the views of a step's units come from."""

    def draw(self, step: int, units: NDArray[np.int64]) -> Views:
        """The views of `units` in a step."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """What is trained.

    Attributes:
        network: the whole network, which is released.
        trained: what views go through: the network, or its head.
        shape: of what `trained` takes for one view.
        features: what became of the frozen part, for the record; None where nothing is frozen.
        loss: one loss a view.
        classes: number of outputs.
        target_shape: of one view's target; empty for a class.
    """

    network: NormalisedInput
    trained: nn.Module
    shape: tuple[int, ...]
    features: CachedFeatures | None
    loss: PerViewLoss
    classes: int
    target_shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.trainable)

    @property
    def trainable(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [p for p in self.network.parameters() if p.requires_grad]

    def random_targets(self, views: int, generator: torch.Generator) -> Tensor:
        """Random targets of views, int64, shape (views, …)."""
        return torch.randint(self.classes, (views, *self.target_shape), generator=generator)

    def source(self, data: UnitImages, candidate: Candidate) -> Source:
        """Draws the views that `trained` takes."""
        spec = candidate.training
        if self.features is not None:
            return self.features.source
        device = next(self.network.parameters()).device
        return ViewSource(data, views=spec.views, augmentation=spec.augmentation, seed=spec.seed, device=device)

    def engine(self, candidate: Candidate, *, ranks: LoneRank | None = None) -> ClippingEngine:
        """What forms the clipped sums: see `isolated_engine`, whose errors it raises."""
        spec = candidate.training
        return isolation.isolated_engine(
            self.trained,
            views=spec.views,
            physical_batch=spec.physical_batch,
            expected_batch=spec.expected_batch,
            image_shape=self.shape,
            targets=self.random_targets,
            loss=self.loss,
            ranks=ranks,
            precision=spec.precision,
        )


def subject_of(
    candidate: Candidate,
    card: DatasetCard,
    *,
    data: UnitImages | None,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> Subject:
    """The candidate's network before its first step; a frozen beginning's features computed where that saves work.

    Args:
        candidate: network and recipe.
        card: image shape, classes and task.
        data: the training units; None leaves the whole network to be trained on.
        allow_code: the candidate's own code that the policy allows.
        device: where it is trained.

    Raises:
        UnsupportedModelError: the network can't take such images, is for another task, or its code isn't allowed.
        InvalidInputError: base weights can't be read or don't fit.
    """
    spec = candidate.training
    network = build(
        candidate.model,
        image_shape=card.image_shape,
        classes=len(card.classes),
        seed=spec.seed,
        task=card.task,
        allow_code=allow_code,
    ).to(device or torch.device("cpu"))
    cached = None
    if data is not None and any(not parameter.requires_grad for parameter in network.parameters()):
        found = cache_features(network, data, spec=spec, image_shape=card.image_shape)
        cached = found if isinstance(found, CachedFeatures) else None
    return Subject(
        network=network,
        trained=network if cached is None else cached.head,
        shape=card.image_shape if cached is None else cached.shape,
        features=cached,
        loss=loss_of(spec, card.task),
        classes=len(card.classes),
        target_shape=card.image_shape[1:] if card.task == "segmentation" else (),
    )
