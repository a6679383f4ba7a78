"""A run without privacy, ε = ∞: the non-private twin alone. It is counted, measured and judged by nobody.

It is the twin that `certify` trains beside a run at the policy's ceiling: the same network, batches and schedule,
without clipping and noise. Its file lies in the private run directory and only while it is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.ledger import Reservation
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, Permit
from gatekeeper.core.utility import UtilityReport
from gatekeeper.errors import GatekeeperError, RunDirectoryError
from gatekeeper.pipeline.counting import run_id
from gatekeeper.pipeline.place import find_place
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.data.dataset import Dataset
    from gatekeeper.ledger import Ledger
    from gatekeeper.pipeline.production import Progress

# Other names than those of a private run, so that nothing goes on with this one as if it could be judged.
_PERMIT = "non-private-permit.json"
_RESULT = "non-private.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class NonPrivateResult:
    """What training without privacy reached.

    Attributes:
        dataset: the data's public facts.
        attempt: the attempt of the policy that would be next, from 1: the limits are at its confidence.
        utility: the twin's own metrics; no baseline, no drops.
    """

    dataset: DatasetCard
    attempt: int
    utility: UtilityReport


class _Alone(RunDirectory):
    """The directory of a run without privacy."""

    def read_permit(self) -> Permit:
        return self._read(_PERMIT, Permit)

    def write_permit(self, permit: Permit) -> None:
        self._write(_PERMIT, permit)

    def read_result(self) -> NonPrivateResult:
        return self._read(_RESULT, NonPrivateResult)

    def write_result(self, result: NonPrivateResult) -> None:
        self._write(_RESULT, result)


def train_alone(
    run: RunDirectory,
    policy: Policy,
    ledger: Ledger,
    *,
    quiet: bool,
    device: DeviceChoice,
    warn: Callable[[str], None],
) -> NonPrivateResult:
    """Plan, count and train without privacy; the ledger counts it as a non-private run, never as an attempt.

    Args:
        run: the caller holds its lock; its candidate names no ε.
        policy: as read by this process.
        ledger: where it is counted.
        quiet: whether to draw no progress.
        device: where to train.
        warn: told what went wrong and changes nothing.

    Raises:
        GatekeeperError: those of `run_private_part` and of the ledger.
        KeyboardInterrupt: somebody asked to stop.
    """
    from gatekeeper.pipeline.certifying import conclude
    from gatekeeper.pipeline.child import run_private_part

    if not run.has("planned.json"):
        run_private_part(run, "plan", quiet=quiet)
    _count(run, policy, ledger)
    try:
        if not run.has(_RESULT):
            run_private_part(run, "produce-twin", quiet=quiet, device=device)
        if not next(each.settled for each in ledger.account().runs if each.reservation.run == run_id(run)):
            ledger.settle(run_id(run), None)
    except GatekeeperError as error:
        conclude(run, ledger, "failed", error.code, warn=warn)
        raise
    except KeyboardInterrupt:
        conclude(run, ledger, "failed", "interrupted", warn=warn)
        raise
    conclude(run, ledger, "refused", "trained without privacy: nothing is judged", warn=warn)
    return _Alone(run.path).read_result()


def _count(run: RunDirectory, policy: Policy, ledger: Ledger) -> None:
    """Reserve the run, once, and tell it at which confidence the policy's next attempt would be read."""
    name, budget = run_id(run), run.read_planned().plan.budget
    identities, policy_digest = run.read_identities(), digest(policy)
    if name not in {each.reservation.run for each in ledger.account().runs}:
        reservation = Reservation(
            run=name,
            mechanism=None,
            delta=budget.delta,
            non_private=True,
            policy_name=policy.name,
            policy_digest=policy_digest,
        )
        ledger.reserve(reservation, identities, allow=lambda standing: None)
    attempts = ledger.standing(identities, policy_digest=policy_digest).attempts
    _Alone(run.path).write_permit(Permit(attempt=attempts + 1))


def produce_alone(run: RunDirectory, progress: Progress, *, device: DeviceChoice = "auto") -> NonPrivateResult:
    """The private part: train without privacy, export into the run directory, measure, and remove the file.

    Raises:
        DataError: the data changed since the run was planned.
        RunDirectoryError: the run was not planned, or not counted by the ledger.
        DivergedError: the training left the finite numbers.
    """
    from gatekeeper import training
    from gatekeeper.pipeline.production import twin_file, unchanged

    policy, candidate, planned = run.read_policy(), run.read_candidate(), run.read_planned()
    alone, card = _Alone(run.path), planned.dataset
    attempt = alone.read_permit().attempt
    rules = (rule for rule in policy.rules_at(attempt) if isinstance(rule, UtilityRule))
    confidences = tuple(sorted({rule.confidence for rule in rules}))
    where = training.find_device(device, local_index=find_place().index)
    progress.begin("loading the data", 1)
    dataset = unchanged(run, candidate, card)
    with twin_file(run, candidate, planned.plan, card, dataset, progress, device=where, needed=True) as path:
        if path is None:
            raise RunDirectoryError("the twin's file is missing", where=str(run.path))
        utility = _measure(path, card, dataset, confidences, progress)
    unchanged(run, candidate, card)
    result = NonPrivateResult(dataset=card, attempt=attempt, utility=utility)
    alone.write_result(result)
    return result


def _measure(
    path: Path, card: DatasetCard, dataset: Dataset, confidences: tuple[float, ...], progress: Progress
) -> UtilityReport:
    from gatekeeper import evaluation

    images, test = dataset.test.images, dataset.test.by_group()
    if card.task == "segmentation":
        masks = evaluation.predict_masks(path, images, on_images=progress.advance)
        return evaluation.evaluate_masks(predicted=masks, test=test, classes=card.classes, confidences=confidences)
    logits = evaluation.predict(path, images, on_images=progress.advance)
    progress.begin("computing limits", evaluation.limits_in_all(twin=False))
    return evaluation.evaluate(logits=logits, test=test, confidences=confidences, on_limits=progress.advance)
