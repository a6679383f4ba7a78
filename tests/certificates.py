"""A complete certificate for a few bytes that stand for a model; its numbers are plausible, not recomputed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from gatekeeper.core import codec
from gatekeeper.core.adversary import ONE_STEP
from gatekeeper.core.budget import Budget, Guarantee, Interval
from gatekeeper.core.candidate import Candidate, ModelSpec, OptimizerSpec, TrainingSpec
from gatekeeper.core.certificate import Certificate, Evidence, Facts, FileDigest
from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.core.identification import Identification
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, UtilityRule
from gatekeeper.core.record import DatasetCard, ModelArtifact, Software, TrainingPlan, TrainingRecord
from gatekeeper.core.risk import AttackOutcome, AttackReport, Count, NullCalibration, RiskBound, Similarity
from gatekeeper.core.spectrum import Band, Spectrum
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.core.verdict import Approval, Finding
from tests.facts import statement

NCC = Similarity()


def sample_policy(*, name: str = "dermatology", rule: str = "mcc") -> Policy:
    """A policy of one rule on accuracy, called `rule`, and one on risk."""
    return Policy(
        name=name,
        version=1,
        owner="privacy-office",
        description=None,
        privacy=PrivacyTerms(unit="lesion", adjacency="zero-out", max_epsilon=1e9, max_delta=8e-7),
        rules=(
            UtilityRule(
                id=rule,
                metric="mcc",
                minimum=0.6,
                max_drop=None,
                statistic="lower_confidence_bound",
                confidence=0.95,
                min_units=100,
            ),
            RiskRule(
                id="reconstruction-realistic",
                adversary=ONE_STEP,
                similarity=NCC,
                maximum=0.02,
                confidence=0.95,
                worst_max=None,
                evidence=("bound", "attack"),
            ),
        ),
        audit=AuditTerms(
            units=1000, worst_units=50, noise_draws=3, min_positive_control=0.9, max_negative_control=0.05
        ),
    )


def sample_candidate() -> Candidate:
    """A small network on a synthetic data set."""
    return Candidate(
        name="lesion-classifier",
        description=None,
        data=DataSpec(
            format="phantom-lesions",
            path=None,
            unit="lesion",
            split=SplitSpec(test=0.2, seed=1),
            phantom=PhantomSpec(patients=400, seed=0),
        ),
        model=ModelSpec(network="resnet9", width=16),
        training=TrainingSpec(
            epochs=30,
            expected_batch=256,
            clipping_norm=1.0,
            optimizer=OptimizerSpec(name="nadam", lr=2e-3),
            epsilon=1e4,
            delta=8e-7,
        ),
    )


def sample_evidence(model: bytes) -> Evidence:
    """What a run of the sample candidate might have measured."""
    mechanism = Mechanism(
        sampling="poisson", sampling_rate=0.2, noise_multiplier=0.25, steps=150, adjacency="zero-out", unit="lesion"
    )
    return Evidence(
        candidate=sample_candidate(),
        dataset=DatasetCard(
            name="phantom lesions",
            format="phantom-lesions",
            task="classification",
            synthetic=True,
            unit="lesion",
            train_units=1280,
            test_units=320,
            test_groups=320,
            train_images=1900,
            test_images=480,
            max_images_per_unit=3,
            image_shape=(3, 32, 32),
            classes=("benign", "malignant"),
            commitment=hashlib.sha256(b"salt and data").hexdigest(),
        ),
        plan=TrainingPlan(mechanism=mechanism, budget=Budget(epsilon=1e4, delta=8e-7), clipping_norm=1.0, divisor=256),
        record=TrainingRecord(
            mechanism=mechanism,
            clipping_norm=1.0,
            divisor=256,
            parameters=76_000,
            weights_digest=hashlib.sha256(b"weights").hexdigest(),
            noise_generator="philox, seeded by the operating system",
            arithmetic="sums and noise are whole multiples of 2^-31",
            device="cpu",
            seconds=81.5,
            software=(Software(name="torch", version="2.9.0"),),
        ),
        model=ModelArtifact(
            sha256=hashlib.sha256(model).hexdigest(),
            size=len(model),
            opset=20,
            input_name="pixels",
            output_name="logits",
            parity=3.1e-6,
            parity_images=16,
        ),
        utility=UtilityReport(
            measurements=(
                Measurement(
                    metric="mcc", estimate=0.71, low=0.64, high=0.77, confidence=0.95, units=320, method="bootstrap"
                ),
            )
        ),
        attacks=_attacks(),
        identifications=(
            Identification(
                attack="candidate matching",
                candidates=16,
                identified=Count(successes=190, trials=400),
                mechanism=replace(mechanism, sampling_rate=1.0, noise_multiplier=0.7, steps=2),
                bound=0.6,
                positive_control=Count(successes=16, trials=16),
            ),
        ),
    )


def _attacks() -> AttackReport:
    return AttackReport(
        nulls=(
            NullCalibration(
                similarity=NCC,
                threshold=0.62,
                quantile_low=0.62,
                quantile_high=0.68,
                confidence=0.95,
                units=320,
                strangers_passing=0.01,
            ),
        ),
        outcomes=(
            AttackOutcome(
                attack="analytic",
                adversary=ONE_STEP,
                similarity=NCC,
                threshold=0.62,
                sample=Count(successes=0, trials=1000),
                worst=Count(successes=0, trials=50),
                positive_control=Count(successes=1000, trials=1000),
                negative_control=Count(successes=1, trials=320),
                noise_draws=3,
                participations=1,
                median_similarity=0.08,
                source="simulated",
            ),
        ),
        spectrum=Spectrum(
            bands=(Band(count=100, variance=1.5), Band(count=3 * 32 * 32 - 100, variance=2e-3)), units=300
        ),
    )


def _findings(policy: Policy) -> tuple[Finding, ...]:
    accuracy, risk = policy.rules
    return (
        Finding(
            rule=accuracy.id,
            statement="mcc is at least 0.6",
            status="passed",
            comparator="≥",
            measured=0.64,
            limit=0.6,
            margin=0.04,
            statistic="lower confidence bound",
            confidence=0.95,
            sample_size=320,
            detail="mcc 0.71 on 320 lesions",
            remedy=None,
        ),
        Finding(
            rule=risk.id,
            statement="at most 2 % of lesions can be reconstructed by the realistic adversary, one step",
            status="passed",
            comparator="≤",
            measured=0.00299,
            limit=0.02,
            margin=0.01701,
            statistic="upper confidence bound",
            confidence=0.95,
            sample_size=1000,
            detail="0 of 1,000 lesions",
            remedy=None,
        ),
    )


def sample_certificate(
    model: bytes, *, files: tuple[FileDigest, ...] = (), policy: Policy | None = None
) -> Certificate:
    """A certificate that approves the model `model` and binds `files`."""
    policy = policy or sample_policy()
    evidence = sample_evidence(model)
    bound = RiskBound(
        adversary=ONE_STEP,
        quantity="P(NCC ≥ τ) for a unit of at most 3 images",
        similarity=NCC,
        threshold=0.62,
        value=0.002,
        proven_against="every linear read-out",
        read_out="matched filter",
        participations=1,
    )
    spent = Guarantee(
        epsilon=Interval(low=9_990.0, estimate=9_995.0, high=10_000.0),
        delta=8e-7,
        accountant="participation-bound",
        theorem="Theorem 1",
    )
    return Certificate(
        gatekeeper_version="0.1.0",
        created="2025-06-01T12:00:00Z",
        policy=policy,
        facts=Facts(
            evidence=evidence,
            guarantee=spent,
            bounds=(bound,),
            ledger=statement(evidence),
            total=spent,
        ),
        approval=Approval(
            model_digest=evidence.model.sha256, policy_digest=codec.digest(policy), findings=_findings(policy)
        ),
        files=files,
    )
