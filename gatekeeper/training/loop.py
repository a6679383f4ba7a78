"""The training loop. It counts the noisy sums that it forms and returns the mechanism that really ran."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch
from torch import nn

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.precision import Precision
from gatekeeper.core.record import DatasetCard, Software, TrainingPlan, TrainingRecord
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping.rounding import SLACK
from gatekeeper.training.devices import name_of
from gatekeeper.training.distributed import LoneRank
from gatekeeper.training.lifeline import Lifeline
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.sampling import batches
from gatekeeper.training.secret_stream import GENERATOR_NAME, SecretStream
from gatekeeper.training.step import NoisyStep
from gatekeeper.training.subject import Subject, subject_of

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """A trained network and the record of how.

    Attributes:
        network: in evaluation mode, on the CPU; takes pixel values in [0, 1].
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
    allow_code: tuple[CodeFile, ...] = (),
    lifeline: Lifeline | None = None,
    ranks: LoneRank | None = None,
    device: torch.device | None = None,
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
        allow_code: the candidate's own code that the policy allows.
        lifeline: where the training goes on from, and what keeps it going; None keeps nothing.
        ranks: this process as the first of those that train together, whose others `assist`; None trains alone.
        device: where; None is the CPU.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly; raised before the first step.
        DivergedError: a gradient or a weight is not finite.
        KeyboardInterrupt: somebody asked to stop; the lifeline has kept what to go on from.
        ProcessLostError: another of the processes ended, or doesn't answer.
    """
    lifeline, ranks, device = lifeline or Lifeline.unkept(plan), ranks or LoneRank(), device or torch.device("cpu")
    subject = subject_of(candidate, card, data=data, allow_code=allow_code, device=device)
    engine = subject.engine(candidate, ranks=ranks)
    source = subject.source(data, candidate)
    noisy = NoisyStep(plan, engine=engine, source=source, units=data.units, parameters=subject.parameters)
    release = noisy.release
    weights = MasterWeights(subject.network, spec=candidate.training, steps=plan.steps)
    lifeline.restore(weights, release)
    release.follow_first(ranks)
    ranks.copy_first(subject.trainable)
    drawn = batches(plan.mechanism, units=data.units, stream=SecretStream(), start=lifeline.begun, deal=lifeline.deal)
    try:
        # The steps come first: `zip` must not draw a batch that no step uses. There may be more batches than steps.
        for step, units in zip(range(lifeline.step, plan.steps), drawn, strict=False):
            lifeline.begin()
            ranks.tell(step, units)
            weights.update(noisy.of(step, units))
            release.follow_first(ranks)
            ranks.copy_first(subject.trainable)
            lifeline.done(weights, release)
            on_step(lifeline.step)
    except KeyboardInterrupt:
        ranks.end(stopped=True)
        raise
    ranks.end()
    engine.close()
    weights.release()
    digest = settled_digest(subject, ranks)
    ranks.first(lifeline.begun)
    record = TrainingRecord(
        mechanism=dataclasses.replace(plan.mechanism, steps=lifeline.begun),
        redone_steps=lifeline.redone,
        starts=lifeline.starts,
        clipping_norm=plan.clipping_norm,
        divisor=plan.divisor,
        parameters=subject.parameters,
        weights_digest=digest,
        noise_generator=GENERATOR_NAME,
        arithmetic=_arithmetic(release, isolation.statement(engine), precision=candidate.training.precision),
        device=name_of(device, count=ranks.count),
        seconds=lifeline.seconds,
        software=software(),
        provenance=subject.network.provenance,
        clipping=plan.clipping,
        precision=candidate.training.precision,
        adaptation=release.adaptation(),
    )
    return TrainedModel(network=subject.network.cpu().eval(), record=record)


def settled_digest(subject: Subject, ranks: LoneRank) -> str:
    """The digest of the released weights, which every process holds by now.

    Raises:
        DivergedError: a weight is not finite.
        InternalError: the processes hold different weights.
    """
    ranks.copy_first(subject.trainable)
    check_finite(subject.network)
    digest = weights_digest(subject.network)
    ranks.check_alike(digest)
    return digest


def _arithmetic(release: NoisyMean, isolated: str, *, precision: Precision) -> str:
    if precision != "float32":
        isolated += f"; what layers see and send back is {precision}"
    return (
        f"sums and noise are whole multiples of {release.spacing}; float32 rounding within a block of units "
        f"adds at most η = {SLACK!r} to what one unit changes, for which the clipping leaves room; {isolated}"
    )


def check_finite(network: nn.Module) -> None:
    """Refuse trained weights that are not finite."""
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise DivergedError(f"the trained weights {name} are not finite", hint="lower the learning rate")


def software() -> tuple[Software, ...]:
    """What the training ran on."""
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opacus": metadata.version("opacus"),  # imported only where a layer needs it: that takes seconds
        "numpy": np.__version__,
    }
    return tuple(Software(name=name, version=version) for name, version in versions.items())
