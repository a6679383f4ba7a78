"""What would change a finding on risk: the noise, budget or epochs at which its bound passes, or more audited units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gatekeeper.core.binomial import trials_needed, upper_limit
from gatekeeper.core.certificate import Facts
from gatekeeper.core.explanation import Knob
from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.risk import AttackOutcome
from gatekeeper.core.rounding import in_short, round_down, round_up
from gatekeeper.core.verdict import Finding
from gatekeeper.pipeline.least_noise import BoundOfRule

_DIGITS = 4
_MOST_UNITS = 10**7

_NEW_MODEL = (
    "Another noise gives another model: its accuracy has to be measured anew, and may then fail. A threshold that is "
    "calibrated comes out a little different in each run, so stay clear of the value."
)
_NOT_PREDICTED = (
    "The rule reads attacks, and no closed form alone predicts what an attack achieves: only a run with that "
    "setting says whether it passes."
)
_NO_CLOSED_FORM = (
    "No closed form is known of what this rule reads, so no setting can be named: more noise lowers the risk, and only "
    "runs say how much is enough. `gatekeeper frontier` tries several budgets."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskAdvice:
    """What would change a finding on risk.

    Attributes:
        knobs: settings at which what is computed would pass.
        caveats: what they don't promise.
    """

    knobs: tuple[Knob, ...]
    caveats: tuple[str, ...]


def explain_risk(finding: Finding, rule: RiskRule, policy: Policy, facts: Facts) -> RiskAdvice:
    """What would change a finding that did not pass.

    Args:
        finding: the rule's own, or that of its worst stratum.
        rule: with the confidence that it was read at.
        policy: the whole policy.
        facts: of the run.
    """
    outcomes = tuple(each for each in facts.evidence.attacks.outcomes if _is_about(each, rule))
    if finding.rule != rule.id:
        return RiskAdvice(knobs=(), caveats=(_NO_CLOSED_FORM,))
    known = next((each for each in facts.bounds if (each.adversary, each.similarity) == _case(rule)), None)
    knobs: list[Knob] = []
    caveats: list[str] = []
    if "bound" in rule.evidence and known is None:
        caveats.append(_NO_CLOSED_FORM)
    elif "bound" in rule.evidence and known is not None and known.value > rule.maximum:
        guessed = known.prior_success or 0.0
        found = () if guessed > rule.maximum else tuple(_knobs_of_the_bound(rule, policy, facts))
        knobs += found
        caveats += [_NEW_MODEL] if found else [_no_noise_helps(rule, known.prior_success)]
    if "attack" in rule.evidence:
        knobs += [knob for outcome in outcomes for knob in _knobs_of_the_attack(rule, outcome)]
        caveats += _caveats_of_the_attack(finding, rule, outcomes)
    return RiskAdvice(knobs=tuple(knobs), caveats=tuple(caveats))


def _case(rule: RiskRule) -> tuple[object, object]:
    return rule.adversary, rule.similarity


def _is_about(outcome: AttackOutcome, rule: RiskRule) -> bool:
    return (
        (outcome.adversary, outcome.similarity) == _case(rule)
        and (rule.attacks is None or outcome.attack in rule.attacks)
        and (rule.source is None or outcome.source == rule.source)
    )


def _no_noise_helps(rule: RiskRule, prior_success: float | None) -> str:
    if prior_success is not None and prior_success >= rule.maximum:
        return (
            f"No noise is enough: guessing among the candidates already succeeds with {round_up(prior_success)}, and "
            f"the rule allows {in_short(rule.maximum)}; more candidates (units) or a larger max would do."
        )
    return (
        f"No noise is enough for this {rule.adversary.closed_form} to reach {in_short(rule.maximum)}: it counts every "
        "image of a unit and what chance reaches; larger images, fewer images a unit or a stricter similarity would do."
    )


def _knobs_of_the_bound(rule: RiskRule, policy: Policy, facts: Facts) -> Iterator[Knob]:
    """The noise at which the bound passes, the ε that plans such noise, and the epochs at this run's own noise."""
    from gatekeeper.privacy import account

    own, plan = facts.evidence.record.mechanism, facts.evidence.plan
    form = rule.adversary.closed_form
    bound = BoundOfRule(rule=rule, evidence=facts.evidence, policy=policy)
    quieter = bound.least_noise()
    if quieter is None:
        return
    sigma = float(round_up(quieter.noise_multiplier, digits=_DIGITS))
    spent = account(replace(own, noise_multiplier=sigma), plan.budget.delta).epsilon.high
    yield Knob(
        setting="noise multiplier",
        now=own.noise_multiplier,
        needed=sigma,
        meaning=f"from there on the {form} is at most {in_short(rule.maximum)}, with this run's sampling and its "
        f"{own.steps} steps; such a run spends ε ≤ {round_up(spent)} at δ = {in_short(plan.budget.delta)}",
    )
    epsilon = bound.largest_epsilon(spent, rounded=lambda value: float(round_down(value, digits=_DIGITS)))
    if epsilon is not None:
        yield Knob(
            setting="training.epsilon",
            now=plan.budget.epsilon,
            needed=epsilon,
            meaning=f"in the candidate as it is: the noise that is planned for it lets the {form} pass",
        )
    shorter = bound.most_epochs()
    if shorter is not None:
        fewer = account(shorter, plan.budget.delta).epsilon.high
        yield Knob(
            setting="training.epochs",
            now=facts.evidence.candidate.training.epochs,
            needed=shorter.steps
            // facts.evidence.candidate.training.steps_per_epoch(facts.evidence.dataset.train_units),
            meaning=f"at this run's noise a unit then takes part so seldom that the {form} passes; for "
            f"the noise to stay, set training.epsilon to {round_up(fewer)} as well",
        )


def _knobs_of_the_attack(rule: RiskRule, outcome: AttackOutcome) -> Iterator[Knob]:
    """How many units would show a share that lies below the maximum already to be below it."""
    sample, limit = outcome.sample, rule.maximum
    if not sample.trials or sample.upper(confidence=rule.confidence) <= limit or sample.rate >= limit:
        return
    needed = _units_needed(sample.rate, maximum=limit, confidence=rule.confidence)
    if needed is not None:
        yield Knob(
            setting="audit.units",
            now=sample.trials,
            needed=needed,
            meaning=f"{outcome.attack} reconstructed {sample.successes} of {sample.trials}: if that share stayed, so "
            f"many audited units would show it to be at most {in_short(limit)}; policy and data set must have them",
        )


def _units_needed(rate: float, *, maximum: float, confidence: float) -> int | None:
    """The fewest units, about, of which a share `rate` has an upper limit of at most `maximum`; None beyond 10⁷."""
    if rate == 0:
        return trials_needed(maximum=maximum, confidence=confidence)

    def shows(units: int) -> bool:
        return upper_limit(successes=round(rate * units), trials=units, confidence=confidence) <= maximum

    high = 1
    while not shows(high):
        if high >= _MOST_UNITS:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _caveats_of_the_attack(finding: Finding, rule: RiskRule, outcomes: tuple[AttackOutcome, ...]) -> Iterator[str]:
    if finding.status == "inconclusive":
        yield f"Nothing can be concluded from the attack as it stands: {finding.detail}."
    for outcome in outcomes:
        if outcome.sample.rate > rule.maximum:
            yield (
                f"{outcome.attack} really reconstructed {outcome.sample.successes} of {outcome.sample.trials} units: "
                "no larger sample changes that."
            )
    yield _NOT_PREDICTED
