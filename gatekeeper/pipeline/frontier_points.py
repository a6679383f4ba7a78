"""From a judged run to a point of a frontier: nothing new is computed but the signal-to-noise ratio."""

from __future__ import annotations

from gatekeeper.core.certificate import Facts
from gatekeeper.core.frontier_point import (
    AttackFigure,
    FrontierPoint,
    Outcome,
    RiskFigure,
    Setting,
    signal_to_noise,
)
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import AttackOutcome, RiskBound
from gatekeeper.core.utility import Measurement
from gatekeeper.pipeline.non_private import NonPrivateResult
from gatekeeper.rundir import Judgement

WITHOUT_PRIVACY = "trained without noise or clipping: no policy approves it, and no bound holds"


def judged_point(judgement: Judgement, policy: Policy, *, epsilon: float, seed: int) -> FrontierPoint:
    """What a run gave that was trained, attacked and judged."""
    from gatekeeper.report import verdict_word

    facts, findings = judgement.facts, judgement.verdict.findings
    rules = policy.rules_at(facts.ledger.attempts)
    outcome: Outcome = verdict_word(judgement.verdict)
    return FrontierPoint(
        epsilon=epsilon,
        seed=seed,
        run=facts.ledger.run,
        outcome=outcome,
        reason=None,
        setting=setting_of(facts),
        utility=_of_the_policy(facts.evidence.utility.measurements, rules, drops=False),
        drops=_of_the_policy(facts.evidence.utility.drops, rules, drops=True),
        risks=risks_of(facts, confidence=max(rule.confidence for rule in rules if isinstance(rule, RiskRule))),
        attempt=facts.ledger.attempts,
        failing=tuple(finding.rule for finding in findings if finding.status == "failed"),
        undecided=tuple(finding.rule for finding in findings if finding.status == "inconclusive"),
    )


def non_private_point(result: NonPrivateResult, policy: Policy, *, seed: int, run: str) -> FrontierPoint:
    """What training without privacy gave: accuracy, and nothing that could pass."""
    return FrontierPoint(
        epsilon=float("inf"),
        seed=seed,
        run=run,
        outcome="refused",
        reason=WITHOUT_PRIVACY,
        setting=None,
        utility=_of_the_policy(result.utility.measurements, policy.rules_at(result.attempt), drops=False),
        drops=(),
        risks=(),
        attempt=None,
        failing=("privacy-epsilon",),
        undecided=(),
    )


def unmeasured_point(*, epsilon: float, seed: int, run: str, outcome: Outcome, reason: str) -> FrontierPoint:
    """A point without a model: declined before its first step, or failed."""
    return FrontierPoint(
        epsilon=epsilon,
        seed=seed,
        run=run,
        outcome=outcome,
        reason=" ".join(reason.split()),
        setting=None,
        utility=(),
        drops=(),
        risks=(),
        attempt=None,
        failing=(),
        undecided=(),
    )


def setting_of(facts: Facts) -> Setting:
    """The noise that ran, and what it is to one image."""
    from gatekeeper.privacy import participations

    record, pixels = facts.evidence.record, facts.evidence.dataset.pixels
    uses, sigma = participations(record.mechanism).upper_quantile(), record.mechanism.relative_noise
    return Setting(
        mechanism=record.mechanism,
        guarantee=facts.guarantee,
        clipping=record.clipping,
        clipping_norm=record.clipping_norm,
        pixels=pixels,
        participations=uses,
        snr_one_step=signal_to_noise(relative_noise=sigma, participations=1, pixels=pixels),
        snr_all_steps=signal_to_noise(relative_noise=sigma, participations=uses, pixels=pixels),
    )


def risks_of(facts: Facts, *, confidence: float) -> tuple[RiskFigure, ...]:
    """Every adversary of the facts, gated or not: its bound and all attacks that played it; first those with a bound.

    Args:
        facts: what was proven and measured.
        confidence: of the attacks' upper limits.
    """
    outcomes = facts.evidence.attacks.outcomes
    bounds = {(bound.adversary, bound.similarity): bound for bound in facts.bounds}
    keys = dict.fromkeys((*bounds, *((each.adversary, each.similarity) for each in outcomes)))
    return tuple(
        _risk(
            bounds.get(key),
            tuple(each for each in outcomes if (each.adversary, each.similarity) == key),
            confidence=confidence,
        )
        for key in keys
    )


def _risk(bound: RiskBound | None, outcomes: tuple[AttackOutcome, ...], *, confidence: float) -> RiskFigure:
    about = bound or outcomes[0]
    return RiskFigure(
        adversary=about.adversary,
        similarity=about.similarity,
        threshold=about.threshold,
        bound=None if bound is None else bound.value,
        quantity=None if bound is None else bound.quantity,
        proven_against=None if bound is None else bound.proven_against,
        prior_success=None if bound is None else bound.prior_success,
        attacks=tuple(
            AttackFigure(
                attack=each.attack,
                sample=each.sample,
                upper=each.sample.upper(confidence=confidence),
                confidence=confidence,
                median_similarity=each.median_similarity,
                threshold=each.threshold,
            )
            for each in outcomes
        ),
    )


def _of_the_policy(
    measured: tuple[Measurement, ...], rules: tuple[UtilityRule | RiskRule, ...], *, drops: bool
) -> tuple[Measurement, ...]:
    """The measurement that each rule reads, once for each metric: at the highest confidence that a rule asks for."""
    asked: dict[object, float] = {}
    for rule in rules:
        if isinstance(rule, UtilityRule) and (rule.needs_twin or not drops):
            asked[rule.subject] = max(rule.confidence, asked.get(rule.subject, 0.0))
    return tuple(
        found
        for subject, confidence in asked.items()
        for found in measured
        if found.subject == subject and found.confidence == confidence
    )
