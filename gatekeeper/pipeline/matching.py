"""Attack D on the code that trained: the run's own step, at a noise where the proven bound can be contradicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.checks import check_integer
from gatekeeper.core.code import CodeFile
from gatekeeper.core.identification import CANDIDATES, TRIALS, Identification, candidates_among
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.units import UnitImages

if TYPE_CHECKING:
    import torch

# Chance is 1 in 16, and no attack on the mechanism has more than 60 %. Among orthogonal gradients the best one has
# 52 %, at half the noise 95 %. At the confidence of a contradiction 400 trials tell 72 % from 60 %.
_POWER, _STEPS = 0.6, 2


def match_candidates(
    *,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    data: UnitImages,
    network: torch.nn.Module | None = None,
    allow_code: tuple[CodeFile, ...] = (),
    device: torch.device | None = None,
    candidates: int | None = None,
    trials: int = TRIALS,
    progress: Callable[[int], None] = lambda trials: None,
) -> tuple[Identification, ...]:
    """How often attackers who know all but the target pick it among candidates, from sums of the run's own code.

    Args:
        candidate: network and recipe.
        plan: the run's, whose clipping, sampling and divisor are kept; noise, rate and steps are the audit's.
        card: image shape and classes.
        data: the training units.
        network: whose weights are taken; None takes the initial ones, where gradients are long and the clip binds.
        allow_code: the candidate's own code that the policy allows.
        device: where the steps are taken; None is the CPU.
        candidates: n, at least 2; None takes `CANDIDATES`, or half the units where there are fewer.
        trials: at least 1.
        progress: hears how many trials are done since it last heard.

    Raises:
        DataError: fewer units than candidates.
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        InvalidValueError: an argument is out of its range.
    """
    from gatekeeper.audit.attacks.matching import COMPANIONS, match
    from gatekeeper.privacy import identification_power
    from gatekeeper.training.audited import ProductionStep

    candidates = candidates_among(data.units, most=CANDIDATES) if candidates is None else candidates
    mechanism = audit_mechanism(plan.mechanism, candidates=candidates)
    step = ProductionStep(
        candidate=candidate,
        plan=plan,
        mechanism=mechanism,
        card=card,
        data=data,
        network=network,
        allow_code=allow_code,
        device=device,
    )
    power = identification_power(mechanism, prior_success=1 / candidates)
    return match(
        step,
        units=data.units,
        mechanism=mechanism,
        power=power,
        trials=trials,
        companions=min(COMPANIONS, max(0, data.units - candidates)),
        progress=progress,
    )


def audit_mechanism(run: Mechanism, *, candidates: int) -> Mechanism:
    """The run's mechanism with every unit in every step, few steps, and the noise at which γ(1/n) is 60 %.

    Args:
        run: whose kind of sampling, adjacency, unit and slack are kept.
        candidates: n, at least 2.

    Raises:
        InvalidValueError: there are fewer candidates.
    """
    from gatekeeper.privacy.auditable import noise_for_power

    check_integer(candidates=candidates, at_least=2)
    relative = noise_for_power(_POWER, prior_success=1 / candidates, steps=_STEPS)
    return dataclasses.replace(
        run, sampling_rate=1.0, noise_multiplier=relative * (1 + run.sensitivity_slack), steps=_STEPS
    )
