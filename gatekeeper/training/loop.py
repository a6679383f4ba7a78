"""The training loop. It counts the noisy sums that it forms and returns the mechanism that really ran."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import opacus
import torch
from torch import nn
from torch.nn import functional

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.record import DatasetCard, Software, TrainingPlan, TrainingRecord
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping.per_unit import PerUnitGradients
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.lifeline import Lifeline
from gatekeeper.training.networks import build
from gatekeeper.training.noise import add_noise, from_grid
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.sampling import Deal, batches, deal_anew
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
    lifeline: Lifeline | None = None,
) -> TrainedModel:
    """Train with DP-SGD: each step adds noise N(0, (σC)²) to the sum of clipped per-unit gradients.

    Sums and noise are whole multiples of a power of two, added exactly, so that the step is a rounding of the
    Gaussian mechanism and of nothing less. An empty batch adds noise and counts like any other (Abadi et al. 2016).

    Args:
        candidate: network and recipe.
        plan: mechanism, clipping norm and divisor.
        card: image shape and classes.
        data: the training units.
        on_step: told the number of the recipe's steps done after each one.
        lifeline: where the training goes on from, and what keeps it going; None keeps nothing.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly; raised before the first step.
        DivergedError: a gradient or a weight is not finite.
        KeyboardInterrupt: somebody asked to stop; the lifeline has kept what to go on from.
    """
    lifeline = lifeline or Lifeline.unkept(plan)
    spec, mechanism = candidate.training, plan.mechanism
    network = build(candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    grid = grid_of(plan, units=data.units, parameters=parameters)
    gradients = engine(network, candidate=candidate, card=card)
    weights = MasterWeights(network, spec=spec, steps=plan.steps)
    lifeline.restore(weights)
    noise = SecretStream()
    steps = range(lifeline.step, plan.steps)
    for batch in _batches(candidate, mechanism, data, steps=steps, start=lifeline.begun, deal=lifeline.deal):
        lifeline.begin()
        noisy = add_noise(gradients.clipped_sum(batch, grid=grid), grid=grid, stream=noise)
        weights.update([sum_ / plan.divisor for sum_ in from_grid(noisy, grid=grid)])
        lifeline.done(weights)
        on_step(lifeline.step)
    gradients.close()
    weights.release()
    _check_finite(network)
    record = TrainingRecord(
        mechanism=dataclasses.replace(mechanism, steps=lifeline.begun),
        redone_steps=lifeline.redone,
        starts=lifeline.starts,
        clipping_norm=plan.clipping_norm,
        divisor=plan.divisor,
        parameters=parameters,
        weights_digest=weights_digest(network),
        noise_generator=GENERATOR_NAME,
        arithmetic=f"sums and noise are whole multiples of 2^{grid.exponent}; {isolation.statement(gradients)}",
        device="cpu",
        seconds=lifeline.seconds,
        software=software(),
    )
    return TrainedModel(network=network.eval(), record=record)


def grid_of(plan: TrainingPlan, *, units: int, parameters: int) -> Grid:
    """The grid of a plan's sums: see `choose_grid`, whose errors it raises."""
    return choose_grid(
        noise_multiplier=plan.mechanism.noise_multiplier,
        clipping_norm=plan.clipping_norm,
        units=units,
        parameters=parameters,
    )


def engine(network: nn.Module, *, candidate: Candidate, card: DatasetCard) -> PerUnitGradients:
    """What computes the candidate's per-unit gradients: see `isolated_gradients`, whose errors it raises."""
    spec = candidate.training
    return isolation.isolated_gradients(
        network,
        views=spec.views,
        physical_batch=spec.physical_batch,
        expected_batch=spec.expected_batch,
        image_shape=card.image_shape,
        classes=len(card.classes),
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
    network = build(candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=spec.seed)
    weights = MasterWeights(network, spec=spec, steps=plan.steps)
    parameters = [p for p in network.parameters() if p.requires_grad]
    for step, batch in enumerate(_batches(candidate, plan.mechanism, data, steps=range(plan.steps)), start=1):
        total = [torch.zeros(p.shape, dtype=torch.float64) for p in parameters]
        for start in range(0, len(batch.labels), spec.physical_batch):
            chunk = slice(start, start + spec.physical_batch)
            loss = functional.cross_entropy(network(batch.images[chunk]), batch.labels[chunk], reduction="sum")
            for sum_, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                sum_ += gradient.double()
        weights.update([sum_ / (plan.divisor * spec.views) for sum_ in total])
        on_step(step)
    weights.release()
    _check_finite(network)
    return network.eval()


def _batches(
    candidate: Candidate,
    mechanism: Mechanism,
    data: UnitImages,
    *,
    steps: range,
    start: int = 0,
    deal: Deal = deal_anew,
) -> Iterator[Views]:
    """The views of each step's units: batches from number `start` on, for the recipe's `steps`."""
    spec = candidate.training
    source = ViewSource(data, views=spec.views, augmentation=spec.augmentation, seed=spec.seed)
    drawn = batches(mechanism, units=data.units, stream=SecretStream(), start=start, deal=deal)
    # The steps come first: `zip` must not draw a batch that no step uses. There may be more batches than steps.
    for step, units in zip(steps, drawn, strict=False):
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
