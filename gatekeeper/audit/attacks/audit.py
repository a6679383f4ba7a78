"""The audit: every attack, for every adversary without knowledge and every definition of success, with its controls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import fresh_generator, plant
from gatekeeper.audit.attacks.audited import Audited
from gatekeeper.audit.attacks.contests import contests
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.guesses import guessing_control, halves
from gatekeeper.audit.attacks.sample import choose_targets
from gatekeeper.audit.attacks.trials import Draws, SimulatedAttack, attack_units, negative_control
from gatekeeper.audit.prior import linear_prior
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.adversary import ONE_STEP, REALISTIC, Adversary
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import AttackOutcome, AttackReport, Count, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import InvalidValueError


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
    if not isinstance(attack, Denoised):
        return others
    expected = guessing_control(
        attack,
        halves=audited.halves,
        null=null,
        adversary=adversary,
        noise_multiplier=audited.noise_multiplier,
        participations=audited.participations,
        units=units,
        rng=rng,
    )
    return max(others, expected, key=lambda count: count.successes)


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
        halves=halves(held_out, rng=rng),
    )
    prior = linear_prior(held_out)
    planned = tuple(
        contest
        for similarity in distinct_similarities(similarities)
        for contest in contests(similarity, prior=prior, audited=audited)
    )
    outcomes = tuple(attack(each.attack, adversary=each.adversary, null=each.null, audited=audited) for each in planned)
    nulls = tuple(dict.fromkeys(each.null for each in planned))
    return AttackReport(nulls=nulls, outcomes=outcomes, spectrum=prior.spectrum)


def attacked_units(*, similarities: tuple[Similarity, ...], train_units: int, audit: AuditTerms) -> int:
    """How many units `run_attacks` will report to `progress` in all."""
    sample, worst = min(audit.units, train_units), min(audit.worst_units, train_units)
    per_attack = (sample + worst) * audit.noise_draws + sample
    return per_attack * len(REALISTIC) * len(distinct_similarities(similarities))
