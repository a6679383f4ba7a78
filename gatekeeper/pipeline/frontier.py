"""The frontier: one candidate at several budgets, each a run of its own that the ledger counts like any other.

A run is the one that `certify --no-sign` makes, but for one thing: it is planned without the policy's ceiling on ε, so
that one can look beyond it. The ledger counts it under the policy itself, which also judges it and refuses it there.
Nothing is signed, and no model leaves its private run directory.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.codec import digest
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import FrontierPoint, Outcome
from gatekeeper.core.pace import Pace, in_words
from gatekeeper.core.policy import Policy
from gatekeeper.core.rounding import in_short
from gatekeeper.errors import DataError, PrivacyError, PrivatePartError, UnresumableError
from gatekeeper.pipeline.annex import deliver_annex
from gatekeeper.pipeline.certifying import DeclinedRun, produce_and_judge
from gatekeeper.pipeline.counting import run_id
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.pipeline.frontier_folder import FrontierEntry, FrontierFolder, FrontierOrder
from gatekeeper.pipeline.frontier_points import judged_point, non_private_point, unmeasured_point
from gatekeeper.pipeline.non_private import train_alone
from gatekeeper.rundir import Judgement, RunDirectory
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.ledger import Ledger

# What goes wrong at one budget and may go well at another: no noise meets it, or training leaves the finite numbers.
_OF_THE_BUDGET = ("privacy", "diverged")


def order_of(
    policy: Policy, candidate: Candidate, *, epsilons: tuple[float, ...], seeds: tuple[int, ...] | None
) -> FrontierOrder:
    """What is asked: these budgets, with these seeds or the candidate's own."""
    return FrontierOrder(
        policy_digest=digest(policy),
        candidate_digest=digest(candidate),
        epsilons=epsilons,
        seeds=seeds or (candidate.training.seed,),
    )


def candidate_at(candidate: Candidate, *, epsilon: float, seed: int) -> Candidate:
    """The candidate at a budget. Without privacy it names none: its twin is that of a run at the policy's ceiling."""
    spent = None if epsilon == float("inf") else epsilon
    return replace(candidate, training=replace(candidate.training, epsilon=spent, seed=seed))


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierWalk:
    """What a walk along the frontier needs.

    Attributes:
        policy: as read by this process.
        candidate: as it was given; its ε and seed are replaced.
        ledger: where every run is counted.
        runs: where run directories lie.
        quiet: whether to draw no progress.
        device: where to train.
        tell: told what begins, and what went wrong and changes nothing.
        annex: where a reviewer wants the best reconstructions at each budget, or None.
        endorsed: the lock on the policy, if there is one, which every run is counted with.
    """

    policy: Policy
    candidate: Candidate
    ledger: Ledger
    runs: Path
    quiet: bool
    device: DeviceChoice
    tell: Callable[[str], None]
    annex: Path | None = None
    endorsed: Endorsed = NOTHING


def walk(folder: FrontierFolder, on: FrontierWalk) -> Frontier:
    """Train, attack and judge at each budget that has not been yet, in the order in which they were asked for.

    A point is remembered as soon as it is there, and a run before it begins: what is killed goes on at the next call.

    Args:
        folder: held by this process.
        on: everything else.

    Raises:
        GatekeeperError: what stops every budget alike; what stops one is its point.
        KeyboardInterrupt: somebody asked to stop.
    """
    pace = Pace(len(folder.progress.entries))
    pace.reach(sum(entry.point is not None for entry in folder.progress.entries), now=time.monotonic())
    for number, entry in enumerate(folder.progress.entries, start=1):
        if entry.point is None:
            left = pace.seconds_left(now=time.monotonic())
            rest = "" if left is None else f"; about {in_words(left)} left in all"
            on.tell(f"{number} of {pace.total}: ε = {in_short(entry.epsilon)}, seed {entry.seed}{rest}")
            finished = _finished(folder, entry, on)
            folder.keep(folder.progress.with_entry(finished))
            pace.reach(pace.done + 1, now=time.monotonic())
    return _summed_up(folder, on)


def _finished(folder: FrontierFolder, entry: FrontierEntry, on: FrontierWalk) -> FrontierEntry:
    """The entry with its point: from the run that was begun for it, where that can go on, or from a new one."""
    if entry.runs and not Path(entry.runs[-1]).exists():
        on.tell(
            f"the run {entry.runs[-1]} is gone; what the ledger counted of it stays counted, and another one begins"
        )
    elif entry.runs:
        try:
            return _run_through(folder, entry, on)
        except PrivatePartError as error:
            if error.code != UnresumableError.code:
                raise
            on.tell(f"the run {entry.runs[-1]} can't go on and stays counted in full; another one begins: {error}")
    run = RunDirectory.create(
        on.runs, policy=on.policy, candidate=candidate_at(on.candidate, epsilon=entry.epsilon, seed=entry.seed)
    )
    begun = replace(entry, runs=(*entry.runs, str(run.path.resolve())))
    folder.keep(folder.progress.with_entry(begun))
    return _run_through(folder, begun, on)


def _run_through(folder: FrontierFolder, entry: FrontierEntry, on: FrontierWalk) -> FrontierEntry:
    """The entry with the point that its newest run gives."""
    run = RunDirectory(Path(entry.runs[-1]))
    with run.lock():
        failure = run.read_failure()
        if failure is not None and failure.code in _OF_THE_BUDGET:
            point = _unmeasured(run, entry, "failed", failure.message)
        else:
            run.forget_failure()
            point = _point_or_failure(folder, run, entry, on)
        if run.has("planned.json"):
            folder.keep(replace(folder.progress, dataset=run.read_planned().dataset))
    return replace(entry, point=point)


def _point_or_failure(
    folder: FrontierFolder, run: RunDirectory, entry: FrontierEntry, on: FrontierWalk
) -> FrontierPoint:
    try:
        return _point(folder, run, entry, on)
    except PrivatePartError as error:
        if error.code not in _OF_THE_BUDGET:
            raise
        on.tell(f"failed: {error}")
        return _unmeasured(run, entry, "failed", error.message)


def _point(folder: FrontierFolder, run: RunDirectory, entry: FrontierEntry, on: FrontierWalk) -> FrontierPoint:
    if entry.epsilon == float("inf"):
        result = train_alone(run, on.policy, on.ledger, quiet=on.quiet, device=on.device, warn=on.tell)
        return non_private_point(result, on.policy, seed=entry.seed, run=run_id(run))
    judgement = run.read_judgement() if run.has("judgement.json") else _judged(run, on)
    if isinstance(judgement, DeclinedRun):
        on.tell(f"declined before its first step: {judgement.objection}")
        return _unmeasured(run, entry, "declined", judgement.objection)
    folder.keep(replace(folder.progress, total=judgement.facts.total))
    return judged_point(judgement, on.policy, epsilon=entry.epsilon, seed=entry.seed)


def _judged(run: RunDirectory, on: FrontierWalk) -> Judgement | DeclinedRun:
    candidate = run.read_candidate()
    try:
        judgement = produce_and_judge(
            run,
            on.policy,
            candidate,
            on.ledger,
            quiet=on.quiet,
            device=on.device,
            warn=on.tell,
            plan="plan-beyond",
            endorsed=on.endorsed,
        )
    except DataError as error:
        # At this attempt no outcome could pass: the same as being declined, and likewise nothing was counted.
        return DeclinedRun(objection=str(error))
    if on.annex is not None and not isinstance(judgement, DeclinedRun):
        on.tell(f"annex, confidential: {deliver_annex(run, on.annex, quiet=on.quiet, device=on.device)}")
    return judgement


def _unmeasured(run: RunDirectory, entry: FrontierEntry, outcome: Outcome, reason: str) -> FrontierPoint:
    return unmeasured_point(epsilon=entry.epsilon, seed=entry.seed, run=run_id(run), outcome=outcome, reason=reason)


def _summed_up(folder: FrontierFolder, on: FrontierWalk) -> Frontier:
    progress, policy = folder.progress, on.policy
    points = [entry.point for entry in progress.entries if entry.point is not None]
    if progress.dataset is None:
        reasons = "; ".join(dict.fromkeys(point.reason or "" for point in points))
        raise PrivacyError(f"no budget could be planned, so there is nothing to show: {reasons}")
    names = {Path(path).name for entry in progress.entries for path in entry.runs}
    counted = [each.reservation for each in on.ledger.account().runs if each.reservation.run in names]
    first, card = policy.utility_rules[0], progress.dataset
    return Frontier(
        gatekeeper_version=__version__,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        candidate=on.candidate.name,
        candidate_digest=progress.order.candidate_digest,
        policy=policy.name,
        policy_version=policy.version,
        policy_digest=progress.order.policy_digest,
        max_epsilon=policy.privacy.max_epsilon,
        metric=first.metric,
        class_name=first.class_name,
        data=card.name,
        synthetic=card.synthetic,
        unit=card.unit,
        train_units=card.train_units,
        image_shape=card.image_shape,
        points=tuple(sorted(points, key=lambda point: (point.epsilon, point.seed))),
        private_runs=sum(each.mechanism is not None for each in counted),
        non_private_runs=sum(each.non_private for each in counted),
        total=progress.total,
    )
