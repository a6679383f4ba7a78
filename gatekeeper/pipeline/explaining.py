"""Why a run's verdict is what it is, and which setting would change it: from facts and closed forms, without training.

Nothing here is a promise. A closed form says what its bound would be under another setting; what an attack or an
accuracy would be there, only a run can say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

from gatekeeper.core.budget import Budget
from gatekeeper.core.certificate import Facts
from gatekeeper.core.explanation import Explanation, Knob, RuleExplanation, VerdictWord
from gatekeeper.core.metric import metric_title
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.rounding import in_short, round_down, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Finding
from gatekeeper.errors import InvalidValueError, PrivacyError, RunDirectoryError
from gatekeeper.pipeline.counting import run_id
from gatekeeper.pipeline.explaining_risk import explain_risk
from gatekeeper.rundir import RunDirectory

_DIGITS = 4


def explain(run: RunDirectory) -> Explanation:
    """The verdict of a finished run, rule by rule.

    Raises:
        RunDirectoryError: the run has no verdict.
    """
    from gatekeeper.report import notices_of, outcome_word, verdict_word

    _check_judged(run)
    policy, judgement = run.read_policy(), run.read_judgement()
    facts = judgement.facts
    rules = {rule.id: rule for rule in policy.rules_at(facts.ledger.attempts)}
    return Explanation(
        run=run_id(run),
        candidate=facts.evidence.candidate.name,
        policy=policy.name,
        policy_version=policy.version,
        attempt=facts.ledger.attempts,
        verdict=cast("VerdictWord", outcome_word(verdict_word(judgement.verdict), notices_of(judgement))),
        rules=tuple(_explained(finding, rules, policy, facts) for finding in judgement.verdict.findings),
    )


def _check_judged(run: RunDirectory) -> None:
    if run.has("judgement.json"):
        return
    failure = run.read_failure()
    reason = "" if failure is None else f": {failure.message}"
    raise RunDirectoryError(
        f"the run has no verdict to explain, it is {run.state()}{reason}",
        where=str(run.path),
        hint="explain a run that was judged; `gatekeeper runs list` says which were",
    )


def _explained(
    finding: Finding, rules: dict[str, UtilityRule | RiskRule], policy: Policy, facts: Facts
) -> RuleExplanation:
    rule = rules.get(finding.rule) or rules.get(finding.rule.removesuffix("/worst"))
    knobs: tuple[Knob, ...] = ()
    caveats: tuple[str, ...] = ()
    if finding.status != "passed":
        if isinstance(rule, RiskRule):
            advice = explain_risk(finding, rule, policy, facts)
            knobs, caveats = advice.knobs, advice.caveats
        elif isinstance(rule, UtilityRule):
            knobs, caveats = tuple(_utility(rule, facts)), (_UTILITY_CAVEAT,)
        else:
            knobs, caveats = tuple(_budget(finding, facts)), _budget_caveats(finding)
    return RuleExplanation(
        rule=finding.rule,
        status=finding.status,
        demand=finding.statement,
        margin=margin_in_words(finding),
        because=finding.detail,
        knobs=knobs,
        caveats=caveats,
    )


def margin_in_words(finding: Finding) -> str:
    """How far a finding is from its limit; what is measured rounds towards failing."""
    if math.isnan(finding.measured):
        return "there is no number to compare"
    measured = round_up(finding.measured) if finding.comparator == "≤" else round_down(finding.measured)
    side, gap = ("within", finding.margin) if finding.margin >= 0 else ("beyond", -finding.margin)
    distance = round_down(gap, digits=3) if finding.margin >= 0 else round_up(gap, digits=3)
    words = f"{finding.statistic} {measured}, limit {in_short(finding.limit)}: {distance} {side} it"
    return f"{words}; not judged, though" if finding.status == "inconclusive" else words


# Utility

_UTILITY_CAVEAT = (
    "What another training, or other test units, would reach is not known: the estimate itself would change."
)


def _utility(rule: UtilityRule, facts: Facts) -> Iterator[Knob]:
    """What the interval says: too few units, a sample too small for a sufficient estimate, or an estimate too low."""
    found = _measurement(rule, facts)
    if found is None:
        return
    if found.units < rule.min_units:
        yield Knob(
            setting="test units",
            now=found.units,
            needed=rule.min_units,
            meaning=f"the rule asks for at least {rule.min_units} independent test units before it judges",
        )
        return
    limit = rule.max_drop if rule.max_drop is not None else rule.minimum
    if limit is None or math.isnan(found.estimate):
        return
    room = limit - found.estimate if rule.needs_twin else found.estimate - limit
    title = metric_title(*rule.subject)
    if room <= 0:
        what = f"drop of {title}" if rule.needs_twin else title
        yield Knob(
            setting=what,
            now=found.estimate,
            needed=limit,
            meaning=f"the estimate itself misses the limit by {round_up(-room, digits=3)}: no number of test units "
            "helps; train better (more epochs, views or width) or with less noise (a larger training.epsilon)",
        )
        return
    reach = found.high - found.estimate if rule.needs_twin else found.estimate - found.low
    needed = math.ceil(found.units * (reach / room) ** 2)
    yield Knob(
        setting="test units",
        now=found.units,
        needed=max(needed, found.units + 1),
        meaning=f"the estimate passes and its limit does not: about {needed} test units would bring the limit there, "
        "if the estimate stayed and the limit drew nearer as one over the square root of their number",
    )


def _measurement(rule: UtilityRule, facts: Facts) -> Measurement | None:
    utility = facts.evidence.utility
    among = utility.drops if rule.needs_twin else utility.measurements
    fitting = (each for each in among if each.subject == rule.subject and each.confidence == rule.confidence)
    return next(fitting, None)


# Budgets


def _budget(finding: Finding, facts: Facts) -> Iterator[Knob]:
    """The ceiling itself, and for ε the noise that keeps it."""
    plan = facts.evidence.plan
    if finding.rule == "privacy-epsilon":
        yield Knob(
            setting="training.epsilon",
            now=plan.budget.epsilon,
            needed=finding.limit,
            meaning="the policy's ceiling for one run; the noise is then planned to keep it",
        )
        yield from _noise_for(finding.limit, facts)
    elif finding.rule == "privacy-delta":
        below = float(round_down(finding.limit * (1 - 1e-9), digits=_DIGITS))
        yield Knob(
            setting="training.delta",
            now=plan.budget.delta,
            needed=below,
            meaning="at most the policy's ceiling, and below 1/units",
        )


def _noise_for(epsilon: float, facts: Facts) -> Iterator[Knob]:
    from gatekeeper.privacy import calibrate

    ran, delta = facts.evidence.record.mechanism, facts.guarantee.delta
    try:
        found = calibrate(
            Budget(epsilon=epsilon, delta=delta),
            sampling=ran.sampling,
            sampling_rate=ran.sampling_rate,
            steps=ran.steps,
            adjacency=ran.adjacency,
            unit=ran.unit,
        )
    except (PrivacyError, InvalidValueError):
        return
    yield Knob(
        setting="noise multiplier",
        now=ran.noise_multiplier,
        needed=float(round_up(found.noise_multiplier, digits=_DIGITS)),
        meaning=f"keeps ε at most {in_short(epsilon)} with this run's sampling and its {ran.steps} steps",
    )


def _budget_caveats(finding: Finding) -> tuple[str, ...]:
    if finding.rule == "privacy-total-epsilon":
        return (
            "What the units have spent stays spent: no later run on them passes unless the policy's owner raises "
            f"total_epsilon above {round_up(finding.measured)}, or the run uses other units.",
        )
    if finding.rule == "attempts":
        return ("Attempts are never given back: other units, or another policy of its owner's.",)
    if finding.rule == "policy-lock":
        return (
            "A lock counts only if the ledger counted the run with it: lock the policy first, then make another run.",
        )
    return ("Another noise gives another model: its accuracy and its attacks have to be measured anew.",)
