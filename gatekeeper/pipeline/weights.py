"""Attacks on the released model, for rules on the adversary who has nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import WEIGHTS_ATTACKS, AttackName
from gatekeeper.core.candidate import AugmentationSpec, Candidate
from gatekeeper.core.data_spec import Task
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.risk import NullCalibration, Similarity
from gatekeeper.core.weights_only import CONTROL_IMAGES, unfit
from gatekeeper.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from gatekeeper.audit.attacks.weights_attacks import ClassInversion, Released, Stationarity
    from gatekeeper.audit.attacks.weights_audit import WeightsOutcome
    from gatekeeper.data.dataset import Dataset, Units
    from gatekeeper.pipeline.production import Progress

# Of the control's training, every one on all its units: enough to bring the recipe to rest on so few.
CONTROL_STEPS = 2000


def check_weights_attacks(policy: Policy, candidate: Candidate, *, task: Task) -> None:
    """Refuse a rule that names an attack which can't be made on the candidate's network.

    Raises:
        InvalidInputError: there is such a rule.
    """
    for rule in policy.risk_rules:
        for attack in rule.attacks or ():
            reason = unfit(attack, model=candidate.model, task=task) if attack in WEIGHTS_ATTACKS else None
            if reason is not None:
                raise InvalidInputError(
                    f"rule {rule.id}: attack {attack} can't be made on this model: {reason}",
                    where="model",
                    hint=f"train another network, or leave rule {rule.id} out of the policy of such models: what their "
                    "weights give away is then not measured, and the report says so",
                )


def too_few_images(policy: Policy, card: DatasetCard) -> tuple[str, ...]:
    """Rules on the released weights that no attack could fail, because it hands in too few images."""
    candidates = policy.audit.weights_only.candidates
    return tuple(
        f"rule {rule.id} allows {rule.maximum:g} of {card.train_units} units, and its attacks hand in {candidates} "
        f"images, {CONTROL_IMAGES} for each unit at best: they could hardly fail it; set "
        f"audit.weights_only.candidates above {int(CONTROL_IMAGES * rule.maximum * card.train_units)}"
        for rule in policy.risk_rules
        if not rule.adversary.has_bound and candidates <= CONTROL_IMAGES * rule.maximum * card.train_units
    )


def attack_weights(
    asked: dict[AttackName, tuple[Similarity, ...]],
    *,
    policy: Policy,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    network: torch.nn.Module,
    progress: Progress,
    known: tuple[NullCalibration, ...] = (),
) -> tuple[WeightsOutcome, ...]:
    """Every attack on the released model that rules name, by their definitions of success.

    Args:
        asked: the attacks, each with its definitions.
        policy: says how hard to look.
        candidate: network and recipe.
        plan: the run's.
        card: image shape and classes.
        dataset: training and held-out units.
        network: the trained one, as it is released.
        progress: draws what is going on.
        known: nulls of other attacks, which serve where they are of as many candidates.
    """
    from gatekeeper.audit.attacks.weights_audit import run_weights_attack

    found: list[WeightsOutcome] = []
    for name, similarities in asked.items():
        attack = _made(name, policy=policy, candidate=candidate, plan=plan, card=card, dataset=dataset, network=network)
        total = attack.steps() + (CONTROL_STEPS if name == "stationarity" else 0)
        progress.begin(f"attacking the weights ({name})", total)
        found += run_weights_attack(
            attack,
            similarities=similarities,
            train=dataset.train,
            held_out=dataset.test,
            audit=policy.audit,
            progress=progress.advance,
            known=(*known, *_nulls(found)),
        )
    return tuple(found)


def _nulls(found: list[WeightsOutcome]) -> tuple[NullCalibration, ...]:
    return tuple(each.null for each in found)


def _made(
    name: AttackName,
    *,
    policy: Policy,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    network: torch.nn.Module,
) -> Stationarity | ClassInversion:
    from gatekeeper.audit.attacks.analytic import fresh_generator
    from gatekeeper.audit.attacks.weights_attacks import ClassInversion, Released, Stationarity
    from gatekeeper.training.networks import build

    search = policy.audit.weights_only

    def released(initial: torch.nn.Module) -> Released:
        return Released(network=network, initial=initial, image_shape=card.image_shape, classes=len(card.classes))

    if name == "class-inversion":
        return ClassInversion(
            released=released(network), search=search, held_out=dataset.test, generator=fresh_generator()
        )
    initial = build(
        candidate.model, image_shape=card.image_shape, classes=len(card.classes), seed=candidate.training.seed
    )
    return Stationarity(
        released=released(initial.eval()),
        search=search,
        held_out=dataset.test,
        noiseless=NoiselessRecipe(candidate=candidate, plan=plan, card=card, data=dataset.test),
        generator=fresh_generator(),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoiselessRecipe:
    """The candidate's network and optimizer on a few units alone, all of them in every step, without clipping or noise.

    Attributes:
        candidate: network and recipe.
        plan: the run's, of which the control's is made.
        card: image shape and classes.
        data: the units to choose from.
    """

    candidate: Candidate
    plan: TrainingPlan
    card: DatasetCard
    data: Units

    def network(self, units: NDArray[np.int64], progress: Callable[[int], None]) -> torch.nn.Module:
        """See `NoiselessTraining`."""
        from gatekeeper.data.selection import chosen
        from gatekeeper.training import train_twin

        size = len(units)
        recipe = dataclasses.replace(
            self.candidate.training,
            epochs=CONTROL_STEPS,
            expected_batch=size,
            views=1,
            augmentation=AugmentationSpec(),
            ema=None,
            resume_allowance=0,
        )
        mechanism = dataclasses.replace(
            self.plan.mechanism, sampling="balls-and-bins", sampling_rate=1.0, steps=CONTROL_STEPS
        )
        return train_twin(
            candidate=dataclasses.replace(self.candidate, training=recipe),
            plan=dataclasses.replace(self.plan, mechanism=mechanism, divisor=size, resume_allowance=0),
            card=self.card,
            data=chosen(self.data, units),
            on_step=lambda step: progress(1),
        )
