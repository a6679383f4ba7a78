"""What a run would be and cost, without training on the data: by the private part, and by the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.forecast import Forecast, LedgerForecast
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import PlannedRun
from gatekeeper.errors import DataError
from gatekeeper.pipeline.counting import objection_to, total_of, total_with
from gatekeeper.pipeline.image_cache import image_cache
from gatekeeper.pipeline.planning import make_plan, obstacles
from gatekeeper.pipeline.pricing import price
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.ledger import Ledger
    from gatekeeper.pipeline.production import Progress


def forecast(run: RunDirectory, progress: Progress, *, device: DeviceChoice = "auto") -> Forecast:
    """The private part: budget, noise, closed-form similarity, and what it would take of this machine.

    The run directory gets the names by which the ledger knows the units. `progress` is told what is timed.

    Raises:
        DataError: the data can't be used.
        InvalidInputError: candidate and policy don't fit together.
        PrivacyError: no noise meets the budget.
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """
    from gatekeeper import data, training
    from gatekeeper.audit.realistic import median_ncc
    from gatekeeper.privacy import account, participations

    policy, candidate = run.read_policy(), run.read_candidate()
    progress.begin("loading the data", 1)
    dataset = data.load(candidate.data, allow_code=policy.allow_code, storage=image_cache(run))
    card = dataset.card(salt=run.salt)
    progress.begin("planning", 1)
    plan = make_plan(candidate, policy, card)
    run.write_identities(data.identities(dataset, population=candidate.data.population))
    guarantee = account(plan.mechanism, plan.budget.delta)
    most = participations(plan.mechanism).upper_quantile()
    sigma = plan.mechanism.relative_noise
    problems = obstacles(policy, card, attempt=1)
    return Forecast(
        dataset=card,
        plan=plan,
        epsilon=guarantee.epsilon.high,
        accountant=guarantee.accountant,
        median_ncc_one_step=median_ncc(noise_multiplier=sigma, participations=1, pixels=card.pixels),
        median_ncc_all_steps=median_ncc(noise_multiplier=sigma, participations=most, pixels=card.pixels),
        cost=price(
            policy=policy,
            candidate=candidate,
            plan=plan,
            card=card,
            dataset=dataset,
            device=training.find_device(device),
            audited=not problems,
            progress=progress,
        ),
        problems=problems,
    )


def foresee(run: RunDirectory, found: Forecast, policy: Policy, ledger: Ledger) -> LedgerForecast:
    """What the ledger would say of a forecast run; it is read and never written.

    Args:
        run: holds the names of its units.
        found: what `forecast` found.
        policy: as read by this process.
        ledger: where the run would be counted.

    Raises:
        LedgerError: it can't be read, or was tampered with.
    """
    standing = ledger.standing(run.read_identities(), policy_digest=digest(policy))
    planned = PlannedRun(
        dataset=found.dataset,
        plan=found.plan,
        non_private=any(rule.needs_twin for rule in policy.utility_rules),
    )
    attempt, delta = standing.attempts + 1, found.plan.budget.delta
    objection: str | None = None
    problems: tuple[str, ...] = ()
    try:
        objection = objection_to(planned, policy, standing)
    except DataError:  # raised for exactly these
        problems = obstacles(policy, found.dataset, attempt=attempt)
    spent = [history.spends for history in standing.histories if history.spends]
    return LedgerForecast(
        attempt=attempt,
        max_attempts=policy.max_attempts,
        runs=standing.runs,
        total_before=max((total_of(spends, delta) for spends in spent), default=0.0),
        total_after=total_with(planned, standing),
        total_limit=policy.privacy.max_total_epsilon,
        objection=objection,
        problems=problems,
    )
