"""The private part of a run: load, train, export, measure, attack. It never sees a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.risk import AttackReport, Similarity
from gatekeeper.core.utility import UtilityReport
from gatekeeper.errors import DataError
from gatekeeper.pipeline.planning import make_plan, obstacles
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


def produce(run: RunDirectory, progress: Progress) -> Evidence:
    """The private part: load, plan, train, export, measure, attack; then look at the data once more.

    Raises:
        DataError: the data can't be used, or changed while the run went on.
        DivergedError: the training left the finite numbers.
        UnsupportedModelError: the network can't be trained privately or exported.
    """
    from gatekeeper import data, export, training

    policy, candidate = run.read_policy(), run.read_candidate()
    dataset = data.load(candidate.data)
    card = dataset.card(salt=run.salt)
    plan = make_plan(candidate, policy, card)
    problems = obstacles(policy, card)
    if problems:
        raise DataError("this data set can't satisfy the policy:\n  " + "\n  ".join(problems), where=card.name)
    progress.begin("training", plan.mechanism.steps)
    trained = training.train(candidate=candidate, plan=plan, card=card, data=dataset.train, on_step=progress.done)
    model = export.export(trained.network, image_shape=card.image_shape, path=run.model)
    utility = _measure(run, candidate, policy, plan, card, dataset, progress)
    attacks = _attack(policy, plan, trained.record.mechanism, dataset, progress)
    if data.load(candidate.data).digest(salt=run.salt) != card.commitment:
        raise DataError(
            "the data changed while the run went on", where=card.name, hint="keep the data fixed and certify again"
        )
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


def _measure(
    run: RunDirectory,
    candidate: Candidate,
    policy: Policy,
    plan: TrainingPlan,
    card: DatasetCard,
    dataset: Dataset,
    progress: Progress,
) -> UtilityReport:
    """Accuracy of the exported file on the test units, and of the non-private twin where a rule compares with it."""
    from gatekeeper import evaluation, export, training

    progress.begin("measuring accuracy", len(dataset.test.labels))
    logits = evaluation.predict(run.model, dataset.test.images, on_images=progress.advance)
    baseline = None
    if any(rule.needs_twin for rule in policy.utility_rules):
        progress.begin("training the non-private twin", plan.mechanism.steps)
        twin = training.train_twin(candidate=candidate, plan=plan, card=card, data=dataset.train, on_step=progress.done)
        # The twin is not private: its file exists only while it is measured.
        path = run.path / "twin.onnx"
        try:
            export.export(twin, image_shape=card.image_shape, path=path)
            baseline = evaluation.predict(path, dataset.test.images, on_images=None)
        finally:
            path.unlink(missing_ok=True)
    confidences = tuple(sorted({rule.confidence for rule in policy.utility_rules}))
    return evaluation.evaluate(
        logits=logits, test=dataset.test.by_group(), confidences=confidences, baseline_logits=baseline
    )


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
