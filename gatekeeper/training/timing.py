"""What a training would take, measured on a few steps over random images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.subject import Subject, subject_of
from gatekeeper.training.views import Views

_STEPS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredStep:
    """What one step takes of this machine, as busy as it is now.

    Attributes:
        seconds: of one step with as many views as the plan takes on average.
        views: how many these are.
        plain_seconds: of one pass of as many views forward and back to their pixels.
        parameters: numbers in the network.
        trained: those of them that are trained.
        gpu_bytes: the GPU's memory at most, or None without one.
    """

    seconds: float
    views: int
    plain_seconds: float
    parameters: int
    trained: int
    gpu_bytes: int | None


def measure_step(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> MeasuredStep:
    """One step of the plan's training on random images; the data are not looked at.

    Where only a head is trained, features will be cached, and steps will take less.

    Args:
        candidate: network and recipe.
        plan: divisor and mechanism.
        card: number of training units, image shape and classes.
        allow_code: the candidate's own code that the policy allows.
        device: where; None is the CPU.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """
    where = device or torch.device("cpu")
    subject = subject_of(candidate, card, data=None, allow_code=allow_code, device=device)
    count = max(1, round(card.train_units * plan.mechanism.sampling_rate)) * candidate.training.views
    generator = torch.Generator().manual_seed(0)
    batch = Views(
        images=torch.rand((count, *subject.shape), generator=generator),
        targets=subject.random_targets(count, generator),
    ).to(where)
    plain = _plain_seconds(subject, batch)  # before the engine takes the layers over
    engine = subject.engine(candidate)
    release = NoisyMean(plan, engine=engine, units=card.train_units, parameters=subject.parameters)
    return MeasuredStep(
        seconds=_seconds(lambda: release.of(batch)),
        views=count,
        plain_seconds=plain,
        parameters=sum(p.numel() for p in subject.network.parameters()),
        trained=subject.parameters,
        gpu_bytes=torch.cuda.max_memory_allocated(where) if where.type == "cuda" else None,
    )


def _plain_seconds(subject: Subject, batch: Views) -> float:
    images = batch.images.clone().requires_grad_()
    return _seconds(lambda: torch.autograd.grad(subject.loss(subject.trained(images), batch.targets).sum(), images))


def _seconds(action: Callable[[], object]) -> float:
    """Of one time; the first, which allocates, is not counted."""
    action()
    began = time.monotonic()
    for _ in range(_STEPS):
        action()
    return (time.monotonic() - began) / _STEPS
