"""Whether an attack's silence proves anything: its sample, its controls, and what its read-out is known to reach."""

from __future__ import annotations

from gatekeeper.core.adversary import WEIGHTS_ATTACKS
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.certificate import Facts
from gatekeeper.core.policy import AuditTerms, RiskRule
from gatekeeper.core.risk import AttackOutcome, RiskBound
from gatekeeper.core.weights_only import CONTROLS, least_control, reach

# Of the controls, whatever a rule's own: a stricter rule must not make a control laxer.
_CONTROL_CONFIDENCE = 0.95

# Each may cost an inversion; so few tell a threshold that anybody passes from one that hardly anybody does.
_STRANGERS = 60

# An attack is called broken only where chance is out of the question.
_BROKEN_CONFIDENCE = 1 - 1e-6


def find_bound(rule: RiskRule, facts: Facts) -> RiskBound | None:
    """The bound on the rule's adversary, by its definition of success."""
    for bound in facts.bounds:
        if bound.adversary == rule.adversary and bound.similarity == rule.similarity:
            return bound
    return None


def weakness(rule: RiskRule, audit: AuditTerms, facts: Facts, outcome: AttackOutcome) -> str | None:
    """Why this attack's silence proves nothing, or None."""
    train_units = facts.evidence.dataset.train_units
    # One training gives one set of weights, and nothing to draw anew.
    draws = audit.noise_draws if outcome.adversary.has_bound else 1
    if outcome.sample.trials < min(audit.units, train_units) or outcome.noise_draws < draws:
        covered = f"{outcome.sample.trials} units in {outcome.noise_draws} draws"
        return f"the attack covered {covered}, less than the policy asks"
    if outcome.worst.trials < min(audit.worst_units, train_units):
        return f"the attack covered {outcome.worst.trials} units of the worst stratum, less than the policy asks"
    negative = outcome.negative_control
    uncontrolled = (_weights_control if outcome.attack in WEIGHTS_ATTACKS else _noiseless_control)(
        rule, audit, facts, outcome
    )
    if uncontrolled is not None:
        return uncontrolled
    strangers = min(audit.units, facts.evidence.dataset.test_units, _STRANGERS)
    if negative.trials < strangers:
        return f"negative control: {negative.trials} units that took no part, fewer than the {strangers} that there are"
    # The lower limit: a few dozen held-out units exceed a small share by chance, and that is no broken threshold.
    if not negative.trials or negative.lower(confidence=_CONTROL_CONFIDENCE) > audit.max_negative_control:
        return (
            f"negative control: {negative.successes} of {negative.trials} units that took no part count as "
            f"reconstructed, surely above {audit.max_negative_control:g}: the threshold can't tell"
        )
    expected = _expected_at_least(rule, facts, outcome)
    if outcome.sample.upper(confidence=_BROKEN_CONFIDENCE) < expected:
        return (
            f"the attack reconstructed {outcome.sample.successes} of {outcome.sample.trials} units, where its read-out "
            f"is known to reach at least {expected:.3f}: a broken attack is not a safe model"
        )
    best = upper_limit(successes=0, trials=outcome.sample.trials, confidence=rule.confidence)
    if best > rule.maximum:
        return (
            f"{outcome.sample.trials} units are too few: even with no success the upper limit is {best:.4f}, "
            f"above {rule.maximum:g}"
        )
    return None


def _noiseless_control(rule: RiskRule, audit: AuditTerms, facts: Facts, outcome: AttackOutcome) -> str | None:
    """Whether the attack works where nothing hides the units."""
    positive = outcome.positive_control
    if not positive.trials or positive.rate < audit.min_positive_control:
        return (
            f"positive control: with the noise off the attack reconstructed {positive.successes} of "
            f"{positive.trials} units, below {audit.min_positive_control:g}: a broken attack is not a safe model"
        )
    if positive.successes <= rule.maximum * outcome.sample.trials:
        return (
            f"positive control: with the noise off the attack reconstructs {positive.successes} of "
            f"{outcome.sample.trials} units, no more than the rule allows: it could not have failed it"
        )
    return None


def _weights_control(rule: RiskRule, audit: AuditTerms, facts: Facts, outcome: AttackOutcome) -> str | None:
    """Whether the attack on the released model works where it must, and hands in enough to fail the rule."""
    positive, train_units = outcome.positive_control, facts.evidence.dataset.train_units
    least = least_control(outcome.attack, audit.weights_only, classes=len(facts.evidence.dataset.classes))
    reconstructs = outcome.attack == "stationarity"
    if not positive.trials or positive.rate < least or (reconstructs and positive.rate <= rule.maximum):
        return (
            f"positive control: {CONTROLS[outcome.attack]}: {positive.successes} of {positive.trials}, where "
            f"{least:g} are asked for, and more than the rule allows: an attack that fails there shows nothing here"
        )
    reached = float(outcome.candidates)
    if reconstructs:
        classes = len(facts.evidence.dataset.classes)
        reached = reach(outcome.candidates, successes=positive.successes, trials=positive.trials, classes=classes)
    if reached <= rule.maximum * train_units:
        return (
            f"the attack hands in {outcome.candidates} images, by its control enough for {reached:g} units, and the "
            f"rule allows {rule.maximum:g} of {train_units}: it could hardly have failed it"
        )
    return None


def _expected_at_least(rule: RiskRule, facts: Facts, outcome: AttackOutcome) -> float:
    """The share that attack A reaches by its closed form, which bounds a unit of m images by m times one image's."""
    bound = find_bound(rule, facts)
    if bound is None or outcome.attack != "analytic":
        return 0.0
    return bound.value * 0.99 / facts.evidence.dataset.max_images_per_unit
