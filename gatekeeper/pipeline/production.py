"""The private part of a run: load, train, export, measure, attack. It never sees a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, PlannedRun, TrainingPlan
from gatekeeper.core.risk import AttackReport, Similarity
from gatekeeper.core.utility import UtilityReport
from gatekeeper.errors import DataError
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.data.dataset import Dataset


class Progress(Protocol):
    """Told what is going on; the command line draws it, tests ignore it."""

    def begin(self, title: str, total: int) -> None:
        """A stage begins that will take `total` steps."""

    def done(self, steps: int) -> None:
        """`steps` of the stage's total are done."""

    def advance(self, steps: int) -> None:
        """`steps` more are done."""


def plan(run: RunDirectory) -> PlannedRun:
    """The first private part: load, plan, and say by what names the units are known. Nothing is trained.

    Raises:
        DataError: the data can't be used, or can't satisfy the policy.
        InvalidInputError: candidate and policy don't fit together.
        PrivacyError: no noise meets the budget.
        UnsupportedModelError: the candidate's own code or weights can't be used.
    """
    from gatekeeper import data

    policy, candidate = run.read_policy(), run.read_candidate()
    dataset = data.load(candidate.data)
    card = dataset.card(salt=run.salt)
    _check_own_model(policy, candidate, card)
    planned = PlannedRun(
        dataset=card,
        plan=make_plan(candidate, policy, card),
        non_private=any(rule.needs_twin for rule in policy.utility_rules),
    )
    run.write_identities(data.identities(dataset, population=candidate.data.population))
    run.write_planned(planned)
    return planned


def _check_own_model(policy: Policy, candidate: Candidate, card: DatasetCard) -> None:
    """Build what the candidate brings along once, before the ledger counts the run: code, weights and patterns."""
    model = candidate.model
    if model.factory is None and model.trainable is None and not model.pretrained:
        return
    from gatekeeper.training.networks import build

    build(
        model,
        image_shape=card.image_shape,
        classes=len(card.classes),
        seed=candidate.training.seed,
        task=card.task,
        allow_code=policy.allow_code,
    )


def produce(run: RunDirectory, progress: Progress) -> Evidence:
    """The second private part, once the ledger has counted the run: train, export, measure, attack.

    The data are loaded again, and looked at once more at the end: they must be what was planned.

    Raises:
        DataError: the data changed since the run was planned.
        RunDirectoryError: the run was not planned, or not counted by the ledger.
        DivergedError: the training left the finite numbers.
        UnsupportedModelError: the network can't be trained privately or exported.
    """
    from gatekeeper import export, training

    policy, candidate = run.read_policy(), run.read_candidate()
    planned, permit = run.read_planned(), run.read_permit()
    card, plan = planned.dataset, planned.plan
    dataset = _unchanged(run, candidate, card)
    progress.begin("training", plan.mechanism.steps)
    trained = training.train(candidate=candidate, plan=plan, card=card, data=dataset.train, on_step=progress.done)
    model = export.export(trained.network, image_shape=card.image_shape, path=run.model)
    rules = tuple(rule for rule in policy.rules_at(permit.attempt) if isinstance(rule, UtilityRule))
    utility = _measure(run, candidate, rules, plan, card, dataset, progress)
    attacks = _attack(policy, plan, trained.record.mechanism, dataset, progress)
    _unchanged(run, candidate, card)
    evidence = Evidence(
        candidate=candidate,
        dataset=card,
        plan=plan,
        record=trained.record,
        model=model,
        utility=utility,
        attacks=attacks,
    )
    run.write_evidence(evidence)
    return evidence


def _unchanged(run: RunDirectory, candidate: Candidate, card: DatasetCard) -> Dataset:
    """The data, which must still be those that were planned for."""
    from gatekeeper import data

    dataset = data.load(candidate.data)
    if dataset.card(salt=run.salt) != card:
        raise DataError(
            "the data changed while the run went on", where=card.name, hint="keep the data fixed and certify again"
        )
    return dataset


def _measure(
    run: RunDirectory,
    candidate: Candidate,
    rules: tuple[UtilityRule, ...],
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    progress: Progress,
) -> UtilityReport:
    """How well the exported file does on the test units, and the non-private twin where a rule compares with it."""
    from gatekeeper import evaluation

    progress.begin("measuring", len(dataset.test.labels))
    images, test = dataset.test.images, dataset.test.by_group()
    confidences = tuple(sorted({rule.confidence for rule in rules}))
    needs_twin = any(rule.needs_twin for rule in rules)
    if card.task == "segmentation":
        masks = evaluation.predict_masks(run.model, images, on_images=progress.advance)
        with _twin(run, candidate, plan, card, dataset, progress, needed=needs_twin) as twin:
            theirs = None if twin is None else evaluation.predict_masks(twin, images)
        return evaluation.evaluate_masks(
            predicted=masks, test=test, classes=card.classes, confidences=confidences, baseline=theirs
        )
    logits = evaluation.predict(run.model, images, on_images=progress.advance)
    with _twin(run, candidate, plan, card, dataset, progress, needed=needs_twin) as twin:
        baseline = None if twin is None else evaluation.predict(twin, images)
    return evaluation.evaluate(logits=logits, test=test, confidences=confidences, baseline_logits=baseline)


@contextmanager
def _twin(
    run: RunDirectory,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    progress: Progress,
    *,
    needed: bool,
) -> Iterator[Path | None]:
    """The non-private twin's file. The twin is not private: its file exists only while it is measured."""
    from gatekeeper import export, training

    if not needed:
        yield None
        return
    progress.begin("training the non-private twin", plan.mechanism.steps)
    twin = training.train_twin(candidate=candidate, plan=plan, card=card, data=dataset.train, on_step=progress.done)
    path = run.path / "twin.onnx"
    try:
        export.export(twin, image_shape=card.image_shape, path=path)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _attack(
    policy: Policy, plan: TrainingPlan, mechanism: Mechanism, dataset: Dataset, progress: Progress
) -> AttackReport:
    """Every attack on the mechanism that ran, with its controls."""
    from gatekeeper.audit.attacks import attacked_units, run_attacks
    from gatekeeper.privacy import participations

    similarities = _similarities(policy)
    total = attacked_units(similarities=similarities, train_units=dataset.train.units, audit=policy.audit)
    progress.begin("attacking", total)
    return run_attacks(
        similarities=similarities,
        train=dataset.train,
        held_out=dataset.test,
        participations=participations(mechanism),
        mechanism=mechanism,
        clipping_norm=plan.clipping_norm,
        audit=policy.audit,
        progress=progress.advance,
    )


def _similarities(policy: Policy) -> tuple[Similarity, ...]:
    """The definitions of success that the policy's rules use, each once, in order."""
    return tuple(dict.fromkeys(rule.similarity for rule in policy.risk_rules if rule.similarity is not None))
