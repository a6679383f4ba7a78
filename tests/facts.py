"""A policy and the facts of a run that satisfies it, to be altered one number at a time."""

from __future__ import annotations

import dataclasses

from gatekeeper.core.adversary import ALL_STEPS_SPECTRAL, ONE_STEP, ONE_STEP_SPECTRAL, REALISTIC
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.certificate import Evidence, Facts
from gatekeeper.core.identification import CANDIDATES, MATCHING, TRIALS, Identification
from gatekeeper.core.ledger import LedgerHead, LedgerStatement, Spend
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, UtilityRule
from gatekeeper.core.record import ModelArtifact, Software, TrainingRecord
from gatekeeper.core.risk import AttackOutcome, AttackReport, Count, NullCalibration, RiskBound, Similarity
from gatekeeper.core.spectrum import Band, Spectrum
from gatekeeper.core.utility import Measurement, UtilityReport
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

SIMILARITY = Similarity()
TAU = 0.8


def sample_policy() -> Policy:
    """An accuracy rule, a drop rule, a risk rule."""
    return Policy(
        name="sample",
        version=1,
        owner="privacy-office",
        description=None,
        privacy=PrivacyTerms(unit="image", adjacency="zero-out", max_epsilon=1e6, max_delta=1e-5),
        rules=(
            UtilityRule(
                id="accuracy",
                metric="accuracy",
                minimum=0.7,
                max_drop=None,
                statistic="lower_confidence_bound",
                confidence=0.95,
                min_units=100,
            ),
            UtilityRule(
                id="drop",
                metric="accuracy",
                minimum=None,
                max_drop=0.1,
                statistic="upper_confidence_bound",
                confidence=0.95,
                min_units=100,
            ),
            RiskRule(
                id="reconstruction",
                adversary=ONE_STEP,
                similarity=SIMILARITY,
                maximum=0.02,
                confidence=0.95,
                worst_max=0.1,
                evidence=("bound", "attack"),
            ),
        ),
        audit=AuditTerms(units=200, worst_units=20, noise_draws=3, min_positive_control=0.9, max_negative_control=0.05),
        max_attempts=1,
    )


def measurement(*, estimate: float = 0.9, low: float = 0.8, high: float = 0.95, units: int = 240) -> Measurement:
    """Accuracy on the test units."""
    return Measurement(
        metric="accuracy", estimate=estimate, low=low, high=high, confidence=0.95, units=units, method="exact"
    )


def outcome(**changes: object) -> AttackOutcome:
    """An attack that works with the noise off and achieves nothing with it on."""
    fields: dict[str, object] = {
        "attack": "analytic",
        "adversary": ONE_STEP,
        "similarity": SIMILARITY,
        "threshold": TAU,
        "sample": Count(successes=0, trials=200),
        "worst": Count(successes=0, trials=20),
        "positive_control": Count(successes=200, trials=200),
        "negative_control": Count(successes=1, trials=100),
        "noise_draws": 3,
        "participations": 1,
        "median_similarity": 0.3,
        "source": "simulated",
    }
    return AttackOutcome(**{**fields, **changes})


def every_null(similarity: Similarity, *, threshold: float) -> tuple[NullCalibration, ...]:
    """Strangers', and for each adversary with a prior that with its guesses, which are no better here."""
    return tuple(
        NullCalibration(
            similarity=similarity,
            threshold=threshold,
            quantile_low=threshold,
            quantile_high=max(threshold, 0.9),
            confidence=0.95,
            units=200,
            strangers_passing=0.01,
            guesser=guesser,
            guesses_passing=0.0 if guesser is None else 0.002,
        )
        for guesser in (None, ONE_STEP_SPECTRAL, ALL_STEPS_SPECTRAL)
    )


def spectrum(pixels: int) -> Spectrum:
    """A few directions hold most of what images vary by."""
    return Spectrum(bands=(Band(count=4, variance=0.5), Band(count=pixels - 4, variance=0.01)), units=20)


def every_outcome(first: AttackOutcome, *, uses: int = 1) -> tuple[AttackOutcome, ...]:
    """What a run measures: `first`, and the attacks that are made in every run on the other adversaries."""
    others = (
        outcome(
            adversary=adversary,
            attack="analytic" if adversary.prior == "none" else "denoised",
            participations=1 if adversary.observes == "one-step" else uses,
        )
        for adversary in REALISTIC
    )
    return (first, *(each for each in others if (each.attack, each.adversary) != (first.attack, first.adversary)))


def identification(run: Mechanism, *, successes: int = 160, bound: float = 0.6) -> tuple[Identification, ...]:
    """Candidates matched at a noise where no attack picks more than 60 % of targets among 16."""
    mechanism = dataclasses.replace(run, sampling_rate=1.0, noise_multiplier=0.8, steps=2)
    return tuple(
        Identification(
            attack=name,
            candidates=CANDIDATES,
            identified=Count(successes=successes, trials=TRIALS),
            mechanism=mechanism,
            bound=bound,
            positive_control=Count(successes=CANDIDATES, trials=CANDIDATES),
        )
        for name in MATCHING
    )


def bound(value: float = 1e-9) -> RiskBound:
    """The closed form of the same adversary."""
    return RiskBound(
        adversary=ONE_STEP,
        quantity="P(NCC ≥ 0.8)",
        similarity=SIMILARITY,
        threshold=TAU,
        value=value,
        proven_against="linear read-outs without a prior",
        read_out="planted layer",
        participations=1,
    )


def sample_facts(
    *,
    epsilon: float = 1e5,
    delta: float = 1e-6,
    accuracy: Measurement | None = None,
    drop: Measurement | None = None,
    attack: AttackOutcome | None = None,
    risk: RiskBound | None = None,
    past: LedgerStatement | None = None,
    total: Guarantee | None = None,
    without: tuple[str, ...] = (),
) -> Facts:
    """Facts that satisfy `sample_policy`, with some replaced or left out."""
    data = tiny_units(units=240)
    plan = tiny_plan(divisor=80)
    evidence = Evidence(
        candidate=tiny_candidate(expected_batch=80),
        dataset=tiny_card(data),
        plan=plan,
        record=TrainingRecord(
            mechanism=plan.mechanism,
            clipping_norm=0.5,
            divisor=80,
            parameters=1000,
            weights_digest="1" * 64,
            noise_generator="a generator",
            arithmetic="sums and noise are whole multiples of 2^-31",
            device="cpu",
            seconds=1.5,
            software=(Software(name="torch", version="2"),),
        ),
        model=ModelArtifact(
            sha256="2" * 64, size=10, opset=20, input_name="pixels", output_name="logits", parity=1e-6, parity_images=4
        ),
        utility=UtilityReport(
            measurements=() if "accuracy" in without else (accuracy or measurement(),),
            baseline=() if "accuracy" in without else (accuracy or measurement(),),
            drops=() if "drop" in without else (drop or measurement(estimate=0.0, low=-0.05, high=0.05),),
        ),
        attacks=AttackReport(
            nulls=every_null(SIMILARITY, threshold=TAU),
            outcomes=() if "attack" in without else every_outcome(attack or outcome()),
            spectrum=spectrum(64),
        ),
        identifications=() if "identification" in without else identification(plan.mechanism),
    )
    spent = Guarantee(
        epsilon=Interval(low=epsilon * 0.9, estimate=epsilon, high=epsilon),
        delta=delta,
        accountant="balls-and-bins",
        theorem="a theorem",
    )
    return Facts(
        evidence=evidence,
        guarantee=spent,
        bounds=() if "bound" in without else (risk or bound(),),
        ledger=past or statement(evidence),
        total=total or spent,
    )


def statement(evidence: Evidence, *, earlier: tuple[Spend, ...] = (), attempts: int = 1) -> LedgerStatement:
    """The ledger just after the run of `evidence` and `earlier` ones."""
    own = Spend(run="this-run", mechanism=evidence.record.mechanism, settled=True)
    return LedgerStatement(
        run="this-run",
        head=LedgerHead(ledger="ab" * 16, length=99, digest="3" * 64),
        runs=max(attempts, len(earlier) + 1),
        non_private_runs=1,
        attempts=attempts,
        spends=(*earlier, own),
    )
