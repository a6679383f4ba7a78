"""The training loop. It counts the noisy sums that it forms and returns the mechanism that really ran."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import opacus
import torch
from numpy.typing import NDArray
from torch import nn

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.record import DatasetCard, Software, TrainingPlan, TrainingRecord
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping.engine import ClippingEngine, cross_entropy
from gatekeeper.training.clipping.rounding import BLOCK
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.losses import loss_of
from gatekeeper.training.networks import build
from gatekeeper.training.noise import add_noise, from_grid
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.sampling import batches
from gatekeeper.training.secret_stream import GENERATOR_NAME, SecretStream
from gatekeeper.training.views import Views, ViewSource

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """A trained network and the record of how.

    Attributes:
        network: in evaluation mode; takes pixel values in [0, 1].
        record: what ran.
    """

    network: nn.Module
    record: TrainingRecord


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over every tensor of the network's state: name, type, shape and bytes, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def train(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    data: UnitImages,
    on_step: Progress,
) -> TrainedModel:
    """Train with DP-SGD: each step adds noise N(0, (σC)²) to the sum of clipped per-unit gradients.

    Sums and noise are whole multiples of a power of two, added exactly, so that the step is a rounding of the
    Gaussian mechanism and of nothing less. An empty batch adds noise and counts like any other (Abadi et al. 2016).

    Args:
        candidate: network and recipe.
        plan: mechanism, clipping norm and divisor.
        card: image shape and classes.
        data: the training units.
        on_step: told the number of steps done after each one.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly; raised before the first step.
        DivergedError: a gradient or a weight is not finite.
    """
    began = time.monotonic()
    spec, mechanism = candidate.training, plan.mechanism
    network = build(candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    grid = grid_of(plan, units=data.units, parameters=parameters)
    gradients = engine(network, candidate=candidate, card=card)
    weights = MasterWeights(network, spec=spec, steps=mechanism.steps)
    noise = SecretStream()
    steps = 0
    for batch in _batches(candidate, plan, data):
        noisy = add_noise(gradients.clipped_sum(batch, grid=grid), grid=grid, stream=noise)
        steps += 1
        weights.update([sum_ / plan.divisor for sum_ in from_grid(noisy, grid=grid)])
        on_step(steps)
    gradients.close()
    weights.release()
    _check_finite(network)
    record = TrainingRecord(
        mechanism=dataclasses.replace(mechanism, steps=steps),
        clipping_norm=plan.clipping_norm,
        divisor=plan.divisor,
        parameters=parameters,
        weights_digest=weights_digest(network),
        noise_generator=GENERATOR_NAME,
        arithmetic=f"sums and noise are whole multiples of 2^{grid.exponent}; {isolation.statement(gradients)}",
        device="cpu",
        seconds=round(time.monotonic() - began, 3),
        software=software(),
    )
    return TrainedModel(network=network.eval(), record=record)


def grid_of(plan: TrainingPlan, *, units: int, parameters: int) -> Grid:
    """The grid of a plan's sums: see `choose_grid`, whose errors it raises."""
    return choose_grid(
        noise_multiplier=plan.mechanism.noise_multiplier,
        clipping_norm=plan.clipping_norm,
        units=units,
        block=BLOCK,
        parameters=parameters,
    )


def engine(network: nn.Module, *, candidate: Candidate, card: DatasetCard) -> ClippingEngine:
    """What computes the candidate's clipped sums: see `isolated_engine`, whose errors it raises."""
    spec = candidate.training
    return isolation.isolated_engine(
        network,
        views=spec.views,
        physical_batch=spec.physical_batch,
        expected_batch=spec.expected_batch,
        image_shape=card.image_shape,
        targets=lambda views, generator: torch.randint(len(card.classes), (views,), generator=generator),
        loss=cross_entropy,
    )


def train_twin(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    data: UnitImages,
    on_step: Progress,
) -> nn.Module:
    """The non-private twin: the same network, sampling, views, divisor and schedule, without clipping or noise.

    It lies outside the differential-privacy claim: only its accuracy is ever used. The arguments and errors
    are those of `train`.
    """
    spec = candidate.training
    network = build(
        candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed, task=card.task
    )
    weights = MasterWeights(network, spec=spec, steps=plan.mechanism.steps)
    parameters = [p for p in network.parameters() if p.requires_grad]
    loss_per_view = loss_of(spec, card.task)
    for step, batch in enumerate(_batches(candidate, plan, data), start=1):
        total = [torch.zeros(p.shape, dtype=torch.float64) for p in parameters]
        for start in range(0, len(batch.targets), spec.physical_batch):
            chunk = slice(start, start + spec.physical_batch)
            loss = loss_per_view(network(batch.images[chunk]), batch.targets[chunk]).sum()
            for sum_, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                sum_ += gradient.double()
        weights.update([sum_ / (plan.divisor * spec.views) for sum_ in total])
        on_step(step)
    weights.release()
    _check_finite(network)
    return network.eval()


def _batches(candidate: Candidate, plan: TrainingPlan, data: UnitImages) -> Iterator[Views]:
    """The views of each step's units."""
    spec = candidate.training
    source = ViewSource(data, views=spec.views, augmentation=spec.augmentation, seed=spec.seed)
    drawn: Iterator[NDArray[np.int64]] = batches(plan.mechanism, units=data.units, stream=SecretStream())
    for step, units in enumerate(drawn):
        yield source.draw(step, units)


def _check_finite(network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise DivergedError(f"the trained weights {name} are not finite", hint="lower the learning rate")


def software() -> tuple[Software, ...]:
    """What the training ran on."""
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opacus": opacus.__version__,
        "numpy": np.__version__,
    }
    return tuple(Software(name=name, version=version) for name, version in versions.items())
