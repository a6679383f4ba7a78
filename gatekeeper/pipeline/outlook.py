"""What a policy lets a first run spend, the noise that this means, and what that noise leaves of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatekeeper.core.budget import Budget
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.description import BudgetOutlook
from gatekeeper.core.frontier_point import signal_to_noise
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.errors import InvalidInputError, PrivacyError
from gatekeeper.pipeline.planning import make_plan, obstacles

# A step takes as long whatever its noise is.
_NOMINAL_NOISE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What lies ahead of a first run.

    Attributes:
        budgets: at the largest ε that the policy allows, then at the candidate's own, where that is another.
        problems: why the run could not begin or be approved.
    """

    budgets: tuple[BudgetOutlook, ...]
    problems: tuple[str, ...]


def outlook(candidate: Candidate, policy: Policy, card: DatasetCard) -> Outlook:
    """What the policy allows a first run; what earlier runs on the same units spent is in the ledger, not in here.

    `total_epsilon` is no tighter ceiling for a first run: a policy whose total is below the ε of one run is refused.
    """
    largest, own = policy.privacy.max_epsilon, candidate.training.epsilon
    budgets, problems = [], []
    for epsilon in dict.fromkeys((largest, largest if own is None else own)):
        try:
            budgets.append(_budget(candidate, policy, card, epsilon=epsilon))
        except (InvalidInputError, PrivacyError) as error:
            problems.append(" ".join(str(error).split()))
    problems += obstacles(policy, card, attempt=1)
    return Outlook(budgets=tuple(budgets), problems=tuple(dict.fromkeys(problems)))


def _budget(candidate: Candidate, policy: Policy, card: DatasetCard, *, epsilon: float) -> BudgetOutlook:
    from gatekeeper.audit.realistic import median_ncc
    from gatekeeper.privacy import account, participations

    asking = replace(candidate, training=replace(candidate.training, epsilon=epsilon))
    plan = make_plan(asking, policy, card)
    sigma, pixels = plan.mechanism.relative_noise, card.pixels
    most = max(1, participations(plan.mechanism).upper_quantile())
    return BudgetOutlook(
        largest=epsilon == policy.privacy.max_epsilon,
        total_epsilon=policy.privacy.max_total_epsilon,
        plan=plan,
        epsilon=account(plan.mechanism, plan.budget.delta).epsilon.high,
        participations=most,
        snr_one_step=signal_to_noise(relative_noise=sigma, participations=1, pixels=pixels),
        snr_all_steps=signal_to_noise(relative_noise=sigma, participations=most, pixels=pixels),
        ncc_one_step=median_ncc(noise_multiplier=sigma, participations=1, pixels=pixels),
        ncc_all_steps=median_ncc(noise_multiplier=sigma, participations=most, pixels=pixels),
    )


def nominal_plan(candidate: Candidate, card: DatasetCard) -> TrainingPlan:
    """A plan to time a step with where no policy sets the noise: every other number is the candidate's."""
    training = candidate.training
    per_epoch = training.steps_per_epoch(card.train_units)
    return TrainingPlan(
        mechanism=Mechanism(
            sampling="poisson",
            sampling_rate=1 / per_epoch,
            noise_multiplier=_NOMINAL_NOISE,
            steps=training.epochs * per_epoch,
            adjacency="zero-out",
            unit=card.unit,
        ),
        budget=Budget(epsilon=1.0, delta=0.5),
        clipping_norm=training.clipping_norm,
        divisor=training.expected_batch,
        clipping=training.clipping,
        precision=training.precision,
    )
