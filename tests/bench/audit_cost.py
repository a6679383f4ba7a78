"""What the audit costs: beside the training whose model it judges, and as images and units grow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gatekeeper import data
from gatekeeper.audit.attacks import run_attacks
from gatekeeper.audit.gaussian_images import draw
from gatekeeper.config.candidate import load_candidate
from gatekeeper.config.policy import load_policy
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.data_spec import PhantomSpec
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.risk import Similarity
from gatekeeper.pipeline.matching import TRIALS, match_candidates
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.privacy import participations
from gatekeeper.training import train
from tests.bench.audit_results import CostResult, GrowthRow
from tests.bench.rounds import Clock, Run, seconds
from tests.bench.training_results import spread
from tests.tiny import tiny_plan, tiny_units

ROOT = Path(__file__).parent.parent.parent
_EPOCHS = 2

# Channels and side of the images, and units, of which all are attacked and as many trained on; the first is the base.
_PIXELS, _UNITS_THERE = ((1, 16), (1, 32), (1, 64), (3, 64), (3, 128)), 200
_UNITS, _SHAPE_THERE = (100, 200, 400, 800), (1, 32)
_HELD_OUT = 100
_QUICK_PIXELS, _QUICK_UNITS = ((1, 8), (1, 16)), (60, 120)


def _small(candidate: Candidate) -> Candidate:
    """The same kind of run in a few seconds."""
    return dataclasses.replace(
        candidate,
        data=dataclasses.replace(candidate.data, image_size=(16, 16), phantom=PhantomSpec(patients=60, seed=1)),
        model=ModelSpec(network="mlp", width=8),
        training=dataclasses.replace(candidate.training, epochs=4),
    )


def cost(*, rounds: int, quick: bool, clock: Clock) -> CostResult:
    """The audit of policies/demo.yaml on examples/lesions.yaml: training, attacks and matching in turn.

    The training is measured for a few epochs and scaled by the number of steps; setting it up counts as often.
    """
    candidate, policy = load_candidate(ROOT / "examples/lesions.yaml"), load_policy(ROOT / "policies/demo.yaml")
    candidate = _small(candidate) if quick else candidate
    dataset = data.load(candidate.data)
    card = dataset.card(salt=bytes(32))
    plan = make_plan(candidate, policy, card)
    short = dataclasses.replace(candidate, training=dataclasses.replace(candidate.training, epochs=_EPOCHS))
    an_epoch = candidate.training.steps_per_epoch(card.train_units)
    few, steps = _EPOCHS * an_epoch, candidate.training.epochs * an_epoch
    short_plan = dataclasses.replace(plan, mechanism=dataclasses.replace(plan.mechanism, steps=few), resume_allowance=0)

    def training() -> object:
        return train(candidate=short, plan=short_plan, card=card, data=dataset.train, on_step=lambda _: None)

    def attacks() -> object:
        draw.cache_clear()  # an audit is the only one of its process
        return run_attacks(
            similarities=tuple(dict.fromkeys(rule.similarity for rule in policy.risk_rules if rule.similarity)),
            train=dataset.train,
            held_out=dataset.test,
            participations=participations(plan.mechanism),
            mechanism=plan.mechanism,
            clipping_norm=plan.clipping_norm,
            audit=policy.audit,
            progress=lambda _: None,
        )

    def matching() -> object:
        return match_candidates(
            candidate=candidate, plan=plan, card=card, data=dataset.train, trials=8 if quick else TRIALS
        )

    arms: dict[str, Run] = {"training": training, "attacks": attacks, "matching": matching}
    took = {
        name: np.array(found) for name, found in seconds(arms, rounds=rounds, clock=clock, warm_up=not quick).items()
    }
    whole = took["training"] * steps / few
    return CostResult(
        candidate=candidate.name,
        train_units=card.train_units,
        audited_units=min(policy.audit.units, card.train_units),
        rounds=rounds,
        steps=steps,
        measured_steps=few,
        training_seconds=spread(whole.tolist()),
        attacks_over_training=spread((took["attacks"] / whole).tolist()),
        matching_over_training=spread((took["matching"] / whole).tolist()),
    )


def growth(*, rounds: int, quick: bool, clock: Clock) -> Iterator[GrowthRow]:
    """The simulated attacks' seconds at rising N, then at rising numbers of units, over those of the smallest."""
    there = _QUICK_UNITS[0] if quick else _UNITS_THERE
    shapes = _QUICK_PIXELS if quick else _PIXELS
    by_pixels = {channels * side**2: (channels, side, there) for channels, side in shapes}
    shape = _QUICK_PIXELS[0] if quick else _SHAPE_THERE
    by_units = {units: (*shape, units) for units in (_QUICK_UNITS if quick else _UNITS)}
    for varied, settings in (("pixels", by_pixels), ("units", by_units)):
        arms = {str(size): _attacks(*setting) for size, setting in settings.items()}
        took = {
            int(size): np.array(found)
            for size, found in seconds(arms, rounds=rounds, clock=clock, warm_up=not quick).items()
        }
        smallest = min(settings)
        for size, (channels, side, units) in settings.items():
            yield GrowthRow(
                varied=varied,
                pixels=channels * side**2,
                units=units,
                size_ratio=size / smallest,
                cost_ratio=spread((took[size] / took[smallest]).tolist()),
            )


def _attacks(channels: int, side: int, units: int) -> Run:
    train_units = tiny_units(units=units, most_images=1, side=side, channels=channels)
    held_out = tiny_units(units=_HELD_OUT, most_images=1, side=side, channels=channels, seed=1)
    mechanism = tiny_plan().mechanism
    audit = AuditTerms(units=units, worst_units=0, noise_draws=1, min_positive_control=0.9, max_negative_control=0.05)

    def run() -> object:
        draw.cache_clear()
        return run_attacks(
            similarities=(Similarity(above_null=0.9),),
            train=train_units,
            held_out=held_out,
            participations=participations(mechanism),
            mechanism=mechanism,
            clipping_norm=1.0,
            audit=audit,
            progress=lambda _: None,
            rng=np.random.default_rng(0),
            generator=torch.Generator().manual_seed(0),
        )

    return run
