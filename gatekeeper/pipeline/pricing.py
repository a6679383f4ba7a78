"""What a run would take of this machine: timed on two steps and small probes of the audit, or guessed from these.

The probes are the audit's own code on a few units; what they find is thrown away, and nothing is trained.
"""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatekeeper.core.adversary import PAPER_ATTACKS
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.forecast import PartCost, RunCost, Span
from gatekeeper.core.identification import CANDIDATES, CANDIDATES_OF_LARGE, TRIALS, candidates_among
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.weights_only import CONTROL_UNITS
from gatekeeper.pipeline.attacking import LARGE, ROWS, asked_for, similarities_of
from gatekeeper.pipeline.matching import match_candidates
from gatekeeper.pipeline.weights import CONTROL_STEPS

if TYPE_CHECKING:
    import torch

    from gatekeeper.data.dataset import Dataset
    from gatekeeper.pipeline.production import Progress
    from gatekeeper.training.timing import MeasuredStep

# How far off an estimate may be either way: of what was timed, and of what was guessed from a training step.
_TIMED, _GUESSED = 2.0, 4.0

_PROBED_UNITS, _PROBED_WORST, _PROBED_TRIALS = 16, 4, 4

# Searches take gradients of gradients, and go back to the pixels: so many plain passes, or private ones, for each view.
_SECOND_ORDER, _TWICE = 5.0, 2.0

# Plain steps have neither clipping nor noise: they take from this share of a private step to all of it.
_TWIN_SHARE = 0.3

# float64 weights, their average and two moments, in two checkpoints; float32 weights in two ONNX files, the twin's too.
_CHECKPOINT_BYTES, _CHECKPOINTS, _MODEL_BYTES, _MODELS = 32, 2, 4, 2
_OTHER_BYTES = 5_000_000


def price(
    *,
    policy: Policy,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    device: torch.device,
    audited: bool,
    progress: Progress,
) -> RunCost:
    """Time, memory and disk of a planned run; of its audit only where there would be one.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """
    from gatekeeper import training

    progress.begin("timing a step of the training", 1)
    step = training.measure_step(candidate=candidate, plan=plan, card=card, allow_code=policy.allow_code, device=device)
    seconds = step.seconds * plan.steps
    twin = any(rule.needs_twin for rule in policy.utility_rules)
    audit = None
    if audited:
        progress.begin("timing probes of the audit", 1)
        audit = (
            _simulated(policy, plan, dataset),
            _matching(policy, candidate, plan, card, dataset, step, device=device),
            *guessed(policy, plan, card, step),
            _limits(policy, card, dataset, twin=twin),
        )
    return RunCost(
        training=Span(low=seconds, high=seconds),
        twin=Span(low=_TWIN_SHARE * seconds, high=seconds) if twin else None,
        audit=audit,
        memory_bytes=_memory_bytes(),
        gpu_memory_bytes=step.gpu_bytes,
        disk_bytes=_disk_bytes(step),
    )


def _simulated(policy: Policy, plan: TrainingPlan, dataset: Dataset) -> PartCost:
    """The simulated attacks: a probe on few units tells what comes before the first and what each takes."""
    from gatekeeper.audit.attacks import attacked_units, run_attacks
    from gatekeeper.privacy import participations

    similarities, audit, units = similarities_of(policy), policy.audit, dataset.train.units
    small = dataclasses.replace(
        audit, units=min(audit.units, _PROBED_UNITS), worst_units=min(audit.worst_units, _PROBED_WORST), noise_draws=1
    )
    heard: list[tuple[float, int]] = []
    began = time.monotonic()
    run_attacks(
        similarities=similarities,
        train=dataset.train,
        held_out=dataset.test,
        participations=participations(plan.mechanism),
        mechanism=plan.mechanism,
        clipping_norm=plan.clipping_norm,
        audit=small,
        progress=lambda attacked: heard.append((time.monotonic() - began, attacked)),
    )
    before = heard[0][0]
    each = (time.monotonic() - began - before) / max(1, sum(attacked for _, attacked in heard[1:]))
    attacks = each * attacked_units(similarities=similarities, train_units=units, audit=audit)
    # What comes first is calibration, and modules that are loaded once: in the run they may be there already.
    return _timed("simulated attacks", low=attacks, high=before + attacks)


def _matching(
    policy: Policy,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    step: MeasuredStep,
    *,
    device: torch.device,
) -> PartCost:
    """Candidate matching: its preparation, and the time from one of a few trials to the next."""
    heard: list[float] = []
    began = time.monotonic()
    match_candidates(
        candidate=candidate,
        plan=plan,
        card=card,
        data=dataset.train,
        allow_code=policy.allow_code,
        device=device,
        candidates=candidates_among(
            card.train_units, most=CANDIDATES_OF_LARGE if step.parameters > LARGE else CANDIDATES
        ),
        trials=_PROBED_TRIALS,
        progress=lambda trials: heard.append(time.monotonic() - began),
    )
    each = (heard[-1] - heard[0]) / (len(heard) - 1)
    seconds = time.monotonic() - began + each * (TRIALS - _PROBED_TRIALS)
    return _timed("candidate matching", low=seconds, high=seconds)


def _limits(policy: Policy, card: DatasetCard, dataset: Dataset, *, twin: bool) -> PartCost:
    """The limits of the metrics of the model, and of twin and drop."""
    from gatekeeper import evaluation

    highest = max(rule.confidence for rule in policy.rules_at(1) if isinstance(rule, UtilityRule))
    one = evaluation.estimate_limits(test=dataset.test.by_group(), classes=card.classes, confidence=highest)
    seconds = one * (3 if twin else 1)
    return _timed("limits of the metrics", low=seconds, high=seconds)


def guessed(policy: Policy, plan: TrainingPlan, card: DatasetCard, step: MeasuredStep) -> Iterator[PartCost]:
    """The attacks that rules name, by how many views go through the network and what a view takes there and back."""
    from gatekeeper.audit.attacks.class_inversion import MOST_ITERATIONS
    from gatekeeper.audit.attacks.inversion import Search
    from gatekeeper.audit.attacks.inversion_audit import inverted_units
    from gatekeeper.privacy import participations

    audit, view, plain = policy.audit, step.seconds / step.views, step.plain_seconds / step.views
    attacked = min(audit.units, card.train_units) + min(audit.worst_units, card.train_units)
    for imprint in PAPER_ATTACKS:
        for adversary in asked_for(policy, imprint):
            uses = 1 if adversary.observes == "one-step" else max(1, participations(plan.mechanism).upper_quantile())
            yield _guess(f"{imprint}, {adversary.observes}", view * audit.noise_draws * (attacked + ROWS) * uses)
    if asked_for(policy, "inversion"):
        search, units = Search(), inverted_units(train_units=card.train_units, audit=audit)
        yield _guess("inversion", _TWICE * view * units * search.starts * search.iterations)
    wanted, views = audit.weights_only, audit.weights_only.candidates * audit.weights_only.iterations
    if asked_for(policy, "stationarity"):
        control = CONTROL_STEPS * CONTROL_UNITS * view
        yield _guess("stationarity", _SECOND_ORDER * plain * 2 * wanted.starts * views + control)
    if asked_for(policy, "class-inversion"):
        at_most = min(views, wanted.candidates * MOST_ITERATIONS)
        yield _guess("class-inversion", _SECOND_ORDER * plain * at_most)


def _timed(name: str, *, low: float, high: float) -> PartCost:
    return PartCost(name=name, seconds=Span(low=low / _TIMED, high=high * _TIMED), measured=True)


def _guess(name: str, seconds: float) -> PartCost:
    return PartCost(name=name, seconds=Span(low=seconds / _GUESSED, high=seconds * _GUESSED), measured=False)


def _memory_bytes() -> int:
    """What this process has used at most; Linux counts in KiB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _disk_bytes(step: MeasuredStep) -> int:
    models = _MODELS * _MODEL_BYTES * step.parameters
    return models + _CHECKPOINTS * _CHECKPOINT_BYTES * step.trained + _OTHER_BYTES
