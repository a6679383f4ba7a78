"""What the run's ε promises and what it does not, in plain words made from the run's own facts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.budget import Guarantee
from gatekeeper.core.certificate import Facts
from gatekeeper.core.policy import RiskRule
from gatekeeper.core.risk import AttackOutcome, RiskBound
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.report.content import (
    UNPROTECTED,
    Report,
    epsilon_meaning,
    not_measured,
    provenance_sentence,
    twin_sentence,
)

_NEAR_CERTAINTY = 0.99

# More than the roundings of `membership_limit` together.
_ROUNDING = 2.0**-50


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What a guarantee is worth.

    Attributes:
        title: the question.
        lead: the answer by the size of ε.
        holds: what was proven or measured, a sentence each.
        fails: what does not follow, a sentence each.
        unlimited: what those attackers can do whom no rule of the policy limits.
    """

    title: str
    lead: str
    holds: tuple[str, ...]
    fails: tuple[str, ...]
    unlimited: tuple[str, ...]


def promise_of(report: Report) -> Promise:
    """The run's guarantee in plain words."""
    facts = report.facts
    return Promise(
        title=f"What ε ≤ {round_up(facts.guarantee.epsilon.high)} promises, and what it does not",
        lead=epsilon_meaning(facts.guarantee.epsilon.high),
        holds=tuple(_holds(report)),
        fails=tuple(_fails(report.facts)),
        unlimited=tuple(_unlimited(report)),
    )


def membership_limit(guarantee: Guarantee) -> float:
    """How often anybody tells right whether a unit took part, if both are equally likely: (e^ε + δ)/(1 + e^ε) at most.

    By hypothesis testing (Wasserman and Zhou 2010; Kairouz, Oh and Viswanath 2015, "The composition theorem for
    differential privacy") the chances of both kinds of error sum to at least 2(1 − δ)/(1 + e^ε). Rounded up.

    >>> from gatekeeper.core.budget import Interval
    >>> spent = Guarantee(epsilon=Interval(low=0, estimate=0, high=0), delta=1e-9, accountant="a", theorem="t")
    >>> round_up(membership_limit(spent))
    '0.5001'
    """
    wrong = (1 - guarantee.delta) / 2 * (1 - math.tanh(guarantee.epsilon.high / 2))
    return min(1.0, 1 - wrong + _ROUNDING)


def _holds(report: Report) -> Iterator[str]:
    facts = report.facts
    unit, right = facts.evidence.record.mechanism.unit, membership_limit(facts.guarantee)
    telling = (
        "By ε and δ alone: who sees every noisy sum of the training, and so anything made from them, such as this "
        f"model, and is to tell whether one given {unit} took part, both being equally likely, is right with a "
        f"probability of at most {round_up(right)} (a coin: 0.5)."
    )
    yield telling if right < _NEAR_CERTAINTY else f"{telling} That limit keeps hardly anybody out."
    limited = _limited(report)
    yield from (_sentence(adversary, said) for adversary, said in _known(report) if adversary in limited)


def _unlimited(report: Report) -> Iterator[str]:
    limited = _limited(report)
    yield from (_sentence(adversary, said) for adversary, said in _known(report) if adversary not in limited)
    yield from (
        _sentence(adversary, reason) for adversary, reason in not_measured(report.facts.evidence.attacks.outcomes)
    )


def _sentence(adversary: Adversary, said: str) -> str:
    return f"An attacker who {adversary.description}: {said}."


def _limited(report: Report) -> set[Adversary]:
    """Whom a rule of the policy limits."""
    return {rule.adversary for rule in report.policy.risk_rules}


def _known(report: Report) -> Iterator[tuple[Adversary, str]]:
    """Each adversary of the matrix, and what was proven and measured of it."""
    facts, outcomes = report.facts, report.facts.evidence.attacks.outcomes
    confidence = max(r.confidence for r in report.policy.rules_at(facts.ledger.attempts) if isinstance(r, RiskRule))
    for adversary in dict.fromkeys((*(b.adversary for b in facts.bounds), *(o.adversary for o in outcomes))):
        said = []
        played = [each for each in outcomes if each.adversary == adversary]
        if played:
            said.append(
                _attacked(max(played, key=lambda each: each.sample.upper(confidence=confidence)), confidence=confidence)
            )
        bounds = [bound for bound in facts.bounds if bound.adversary == adversary]
        if bounds:
            said.append(_bounded(max(bounds, key=lambda bound: bound.value)))
        yield adversary, "; ".join(said)


def _attacked(best: AttackOutcome, *, confidence: float) -> str:
    sample, share = best.sample, round_up(best.sample.upper(confidence=confidence), digits=3)
    return (
        f"the best attack ({best.attack}) reconstructed {sample.successes} of {sample.trials} audited units, a share "
        f"of at most {share} at confidence {round_down(confidence)}"
    )


def _bounded(bound: RiskBound) -> str:
    value = round_up(bound.value, digits=3)
    if bound.adversary.knows == "nothing":
        return f"the {bound.adversary.closed_form} is {value}"
    by_chance = "" if bound.prior_success is None else f" (by chance {round_up(bound.prior_success, digits=3)})"
    near = "" if bound.value < _NEAR_CERTAINTY else ", which keeps nobody out"
    return f"picks the target with a probability of at most {value}{by_chance}{near}"


def _fails(facts: Facts) -> Iterator[str]:
    guarantee, card = facts.guarantee, facts.evidence.dataset
    images = "one image" if card.max_images_per_unit == 1 else f"at most {card.max_images_per_unit} images"
    if guarantee.epsilon.high > 1:
        yield "That taking part in the training stays secret. A passed rule on reconstruction doesn't say so either."
    yield (
        f"More than one {card.unit} at a time ({images} each): whoever is in the data with several is protected less."
    )
    yield (
        f"What may happen with a probability of about δ, here {round_up(guarantee.delta)}. (At a δ of "
        f"1/n = {round_down(1 / card.train_units)} one unit might be published outright.)"
    )
    yield (
        f"Anything about the {card.test_units} test units: the metrics and the similarity threshold were measured on "
        "their images without noise."
    )
    yield f"Anything about what no noise was added to: {UNPROTECTED}."
    yield from (sentence for sentence in (provenance_sentence(facts), twin_sentence(facts)) if sentence is not None)
    yield "That the model is anonymous in a legal sense."
