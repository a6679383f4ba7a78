"""The attacks of a run: on its mechanism always, on its own code by candidates always and otherwise where rules ask."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import ONE_STEP, PAPER_ATTACKS, WEIGHTS_ATTACKS, WEIGHTS_ONLY, Adversary, AttackName
from gatekeeper.core.candidate import AugmentationSpec, Candidate
from gatekeeper.core.identification import (
    CANDIDATES,
    CANDIDATES_OF_LARGE,
    TRIALS,
    Identification,
    candidates_among,
)
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.risk import AttackOutcome, AttackReport, NullCalibration, Similarity
from gatekeeper.pipeline.matching import match_candidates
from gatekeeper.pipeline.weights import attack_weights

if TYPE_CHECKING:
    import torch

    from gatekeeper.audit.attacks.imprint_audit import ImprintOutcome
    from gatekeeper.audit.attacks.weights_audit import WeightsOutcome
    from gatekeeper.data.dataset import Dataset
    from gatekeeper.pipeline.production import Progress
    from gatekeeper.training import LoneRank


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Target:
    """What is attacked.

    Attributes:
        policy: names the definitions of success and the attacks, and says how hard to look.
        candidate: network and recipe.
        plan: the run's.
        card: image shape, classes and task.
        mechanism: the one that ran.
        dataset: training and held-out units.
        network: the trained one, which only the first of several processes has: attacks on its weights are its alone.
        device: where the run's own code runs.
        ranks: the processes that share out the units.
    """

    policy: Policy
    candidate: Candidate
    plan: TrainingPlan
    card: DatasetCard
    mechanism: Mechanism
    dataset: Dataset
    network: torch.nn.Module | None
    device: torch.device
    ranks: LoneRank


def attack(target: Target, progress: Progress) -> AttackReport:
    """Simulate attacks for every realistic adversary, and run those on the run's own code that rules name."""
    from gatekeeper.audit.attacks import attacked_units, run_attacks
    from gatekeeper.privacy import participations

    policy, data = target.policy, target.dataset
    similarities = similarities_of(policy)
    total = attacked_units(similarities=similarities, train_units=data.train.units, audit=policy.audit)
    progress.begin("attacking", total)
    report = run_attacks(
        similarities=similarities,
        train=data.train,
        held_out=data.test,
        participations=participations(target.mechanism),
        mechanism=target.mechanism,
        clipping_norm=target.plan.clipping_norm,
        audit=policy.audit,
        progress=progress.advance,
        ranks=target.ranks,
    )
    imprinted: list[ImprintOutcome] = []
    for name in PAPER_ATTACKS:
        imprinted += _imprint(target, name, progress, known=tuple(found.null for found in imprinted))
    inverted = _inversion(target, report, progress)
    read = _weights(target, progress, known=tuple(found.null for found in imprinted))
    nulls = dict.fromkeys((*report.nulls, *(found.null for found in imprinted), *(found.null for found in read)))
    outcomes = (
        *report.outcomes,
        *(found.outcome for found in imprinted),
        *inverted,
        *(found.outcome for found in read),
    )
    return dataclasses.replace(report, nulls=tuple(nulls), outcomes=outcomes)


def _imprint(
    target: Target, name: AttackName, progress: Progress, *, known: tuple[NullCalibration, ...]
) -> list[ImprintOutcome]:
    """Attack A′ by one kind of planted rows, for each adversary that a rule wants it for."""
    from gatekeeper.audit.attacks.imprint_audit import imprint
    from gatekeeper.privacy import participations
    from gatekeeper.training.planted_step import PlantedStep

    data = target.dataset
    found: list[ImprintOutcome] = []
    for adversary, similarities in asked_for(target.policy, name).items():
        step = PlantedStep(
            candidate=unaugmented(target.candidate),
            plan=target.plan,
            card=target.card,
            train=data.train,
            held_out=data.test,
            # A batch of one isolates everybody; rows are placed for two at least.
            batch=max(2, min(target.candidate.training.expected_batch, ROWS)),
            rows=ROWS,
            flavour="bins" if name == "imprint-bins" else "trap",
            allow_code=target.policy.allow_code,
            device=target.device,
        )
        found += imprint(
            step,
            similarities=similarities,
            adversary=adversary,
            train=data.train,
            held_out=data.test,
            participations=participations(target.mechanism),
            audit=target.policy.audit,
            # Each of several processes hears of its own share.
            begin=lambda total: progress.begin(f"planting rows ({name})", -(-total // target.ranks.count)),
            progress=progress.advance,
            known=(*known, *(each.null for each in found)),
            ranks=target.ranks,
        )
        step.close()
    return found


# Rows that are planted in front of a network: more isolate more units of a batch, and each hands in an image.
ROWS = 64

# Attack D keeps two numbers of each candidate for each parameter.
LARGE = 2_000_000


def identify(target: Target, progress: Progress) -> tuple[Identification, ...]:
    """Attack D on the run's own code, at the initial weights.

    With large networks fewer candidates are matched: their sums would fill the memory.
    """
    assert target.network is not None
    large = sum(p.numel() for p in target.network.parameters()) > LARGE
    progress.begin("matching candidates", TRIALS)
    return match_candidates(
        candidate=target.candidate,
        plan=target.plan,
        card=target.card,
        data=target.dataset.train,
        allow_code=target.policy.allow_code,
        device=target.device,
        candidates=candidates_among(target.card.train_units, most=CANDIDATES_OF_LARGE if large else CANDIDATES),
        progress=progress.advance,
    )


def _inversion(target: Target, report: AttackReport, progress: Progress) -> tuple[AttackOutcome, ...]:
    """Attack B on one step of the run's own code, at the trained weights."""
    wanted = asked_for(target.policy, "inversion")
    if not wanted or target.network is None:
        return ()
    from gatekeeper.audit.attacks.analytic import fresh_generator
    from gatekeeper.audit.attacks.inversion import Search
    from gatekeeper.audit.attacks.inversion_audit import Inverter, inverted_units, run_inversion
    from gatekeeper.training.audited import ProductionStep
    from gatekeeper.training.losses import loss_of

    data, audit = target.dataset, target.policy.audit
    step = ProductionStep(
        candidate=unaugmented(target.candidate),
        plan=target.plan,
        mechanism=dataclasses.replace(target.mechanism, sampling_rate=1.0, steps=1),
        card=target.card,
        data=data.train,
        network=target.network,
        allow_code=target.policy.allow_code,
        device=target.device,
    )
    progress.begin("inverting gradients", inverted_units(train_units=data.train.units, audit=audit))
    return run_inversion(
        Inverter(
            step=step,
            network=target.network,
            loss=loss_of(target.candidate.training, target.card.task),
            search=Search(),
            generator=fresh_generator(),
        ),
        nulls=tuple(null for null in report.nulls if null.is_of(ONE_STEP) and null.similarity in wanted[ONE_STEP]),
        train=data.train,
        held_out=data.test,
        audit=audit,
        progress=progress.advance,
    )


def _weights(target: Target, progress: Progress, *, known: tuple[NullCalibration, ...]) -> tuple[WeightsOutcome, ...]:
    """Attack C on the network that is released, where rules name it."""
    asked = {name: asked_for(target.policy, name).get(WEIGHTS_ONLY, ()) for name in WEIGHTS_ATTACKS}
    asked = {name: similarities for name, similarities in asked.items() if similarities}
    if not asked or target.network is None:
        return ()
    return attack_weights(
        asked,
        policy=target.policy,
        candidate=target.candidate,
        plan=target.plan,
        card=target.card,
        dataset=target.dataset,
        network=target.network,
        progress=progress,
        known=known,
    )


def unaugmented(candidate: Candidate) -> Candidate:
    """The candidate with one view a unit, the image as it is: the strongest case for whoever reads a gradient."""
    training = dataclasses.replace(candidate.training, views=1, augmentation=AugmentationSpec())
    return dataclasses.replace(candidate, training=training)


def asked_for(policy: Policy, name: AttackName) -> dict[Adversary, tuple[Similarity, ...]]:
    """For whom rules want an attack, and by which definitions of success."""
    wanted: dict[Adversary, tuple[Similarity, ...]] = {}
    for rule in policy.risk_rules:
        if rule.similarity is not None and name in (rule.attacks or ()):
            before = wanted.get(rule.adversary, ())
            wanted[rule.adversary] = tuple(dict.fromkeys((*before, rule.similarity)))
    return wanted


def similarities_of(policy: Policy) -> tuple[Similarity, ...]:
    """The definitions of success that the policy's rules use, each once, in order."""
    return tuple(dict.fromkeys(rule.similarity for rule in policy.risk_rules if rule.similarity is not None))
