"""A candidate's data, what a run on them would cost, and what a policy lets it spend: for the data's owner alone."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_integer, check_non_negative, check_text, check_tuple
from gatekeeper.core.data_description import DataDescription
from gatekeeper.core.record import TrainingPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What training would take on this machine, measured on a few steps over random images.

    Attributes:
        seconds_per_step: of one noisy step, with as many units as a step has on average.
        steps_per_epoch: steps that make an epoch.
        epochs: how many the candidate asks for.
        device: where it was measured: `cpu` or `cuda`.
    """

    seconds_per_step: float
    steps_per_epoch: int
    epochs: int
    device: str

    def __post_init__(self) -> None:
        check_non_negative(seconds_per_step=self.seconds_per_step)
        check_integer(steps_per_epoch=self.steps_per_epoch, at_least=1)
        check_integer(epochs=self.epochs, at_least=1)
        check_text(device=self.device)

    @property
    def seconds_per_epoch(self) -> float:
        """Of all steps of an epoch."""
        return self.seconds_per_step * self.steps_per_epoch

    @property
    def seconds(self) -> float:
        """Of the whole training."""
        return self.seconds_per_epoch * self.epochs


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetOutlook:
    """The noise that a budget means on these data, and what it leaves of one image.

    Attributes:
        largest: whether this is the largest ε that the policy allows a first run; otherwise it is the candidate's own.
        total_epsilon: what the policy allows all runs on these units together, or None where it sets no limit.
        plan: what would run.
        epsilon: the plan's proven ε.
        participations: k, the noisy gradients that hold one unit: the 99 % quantile.
        snr_one_step: SNR of one noisy gradient, 1/(Nσ²).
        snr_all_steps: of the mean of k of them.
        ncc_one_step: the closed form's median NCC for an attacker who sees one step.
        ncc_all_steps: the same for one who sees every step.
    """

    largest: bool
    total_epsilon: float | None
    plan: TrainingPlan
    epsilon: float
    participations: int
    snr_one_step: float
    snr_all_steps: float
    ncc_one_step: float
    ncc_all_steps: float

    def __post_init__(self) -> None:
        check_integer(participations=self.participations, at_least=1)
        for name in ("epsilon", "snr_one_step", "snr_all_steps", "ncc_one_step", "ncc_all_steps"):
            check_non_negative(**{name: getattr(self, name)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A candidate's data, what a run on them would cost, and what stands in its way.

    Attributes:
        gatekeeper_version: what described them.
        data: the data.
        cost: of the training; None where a step can't be taken.
        budgets: what a policy's and the candidate's budget mean; none without a policy.
        problems: why `certify` would not begin, or could not approve; empty where nothing stands in the way.
        warnings: what it would not object to, and somebody should look at.
    """

    gatekeeper_version: str
    data: DataDescription
    cost: StepCost | None
    budgets: tuple[BudgetOutlook, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        check_text(gatekeeper_version=self.gatekeeper_version)
        check_tuple(budgets=self.budgets, of=BudgetOutlook)
        check_tuple(problems=self.problems, of=str)
        check_tuple(warnings=self.warnings, of=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class LegendEntry:
    """Whom a pseudonym stands for. Private.

    Attributes:
        pseudonym: as the description has it.
        unit: the unit's name in the data set.
        images: the names of its images that the description is about.
    """

    pseudonym: str
    unit: str
    images: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Legend:
    """Whom the pseudonyms of one description stand for. Private: never printed."""

    entries: tuple[LegendEntry, ...]
