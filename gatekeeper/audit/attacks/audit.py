"""The audit: every attack, for every adversary without knowledge and every definition of success, with its controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import Analytic, PlantedRow, fresh_generator, plant
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.attacks.trials import Draws, SimulatedAttack, attack_units, negative_control, prior_control
from gatekeeper.audit.null import calibrate_null
from gatekeeper.audit.prior import LinearPrior, linear_prior
from gatekeeper.audit.shaping import ReadOut
from gatekeeper.audit.similarity import mean_image
from gatekeeper.audit.spectral import better_read_out
from gatekeeper.core.adversary import ONE_STEP, REALISTIC, Adversary
from gatekeeper.core.checks import check_non_negative, check_positive
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import AttackOutcome, AttackReport, Count, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Audited:
    """What simulated attacks are about, and with what randomness they are made.

    Attributes:
        train: the training units. Private.
        held_out: units that took no part in training, of other people.
        targets: which training units are attacked.
        participations: the distribution of K.
        noise_multiplier: σ, at least 0.
        audit: how hard to look.
        row: the planted row that the control on strangers reads.
        clipping_norm: C, above 0.
        rng: draws K, and the pairs of the negative control.
        generator: draws the noise.
        progress: hears how many units have been attacked since it last heard.
        ranks: the processes that share out the units.
    """

    train: UnitImages
    held_out: UnitImages
    targets: Targets
    participations: Participations
    noise_multiplier: float
    audit: AuditTerms
    row: PlantedRow
    clipping_norm: float
    rng: np.random.Generator
    generator: torch.Generator
    progress: Callable[[int], None]
    ranks: Ranks

    def __post_init__(self) -> None:
        check_non_negative(noise_multiplier=self.noise_multiplier)
        check_positive(clipping_norm=self.clipping_norm)


def attack(attack: SimulatedAttack, *, adversary: Adversary, null: NullCalibration, audited: Audited) -> AttackOutcome:
    """One attack on a sample and on the worst-k stratum, and both controls.

    Args:
        attack: which.
        adversary: whom it plays: one step, or all steps, knowing nothing.
        null: the definition of success and its threshold.
        audited: what it is about.

    Raises:
        InvalidValueError: an argument is out of its range, or the adversary knows candidates.
        DataError: the images are too small for SSIM.
    """
    if adversary.knows != "nothing":
        raise InvalidValueError(f"simulated attacks play adversaries who know nothing, not the {adversary.title}")
    terms, targets = audited.audit, audited.targets

    def run(*, units: NDArray[np.int64], whom: Adversary, sigma: float, draws: int) -> Draws:
        return attack_units(
            attack,
            audited.train,
            units=units,
            adversary=whom,
            null=null,
            participations=audited.participations,
            noise_multiplier=sigma,
            draws=draws,
            rng=audited.rng,
            generator=audited.generator,
            progress=audited.progress,
            ranks=audited.ranks,
        )

    sample = run(units=targets.sample, whom=adversary, sigma=audited.noise_multiplier, draws=terms.noise_draws)
    worst = run(units=targets.worst, whom=adversary, sigma=audited.noise_multiplier, draws=terms.noise_draws)
    # With the noise off one gradient says all that any number says.
    positive = run(units=targets.sample, whom=ONE_STEP, sigma=0.0, draws=1)
    return AttackOutcome(
        attack=attack.name,
        adversary=adversary,
        similarity=null.similarity,
        threshold=null.threshold,
        sample=sample.count,
        worst=worst.count,
        positive_control=positive.count,
        negative_control=_negative(attack, adversary=adversary, null=null, audited=audited),
        noise_draws=terms.noise_draws,
        participations=1 if adversary.observes == "one-step" else audited.participations.upper_quantile(),
        median_similarity=float(np.median(sample.first)),
        source="simulated",
    )


def _negative(attack: SimulatedAttack, *, adversary: Adversary, null: NullCalibration, audited: Audited) -> Count:
    """Strangers whom a training image's read-out resembles, or, if more, whom the attack's own idea of images does."""
    units, rng = audited.audit.units, audited.rng
    others = negative_control(
        train=audited.train,
        held_out=audited.held_out,
        row=audited.row,
        null=null,
        clipping_norm=audited.clipping_norm,
        units=units,
        rng=rng,
        generator=audited.generator,
    )
    if adversary.prior == "none":
        return others
    expected = prior_control(attack, held_out=audited.held_out, null=null, units=units, rng=rng)
    return max(others, expected, key=lambda count: count.successes)


# More units than this move the threshold by less than its own confidence limits. Fewer than there are would make it a
# matter of luck: on the digits it swung between 0.56 and 0.77 with 300 units.
NULL_UNITS = 5000


def distinct_similarities(similarities: tuple[Similarity, ...]) -> tuple[Similarity, ...]:
    """Each definition of success once, in order, and the default by NCC where none is by NCC."""
    distinct = tuple(dict.fromkeys(similarities))
    return distinct if any(item.measure == "ncc" for item in distinct) else (*distinct, Similarity())


def run_attacks(
    *,
    similarities: tuple[Similarity, ...],
    train: UnitImages,
    held_out: UnitImages,
    participations: Participations,
    mechanism: Mechanism,
    clipping_norm: float,
    audit: AuditTerms,
    progress: Callable[[int], None],
    rng: np.random.Generator | None = None,
    generator: torch.Generator | None = None,
    ranks: Ranks | None = None,
) -> AttackReport:
    """Calibrate each definition of success on the null, and simulate every attack for each realistic adversary.

    Args:
        similarities: the definitions of success that the policy names; repeated ones count once, and the default
            by NCC joins them where none is by NCC, so that the closed forms always have a threshold.
        train: the training units. Private.
        held_out: units that took no part in training, of other people.
        participations: the distribution of K under the mechanism.
        mechanism: the mechanism that ran.
        clipping_norm: C.
        audit: how hard to look.
        progress: hears how many units have been attacked since it last heard; `attacked_units` tells the total.
        rng: chooses units, strangers and K; by default seeded by the operating system.
        generator: draws the noise; by default seeded by the operating system, its seed kept nowhere. Of several
            processes each needs one of its own, while `rng` must be the same in all.
        ranks: the processes that share out the units; None attacks all of them here.

    Returns:
        One null for each definition of success, and for each an outcome for one step and one for all steps, without
        and with a prior over images; and the prior's spectrum.

    Raises:
        InvalidValueError: an argument is out of its range.
        DataError: too few units for a threshold, nothing to compare with, or images too small for SSIM.
    """
    ranks = OneRank() if ranks is None else ranks
    rng = np.random.default_rng(ranks.seed()) if rng is None else rng
    audited = Audited(
        train=train,
        held_out=held_out,
        targets=choose_targets(
            train, mean=mean_image(held_out.images), sample=audit.units, worst=audit.worst_units, rng=rng
        ),
        participations=participations,
        noise_multiplier=mechanism.noise_multiplier,
        audit=audit,
        row=plant(held_out, clipping_norm=clipping_norm),
        clipping_norm=clipping_norm,
        rng=rng,
        generator=fresh_generator() if generator is None else generator,
        progress=progress,
        ranks=ranks,
    )
    nulls = tuple(
        calibrate_null(
            similarity,
            audited=train,
            units=rng.permutation(train.units)[:NULL_UNITS],
            held_out=held_out,
            confidence=audit.null_confidence,
            rng=rng,
        )
        for similarity in distinct_similarities(similarities)
    )
    prior = linear_prior(held_out)
    outcomes = tuple(
        attack(_player(adversary, null, prior, audited), adversary=adversary, null=null, audited=audited)
        for null in nulls
        for adversary in REALISTIC
    )
    return AttackReport(nulls=nulls, outcomes=outcomes, spectrum=prior.spectrum)


def _player(adversary: Adversary, null: NullCalibration, prior: LinearPrior, audited: Audited) -> SimulatedAttack:
    """The attack that plays an adversary who knows nothing."""
    if adversary.prior == "none":
        return Analytic(row=audited.row, clipping_norm=audited.clipping_norm)
    uses = 1 if adversary.observes == "one-step" else max(1, audited.participations.upper_quantile())
    read_out: ReadOut = "shaped"  # which the closed form can't compare by SSIM
    if null.similarity.measure == "ncc":
        read_out = better_read_out(
            threshold=null.threshold,
            noise_multiplier=audited.noise_multiplier,
            spectrum=prior.spectrum,
            participations=uses,
        )
    return Denoised(prior=prior, read_out=read_out, clipping_norm=audited.clipping_norm)


def attacked_units(*, similarities: tuple[Similarity, ...], train_units: int, audit: AuditTerms) -> int:
    """How many units `run_attacks` will report to `progress` in all."""
    sample, worst = min(audit.units, train_units), min(audit.worst_units, train_units)
    per_attack = (sample + worst) * audit.noise_draws + sample
    return per_attack * len(REALISTIC) * len(distinct_similarities(similarities))
