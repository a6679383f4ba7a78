"""How long a step and a training would take, measured on a few steps over random images."""

from __future__ import annotations

import time

import torch

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.subject import subject_of
from gatekeeper.training.views import Views

_STEPS = 2


def estimate_seconds(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> float:
    """Seconds that the plan's training would take on this machine now; args and raises as in `seconds_per_step`."""
    return plan.steps * seconds_per_step(
        candidate=candidate, plan=plan, card=card, allow_code=allow_code, device=device
    )


def seconds_per_step(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> float:
    """Seconds that a noisy step would take on this machine now; the data are not looked at.

    Where only a head is trained, features will be cached, and it will take less.

    Args:
        candidate: network and recipe.
        plan: steps and divisor.
        card: number of training units, image shape and classes.
        allow_code: the candidate's own code that the policy allows.
        device: where; None is the CPU.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """
    subject = subject_of(candidate, card, data=None, allow_code=allow_code, device=device)
    engine = subject.engine(candidate)
    release = NoisyMean(plan, engine=engine, units=card.train_units, parameters=subject.parameters)
    count = max(1, round(card.train_units * plan.mechanism.sampling_rate)) * candidate.training.views
    generator = torch.Generator().manual_seed(0)
    batch = Views(
        images=torch.rand((count, *subject.shape), generator=generator),
        targets=subject.random_targets(count, generator),
    ).to(device or torch.device("cpu"))
    release.of(batch)  # the first step allocates
    began = time.monotonic()
    for _ in range(_STEPS):
        release.of(batch)
    return (time.monotonic() - began) / _STEPS
