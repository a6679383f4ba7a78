"""The private part of a run: load, train, export, measure, attack. It never sees a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.codec import digest
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, PlannedRun, Provenance, TrainingPlan
from gatekeeper.core.resumption import Origin
from gatekeeper.core.utility import UtilityReport
from gatekeeper.errors import DataError
from gatekeeper.pipeline.attacking import Target, attack, identify
from gatekeeper.pipeline.image_cache import image_cache
from gatekeeper.pipeline.place import find_place
from gatekeeper.pipeline.planning import make_plan, without_ceiling
from gatekeeper.pipeline.stopping import interrupts_deferred
from gatekeeper.pipeline.vault import open_vault
from gatekeeper.rundir import RunDirectory
from gatekeeper.version import __version__

if TYPE_CHECKING:
    import torch

    from gatekeeper.data.dataset import Dataset
    from gatekeeper.training import Lifeline, LoneRank, TrainedModel


class Progress(Protocol):
    """Told what is going on; the command line draws it, tests ignore it."""

    def begin(self, title: str, total: int) -> None:
        """A stage begins that will take `total` steps."""

    def done(self, steps: int) -> None:
        """`steps` of the stage's total are done."""

    def advance(self, steps: int) -> None:
        """`steps` more are done."""


def plan(
    run: RunDirectory,
    progress: Progress,
    *,
    beyond: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
) -> PlannedRun:
    """The first private part: load, plan, and say by what names the units are known. Nothing is trained.

    Args:
        run: it holds policy and candidate, and gets the plan.
        progress: draws what is going on.
        beyond: whether the candidate's ε may lie above the policy's ceiling. The judge refuses such a run.
        on_note: told what of the data was passed over.

    Raises:
        DataError: the data can't be used, or can't satisfy the policy.
        InvalidInputError: candidate and policy don't fit together.
        PrivacyError: no noise meets the budget.
        UnsupportedModelError: the candidate's own code or weights can't be used.
    """
    from gatekeeper import data

    policy, candidate = run.read_policy(), run.read_candidate()
    progress.begin("loading the data", 1)
    dataset = data.load(candidate.data, allow_code=policy.allow_code, storage=image_cache(run))
    for note in dataset.notes:
        on_note(note)
    card = dataset.card(salt=run.salt)
    progress.begin("planning", 1)
    provenance = _build_own_model(policy, candidate, card)
    planned = PlannedRun(
        dataset=card,
        plan=make_plan(candidate, without_ceiling(policy) if beyond else policy, card),
        non_private=any(rule.needs_twin for rule in policy.utility_rules),
        provenance=provenance,
    )
    run.write_identities(data.identities(dataset, population=candidate.data.population))
    run.write_planned(planned)
    progress.done(1)
    return planned


def _build_own_model(policy: Policy, candidate: Candidate, card: DatasetCard) -> Provenance | None:
    """Build what the candidate brings along once, before the ledger counts the run: code, weights and patterns."""
    model = candidate.model
    if model.factory is None and model.trainable is None and not model.pretrained:
        return None
    from gatekeeper.training.networks import build

    network = build(
        model,
        image_shape=card.image_shape,
        classes=len(card.classes),
        seed=candidate.training.seed,
        task=card.task,
        allow_code=policy.allow_code,
    )
    return network.provenance


def produce(run: RunDirectory, progress: Progress, *, device: DeviceChoice = "auto") -> Evidence:
    """The second private part, once the ledger has counted the run: train, export, attack, measure.

    Where torchrun started several processes this one is the first, and the others assist it (`assistance`).

    The data are loaded again, and looked at once more at the end: they must be what was planned. A run that was
    interrupted goes on from its last checkpoint; a training that is complete is not repeated. What the training went on
    from is removed once the evidence is written.

    Raises:
        DataError: the data changed since the run was planned.
        RunDirectoryError: the run was not planned, not counted by the ledger, or can't go on.
        KeyboardInterrupt: somebody asked to stop.
        DivergedError: the training left the finite numbers.
        UnsupportedModelError: the network can't be trained privately or exported.
        ProcessLostError: another of the processes ended, or doesn't answer.
    """
    from gatekeeper import export, training

    policy, candidate = run.read_policy(), run.read_candidate()
    planned, permit = run.read_planned(), run.read_permit()
    card, plan = planned.dataset, planned.plan
    where = training.find_device(device, local_index=find_place().index)
    progress.begin("loading the data", 1)
    with _joined(run, where) as ranks:
        dataset = unchanged(run, candidate, card)
        progress.done(1)
        trained = _train(run, candidate, plan, card, dataset, progress, ranks=ranks, device=where)
        progress.begin("exporting", 1)
        model = export.export(trained.network, image_shape=card.image_shape, path=run.model)
        progress.done(1)
        target = Target(
            policy=policy,
            candidate=candidate,
            plan=plan,
            card=card,
            mechanism=trained.record.mechanism,
            dataset=dataset,
            network=trained.network,
            device=where,
            ranks=ranks,
        )
        attacks = attack(target, progress)
    identifications = identify(target, progress)
    rules = tuple(rule for rule in policy.rules_at(permit.attempt) if isinstance(rule, UtilityRule))
    utility = _measure(run, candidate, rules, plan, card, dataset, progress, device=where)
    progress.begin("loading the data once more", 1)
    unchanged(run, candidate, card)
    progress.done(1)
    evidence = Evidence(
        candidate=candidate,
        dataset=card,
        plan=plan,
        record=trained.record,
        model=model,
        utility=utility,
        attacks=attacks,
        identifications=identifications,
    )
    run.write_evidence(evidence)
    run.remove_training()
    return evidence


@contextmanager
def _joined(run: RunDirectory, device: torch.device) -> Iterator[LoneRank]:
    """This process, the first, among those that torchrun started; or alone."""
    from gatekeeper import training

    if find_place().count == 1:
        yield training.LoneRank()
        return
    with training.meet(str(run.path.resolve())).joined(device) as ranks:
        yield ranks


def _train(
    run: RunDirectory,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    progress: Progress,
    *,
    ranks: LoneRank,
    device: torch.device,
) -> TrainedModel:
    """Train, or go on; an interrupt waits for the step that is going on, and for its checkpoint."""
    from gatekeeper import training

    origin = Origin(
        gatekeeper=__version__, candidate=digest(candidate), plan=digest(plan), software=training.software()
    )
    with open_vault(run.training) as vault, interrupts_deferred() as asked:
        lifeline = training.Lifeline(vault, plan=plan, origin=origin, stop=asked)
        progress.begin("; ".join((_training_title(lifeline), *lifeline.notes)), plan.steps)
        progress.done(lifeline.step)
        return training.train(
            candidate=candidate,
            plan=plan,
            card=card,
            data=dataset.train,
            on_step=progress.done,
            allow_code=run.read_policy().allow_code,
            lifeline=lifeline,
            ranks=ranks,
            device=device,
        )


def _training_title(lifeline: Lifeline) -> str:
    if lifeline.starts == 0:
        return "training"
    return f"training, going on after step {lifeline.step}, {lifeline.redone} steps done again"


def unchanged(run: RunDirectory, candidate: Candidate, card: DatasetCard) -> Dataset:
    """The data, which must still be those that were planned for.

    Raises:
        DataError: they are not.
    """
    from gatekeeper import data

    dataset = data.load(candidate.data, allow_code=run.read_policy().allow_code, storage=image_cache(run))
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
    *,
    device: torch.device,
) -> UtilityReport:
    """How well the exported file does on the test units, and the non-private twin where a rule compares with it."""
    from gatekeeper import evaluation

    progress.begin("measuring", len(dataset.test.labels))
    images, test = dataset.test.images, dataset.test.by_group()
    confidences = tuple(sorted({rule.confidence for rule in rules}))
    needs_twin = any(rule.needs_twin for rule in rules)
    if card.task == "segmentation":
        masks = evaluation.predict_masks(run.model, images, on_images=progress.advance)
        with twin_file(run, candidate, plan, card, dataset, progress, device=device, needed=needs_twin) as twin:
            theirs = None if twin is None else evaluation.predict_masks(twin, images, on_images=progress.advance)
        progress.begin("computing limits", 1)
        return evaluation.evaluate_masks(
            predicted=masks, test=test, classes=card.classes, confidences=confidences, baseline=theirs
        )
    logits = evaluation.predict(run.model, images, on_images=progress.advance)
    with twin_file(run, candidate, plan, card, dataset, progress, device=device, needed=needs_twin) as twin:
        baseline = None if twin is None else evaluation.predict(twin, images, on_images=progress.advance)
    progress.begin("computing limits", evaluation.limits_in_all(twin=needs_twin))
    return evaluation.evaluate(
        logits=logits, test=test, confidences=confidences, baseline_logits=baseline, on_limits=progress.advance
    )


@contextmanager
def twin_file(
    run: RunDirectory,
    candidate: Candidate,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    progress: Progress,
    *,
    device: torch.device,
    needed: bool,
) -> Iterator[Path | None]:
    """The non-private twin's file. The twin is not private: its file exists only while it is measured.

    What is then reported to `progress` is how many test images it has answered.
    """
    from gatekeeper import export, training

    if not needed:
        yield None
        return
    progress.begin("training the non-private twin", plan.steps)
    twin = training.train_twin(
        candidate=candidate,
        plan=plan,
        card=card,
        data=dataset.train,
        on_step=progress.done,
        allow_code=run.read_policy().allow_code,
        device=device,
    )
    path = run.path / "twin.onnx"
    try:
        export.export(twin, image_shape=card.image_shape, path=path)
        progress.begin("measuring the twin", len(dataset.test.labels))
        yield path
    finally:
        path.unlink(missing_ok=True)
