"""From policy, candidate and data to a plan: how much noise, for how many steps, and whether it can pass at all."""

from __future__ import annotations

import sys
from dataclasses import replace

from gatekeeper.core.binomial import trials_needed, upper_limit
from gatekeeper.core.budget import Budget
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.metric import METRICS_OF
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.rounding import in_full
from gatekeeper.core.spectrum import FEWEST_UNITS
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline.weights import check_weights_attacks, too_few_images


def make_plan(candidate: Candidate, policy: Policy, card: DatasetCard) -> TrainingPlan:
    """The least noise that meets the budget.

    The sampling rate is one over the steps of an epoch, which follow from two public constants: the number of
    training units (public by adjacency) and the candidate's expected batch.

    Raises:
        InvalidInputError: candidate and policy don't fit together.
        PrivacyError: no noise meets the budget.
    """
    from gatekeeper.privacy import calibrate

    check_rules_fit(policy, candidate, card)
    budget = _budget(candidate, policy, card)
    training = candidate.training
    steps_per_epoch = training.steps_per_epoch(card.train_units)
    mechanism = calibrate(
        budget,
        sampling=training.sampling,
        sampling_rate=1 / steps_per_epoch,
        steps=training.epochs * steps_per_epoch + training.resume_allowance,
        adjacency=policy.privacy.adjacency,
        unit=card.unit,
    )
    return TrainingPlan(
        mechanism=mechanism,
        budget=budget,
        clipping_norm=training.clipping_norm,
        divisor=training.expected_batch,
        resume_allowance=training.resume_allowance,
        clipping=training.clipping,
        precision=training.precision,
    )


def without_ceiling(policy: Policy) -> Policy:
    """The policy for planning a run that is looked at only: no ceiling on ε.

    Never the policy that counts or judges: that one refuses a run above its ceiling.
    """
    highest = replace(policy.privacy, max_epsilon=sys.float_info.max, max_total_epsilon=None)
    return replace(policy, privacy=highest)


def check_rules_fit(policy: Policy, candidate: Candidate, card: DatasetCard) -> None:
    """Refuse a rule that no model of these data, or of this network, could be judged by.

    Raises:
        InvalidInputError: there is such a rule.
    """
    _check_metrics(policy, card)
    check_weights_attacks(policy, candidate, task=card.task)


def _check_metrics(policy: Policy, card: DatasetCard) -> None:
    """Refuse a rule that no model of these data could be judged by."""
    fitting, classes = METRICS_OF[card.task], card.classes[1:]
    for rule in policy.utility_rules:
        if rule.metric not in fitting:
            raise InvalidInputError(
                f"rule {rule.id} judges {rule.metric}, which is no metric of {card.task}",
                where=card.name,
                hint=f"use {' or '.join(fitting)} in rule {rule.id}, or a policy for {card.task}",
            )
        if rule.class_name is not None and rule.class_name not in classes:
            raise InvalidInputError(
                f"rule {rule.id} judges the class {rule.class_name!r}, which the data don't have",
                where=card.name,
                hint=f"name one of {', '.join(classes)} in rule {rule.id}, or leave class out to judge their mean",
            )


def _budget(candidate: Candidate, policy: Policy, card: DatasetCard) -> Budget:
    """The candidate's budget, or the policy's ceiling where the candidate names none."""
    privacy, training = policy.privacy, candidate.training
    if candidate.data.unit != privacy.unit:
        raise InvalidInputError(
            f"the policy protects each {privacy.unit}, the candidate's unit is {candidate.data.unit}",
            where="data.unit",
            hint=f"set data.unit: {privacy.unit} in the candidate, or use a policy for {candidate.data.unit}",
        )
    epsilon = privacy.max_epsilon if training.epsilon is None else training.epsilon
    delta = privacy.max_delta if training.delta is None else training.delta
    for name, asked, ceiling in (("epsilon", epsilon, privacy.max_epsilon), ("delta", delta, privacy.max_delta)):
        if asked > ceiling:
            raise InvalidInputError(
                f"the candidate asks for {name} {asked:g}, the policy allows at most {ceiling:g}",
                where=f"training.{name}",
                hint=f"lower training.{name}, or leave it out to use the policy's ceiling",
            )
    if delta * card.train_units >= 1:
        raise InvalidInputError(
            f"delta {delta:g} is not below 1/units = {1 / card.train_units:.3g}",
            where="training.delta",
            hint=f"set training.delta to less than {1 / card.train_units:.3g}",
        )
    return Budget(epsilon=epsilon, delta=delta)


def obstacles(policy: Policy, card: DatasetCard, *, attempt: int) -> tuple[str, ...]:
    """Why this data set can't satisfy the policy at this attempt, whatever is measured on it."""
    found = [
        f"rule {rule.id} asks for {rule.min_units} independent test units; there are {card.test_groups}: "
        "more data, a larger test side, or another policy"
        for rule in policy.utility_rules
        if card.test_groups < rule.min_units
    ]
    if card.test_units < FEWEST_UNITS:
        found.append(
            f"adversaries with a prior learn from held-out units, at least {FEWEST_UNITS}; there are "
            f"{card.test_units}: more data, or a larger test side"
        )
    found += too_few_images(policy, card)
    units = min(policy.audit.units, card.train_units)
    for rule in policy.rules_at(attempt):
        if isinstance(rule, UtilityRule):
            continue
        best = upper_limit(successes=0, trials=units, confidence=rule.confidence)
        if "attack" in rule.evidence and best > rule.maximum:
            needed = trials_needed(maximum=rule.maximum, confidence=rule.confidence)
            found.append(
                f"rule {rule.id} allows {rule.maximum:g}; {units} audited units with no success show {best:.4f} at "
                f"confidence {in_full(round(rule.confidence, 6))} (attempt {attempt} on these units); at least "
                f"{needed} are needed"
            )
    return tuple(found)
