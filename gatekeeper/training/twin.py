"""The non-private twin: what the same recipe reaches without clipping and noise."""

from __future__ import annotations

import torch
from torch import nn

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.units import UnitImages
from gatekeeper.training.loop import Progress, check_finite
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.precision import computing
from gatekeeper.training.sampling import batches
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.subject import subject_of


def train_twin(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    data: UnitImages,
    on_step: Progress,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> nn.Module:
    """The same network, precision, sampling, views, divisor and schedule, without clipping or noise.

    It lies outside the differential-privacy claim: only its accuracy is ever used. The arguments and errors
    are those of `train`.
    """
    spec = candidate.training
    subject = subject_of(candidate, card, data=data, allow_code=allow_code, device=device)
    weights = MasterWeights(subject.network, spec=spec, steps=plan.steps)
    parameters = [p for p in subject.network.parameters() if p.requires_grad]
    source = subject.source(data, candidate)
    drawn = batches(plan.mechanism, units=data.units, stream=SecretStream())
    for step, units in zip(range(plan.steps), drawn, strict=False):
        batch = source.draw(step, units)
        total = [torch.zeros(p.shape, dtype=torch.float64, device=p.device) for p in parameters]
        for start in range(0, len(batch.targets), spec.physical_batch):
            chunk = slice(start, start + spec.physical_batch)
            with computing(spec.precision, batch.images.device):
                outputs = subject.trained(batch.images[chunk])
            loss = subject.loss(outputs, batch.targets[chunk]).sum()
            for sum_, gradient in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                sum_ += gradient.double()
        weights.update([sum_ / (plan.divisor * spec.views) for sum_ in total])
        on_step(step + 1)
    weights.release()
    check_finite(subject.network)
    return subject.network.cpu().eval()
