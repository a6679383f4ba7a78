"""The audit: every attack, for every adversary without knowledge and every definition of success, with its controls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import fresh_generator, plant
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.attacks.trials import Draws, attack_units, negative_control
from gatekeeper.audit.null import calibrate_null
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.checks import check_non_negative, check_positive
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import (
    ALL_STEPS,
    ONE_STEP,
    Adversary,
    AttackOutcome,
    AttackReport,
    NullCalibration,
    Similarity,
)
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import InvalidValueError


def attack(
    *,
    adversary: Adversary,
    null: NullCalibration,
    train: UnitImages,
    held_out: UnitImages,
    targets: Targets,
    participations: Participations,
    noise_multiplier: float,
    clipping_norm: float,
    audit: AuditTerms,
    rng: np.random.Generator,
    generator: torch.Generator,
    progress: Callable[[int], None],
    ranks: Ranks | None = None,
) -> AttackOutcome:
    """Attack A on a sample and on the worst-k stratum, and both controls.

    Args:
        adversary: one step, or all steps, knowing nothing.
        null: the definition of success and its threshold.
        train: the training units.
        held_out: units of other people; their mean image is what the planted row subtracts.
        targets: which training units to attack.
        participations: the distribution of K.
        noise_multiplier: σ, at least 0.
        clipping_norm: C, above 0.
        audit: how hard to look.
        rng: draws K, and the pairs of the negative control.
        generator: draws the noise.
        progress: hears how many units have been attacked since it last heard.
        ranks: the processes that share out the units; None attacks all of them here.

    Raises:
        InvalidValueError: an argument is out of its range, or the adversary knows candidates.
        DataError: the images are too small for SSIM.
    """
    check_non_negative(noise_multiplier=noise_multiplier)
    check_positive(clipping_norm=clipping_norm)
    if adversary.knows != "nothing":
        raise InvalidValueError(f"attack A plays adversaries who know nothing, not the one called {adversary.title}")
    row = plant(held_out, clipping_norm=clipping_norm)

    def run(*, units: NDArray[np.int64], whom: Adversary, sigma: float, draws: int) -> Draws:
        return attack_units(
            train,
            units=units,
            row=row,
            adversary=whom,
            null=null,
            participations=participations,
            noise_multiplier=sigma,
            clipping_norm=clipping_norm,
            draws=draws,
            rng=rng,
            generator=generator,
            progress=progress,
            ranks=ranks or OneRank(),
        )

    sample = run(units=targets.sample, whom=adversary, sigma=noise_multiplier, draws=audit.noise_draws)
    worst = run(units=targets.worst, whom=adversary, sigma=noise_multiplier, draws=audit.noise_draws)
    # With the noise off one gradient says all that any number says.
    positive = run(units=targets.sample, whom=ONE_STEP, sigma=0.0, draws=1)
    return AttackOutcome(
        attack="analytic",
        adversary=adversary,
        similarity=null.similarity,
        threshold=null.threshold,
        sample=sample.count,
        worst=worst.count,
        positive_control=positive.count,
        negative_control=negative_control(
            train=train,
            held_out=held_out,
            row=row,
            null=null,
            clipping_norm=clipping_norm,
            units=audit.units,
            rng=rng,
            generator=generator,
        ),
        noise_draws=audit.noise_draws,
        participations=1 if adversary == ONE_STEP else participations.upper_quantile(),
        median_similarity=float(np.median(sample.first)),
        source="simulated",
    )


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
    """Calibrate each definition of success on the null, and run every attack for both realistic adversaries.

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
        One null for each definition of success, and for each an outcome for one step and one for all steps.

    Raises:
        InvalidValueError: an argument is out of its range.
        DataError: too few units for a threshold, nothing to compare with, or images too small for SSIM.
    """
    ranks = OneRank() if ranks is None else ranks
    rng = np.random.default_rng(ranks.seed()) if rng is None else rng
    generator = fresh_generator() if generator is None else generator
    targets = choose_targets(
        train, mean=mean_image(held_out.images), sample=audit.units, worst=audit.worst_units, rng=rng
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
    outcomes = tuple(
        attack(
            adversary=adversary,
            null=null,
            train=train,
            held_out=held_out,
            targets=targets,
            participations=participations,
            noise_multiplier=mechanism.noise_multiplier,
            clipping_norm=clipping_norm,
            audit=audit,
            rng=rng,
            generator=generator,
            progress=progress,
            ranks=ranks,
        )
        for null in nulls
        for adversary in (ONE_STEP, ALL_STEPS)
    )
    return AttackReport(nulls=nulls, outcomes=outcomes)


def attacked_units(*, similarities: tuple[Similarity, ...], train_units: int, audit: AuditTerms) -> int:
    """How many units `run_attacks` will report to `progress` in all."""
    sample, worst = min(audit.units, train_units), min(audit.worst_units, train_units)
    per_attack = (sample + worst) * audit.noise_draws + sample
    return per_attack * 2 * len(distinct_similarities(similarities))
