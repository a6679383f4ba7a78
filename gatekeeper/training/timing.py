"""How long a training would take, measured on a few steps over random images."""

from __future__ import annotations

import time

import torch

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.training.loop import engine, grid_of
from gatekeeper.training.networks import build
from gatekeeper.training.noise import add_noise
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.views import Views

_STEPS = 2


def estimate_seconds(*, candidate: Candidate, plan: TrainingPlan, card: DatasetCard) -> float:
    """Seconds that the plan's training would take on this machine now; the data are not looked at.

    Args:
        candidate: network and recipe.
        plan: steps and divisor.
        card: number of training units, image shape and classes.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """
    spec = candidate.training
    network = build(candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    grid = grid_of(plan, units=card.train_units, parameters=parameters)
    gradients, stream = engine(network, candidate=candidate, card=card), SecretStream()
    count = max(1, round(card.train_units * plan.mechanism.sampling_rate)) * spec.views
    batch = Views(images=torch.rand((count, *card.image_shape)), labels=torch.zeros(count, dtype=torch.int64))
    add_noise(gradients.clipped_sum(batch, grid=grid), grid=grid, stream=stream)  # the first step allocates
    began = time.monotonic()
    for _ in range(_STEPS):
        add_noise(gradients.clipped_sum(batch, grid=grid), grid=grid, stream=stream)
    return (time.monotonic() - began) / _STEPS * plan.steps
