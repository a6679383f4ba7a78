"""What a candidate's data are, what a run would cost and what a policy lets it spend, before anything is spent.

The data are read where they always are: in the child process. Nothing is trained on them, and no ledger is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.data_description import DataDescription
from gatekeeper.core.description import Description, Legend, StepCost
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.errors import DataError, GatekeeperError, InvalidInputError, PrivacyError, UnsupportedModelError
from gatekeeper.pipeline.describing_directory import DescribingDirectory, DescriptionOrder
from gatekeeper.pipeline.outlook import Outlook, nominal_plan, outlook
from gatekeeper.rundir import RunDirectory
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.data.records import ImageTable

_MANY_CLASSES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A description and whom its pseudonyms stand for.

    Attributes:
        description: for the data's owner.
        legend: never printed.
    """

    description: Description
    legend: Legend = field(repr=False)


def describe_in_child(
    candidate: Candidate, policy: Policy | None, *, near: float | None, device: DeviceChoice
) -> Described:
    """Describe a candidate's data in a child process.

    Args:
        candidate: as read by this process.
        policy: likewise, or None.
        near: the NCC from which two images are near-duplicates, or None to look for identical ones only.
        device: where to measure a step.

    Raises:
        InvalidInputError: the candidate's own code reads the data, and there is no policy that could allow it.
        PrivatePartError: the data can't be read or divided.
    """
    from gatekeeper.pipeline.child import run_private_part

    if policy is None and candidate.data.factory is not None:
        raise InvalidInputError(
            "the data come from the candidate's own code, which runs only where a policy allows it",
            where=f"data.factory: {candidate.data.factory}",
            hint="give --policy",
        )

    with DescribingDirectory.temporary(candidate, policy, DescriptionOrder(near=near)) as directory:
        run_private_part(directory, "describe", device=device)
        return Described(description=directory.read_description(), legend=directory.read_legend())


def describe(run: RunDirectory, *, device: DeviceChoice) -> None:
    """The private part: read, count, compare, measure a step and plan.

    Raises:
        DataError: the data can't be read or divided.
    """
    from gatekeeper import data
    from gatekeeper.data.description import describe as describe_data
    from gatekeeper.data.pseudonyms import Pseudonyms
    from gatekeeper.data.splits import sides_of

    directory = DescribingDirectory(run.path)
    candidate = directory.read_candidate()
    policy = directory.read_policy() if directory.has("policy.json") else None
    pseudonyms = Pseudonyms(directory.salt)
    allowed = () if policy is None else policy.allow_code
    table = data.read(candidate.data, allow_code=allowed, storage=directory.path / "images")
    found = describe_data(
        table,
        sides_of(table, candidate.data),
        candidate.data,
        pseudonyms=pseudonyms,
        near=directory.read_order().near,
    )
    card = _card_or_problem(found, table, candidate, run.salt)
    description = _described(found, card, candidate, policy, device, notes=table.notes)
    directory.write_found(description, pseudonyms.legend())


def _described(
    data: DataDescription,
    card: DatasetCard | str,
    candidate: Candidate,
    policy: Policy | None,
    device: DeviceChoice,
    *,
    notes: tuple[str, ...],
) -> Description:
    warnings = (*notes, *_warnings(data))
    if isinstance(card, str):
        return Description(
            gatekeeper_version=__version__, data=data, cost=None, budgets=(), problems=(card,), warnings=warnings
        )
    ahead = Outlook(budgets=(), problems=()) if policy is None else outlook(candidate, policy, card)
    plan = ahead.budgets[-1].plan if ahead.budgets else nominal_plan(candidate, card)
    cost: StepCost | None = None
    problems = ahead.problems
    if policy is None and candidate.model.factory is not None:
        warnings += ("the candidate's own code runs only where a policy allows it: give --policy to time a step",)
    else:
        try:
            cost = _cost(candidate, policy, card, plan, device)
        except (UnsupportedModelError, PrivacyError) as error:
            problems += (f"no step of the training can be taken: {in_words(error)}",)
    return Description(
        gatekeeper_version=__version__,
        data=data,
        cost=cost,
        budgets=ahead.budgets,
        problems=problems,
        warnings=warnings,
    )


def _card_or_problem(found: DataDescription, table: ImageTable, candidate: Candidate, salt: bytes) -> DatasetCard | str:
    """The data's public facts, or why `certify` would not take them."""
    from gatekeeper.data.splits import divide

    if found.exact.shared:
        return (
            f"images that two units or more hold, to the last pixel: {len(found.exact.shared)}, {found.exact.leaks} of "
            f"them on both sides of the split; keep one copy of each, or give its copies the same {candidate.data.unit}"
        )
    try:
        return divide(table, candidate.data).card(salt=salt)
    except DataError as error:
        return in_words(error)


def in_words(error: GatekeeperError) -> str:
    """An error in one line: what, and the remedy."""
    return " ".join(f"{error.message}{f'; {error.hint}' if error.hint else ''}".split())


def _cost(
    candidate: Candidate, policy: Policy | None, card: DatasetCard, plan: TrainingPlan, device: DeviceChoice
) -> StepCost:
    """What a step takes."""
    from gatekeeper import training

    where = training.find_device(device)
    return StepCost(
        seconds_per_step=training.measure_step(
            candidate=candidate,
            plan=plan,
            card=card,
            allow_code=() if policy is None else policy.allow_code,
            device=where,
        ).seconds,
        steps_per_epoch=candidate.training.steps_per_epoch(card.train_units),
        epochs=candidate.training.epochs,
        device=where.type,
    )


def _doubtful_classes(data: DataDescription) -> list[str]:
    """Folders PATIENT/IMAGE are taken for classes, and names of classes are public."""
    names = [each.name for each in data.classes]
    if len(names) < _MANY_CLASSES or set(names) == set(map(str, range(len(names)))):
        return []
    if len({re.sub(r"[0-9]+", "", name) for name in names}) > 1:
        return []
    return [
        f"the names of all {len(names)} classes are alike but for digits: are they people? Names of classes are "
        "public, and stand in reports and certificates"
    ]


def _warnings(data: DataDescription) -> tuple[str, ...]:
    """What `certify` lets through, and a person should look at."""
    exact, near = data.exact, data.near
    found = _doubtful_classes(data)
    if exact.repeats_within_units:
        found.append(
            f"{exact.repeats_within_units} images repeat another one of the same {data.unit} "
            f"({exact.units_with_repeats} units): they add nothing to a unit's views"
        )
    if near is None:
        return tuple(found)
    alike, apart = f"pairs of nearly identical images (NCC ≥ {near.threshold:g})", near.between_sides
    if apart:
        found.append(f"{apart} {alike} lie on both sides of the split: where they are copies, accuracy is memory")
    if near.pairs > apart:
        found.append(
            f"{near.pairs - apart} {alike} are in two units on one side: somebody who is in both is protected as two, "
            "and the realistic risk figures don't hold for images with a near-copy in another unit"
        )
    if not near.complete:
        found.append(f"too many images are alike to compare all {alike}: the search stopped, so raise --near")
    return tuple(found)
