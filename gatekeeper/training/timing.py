"""How long a training would take, measured on a few steps over random images."""

from __future__ import annotations

import time

import torch

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.training.clipping.per_unit import PerUnitGradients
from gatekeeper.training.networks import build
from gatekeeper.training.views import Views

_STEPS = 2


def estimate_seconds(*, candidate: Candidate, plan: TrainingPlan, card: DatasetCard) -> float:
    """Seconds that the plan's training would take on this machine now; the data are not looked at.

    Args:
        candidate: network and recipe.
        plan: steps and divisor.
        card: image shape and classes.
    """
    spec = candidate.training
    network = build(candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed)
    gradients = PerUnitGradients(network, views=spec.views, physical_batch=spec.physical_batch)
    count = max(1, round(card.train_units * plan.mechanism.sampling_rate)) * spec.views
    batch = Views(images=torch.rand((count, *card.image_shape)), labels=torch.zeros(count, dtype=torch.int64))
    gradients.clipped_sum(batch, clipping_norm=plan.clipping_norm)  # the first step allocates
    began = time.monotonic()
    for _ in range(_STEPS):
        gradients.clipped_sum(batch, clipping_norm=plan.clipping_norm)
    return (time.monotonic() - began) / _STEPS * plan.mechanism.steps
