"""What the other processes of a training do: sums of their units, for the first process, on its weights."""

from __future__ import annotations

import dataclasses

import torch

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.units import UnitImages
from gatekeeper.training.distributed import GroupRank
from gatekeeper.training.loop import settled_digest
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.subject import subject_of


def assist(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    data: UnitImages,
    ranks: GroupRank,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
) -> Mechanism:
    """Take part in the training that the first process runs by `train`. Nothing is drawn, decided or written here.

    Args:
        candidate: network and recipe.
        plan: mechanism, clipping norm and divisor.
        card: image shape and classes.
        data: the training units.
        ranks: this process among the others.
        allow_code: the candidate's own code that the policy allows.
        device: where; None is the CPU.

    Returns:
        The mechanism that ran, as the first process has counted it.

    Raises:
        KeyboardInterrupt: somebody asked the first process to stop.
        ProcessLostError: another of the processes ended, or doesn't answer.
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        DivergedError: a gradient or a weight is not finite.
    """
    subject = subject_of(candidate, card, data=data, allow_code=allow_code, device=device)
    engine = subject.engine(candidate, ranks=ranks)
    release = NoisyMean(plan, engine=engine, units=data.units, parameters=subject.parameters)
    release.follow_first(ranks)
    ranks.copy_first(subject.trainable)
    source = subject.source(data, candidate)
    for told in ranks.told():
        release.assist(source.draw(told.step, engine.own(told.units)))
        release.follow_first(ranks)
        ranks.copy_first(subject.trainable)
    engine.close()
    settled_digest(subject, ranks)
    return dataclasses.replace(plan.mechanism, steps=ranks.first(0))
