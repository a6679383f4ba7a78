"""Guesses: what an attacker with a prior hands in when there is nothing of the image in what it read.

A read-out with a prior turns noise into something that looks like such images, and the more noise there is the fewer
directions it varies in: where images have much in common, some guesses come close to any of them. A success must beat
them as it must beat strangers' images. Guesses are read from noise of the run's own level, since a threshold must not
depend on whether the image is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.trials import draw_participations
from gatekeeper.audit.null import calibrated_on
from gatekeeper.audit.prior import LinearPrior, linear_prior
from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.subset import subset
from gatekeeper.core.adversary import Adversary
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import Count, Measure, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages


def guess_similarities(
    attack: Denoised,
    data: UnitImages,
    *,
    units: NDArray[np.int64],
    adversary: Adversary,
    measure: Measure,
    noise_multiplier: float,
    participations: Participations,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The best similarity of each unit's images to a guess for each, shape (units,).

    This noise hides nothing, so all processes draw the same, from `rng`.

    Args:
        attack: whose read-out guesses.
        data: units that the guesses are compared with.
        units: indices of those to use, shape (units,).
        adversary: whom it plays; says how many gradients are averaged.
        measure: how guesses are compared with images.
        noise_multiplier: σ of the run.
        participations: the distribution of K.
        rng: draws K and the noise.
    """
    return attack.reconstruct(
        data,
        rows=rows_of(data, units=units),
        measure=measure,
        noise_multiplier=noise_multiplier,
        participations=draw_participations(adversary, participations, units=len(units), rng=rng),
        generator=torch.Generator().manual_seed(int(rng.integers(2**62))),
        absent=True,
    )


def calibrate_with_guesses(
    attack: Denoised,
    *,
    similarity: Similarity,
    strangers: NDArray[np.float64],
    audited: UnitImages,
    units: NDArray[np.int64],
    adversary: Adversary,
    noise_multiplier: float,
    participations: Participations,
    confidence: float,
    rng: np.random.Generator,
) -> NullCalibration:
    """The threshold τ of an adversary with a prior: above strangers' images and above its own guesses.

    Args:
        attack: whose read-out guesses.
        similarity: the rule's definition of success.
        strangers: what one stranger's image reaches with each unit (`null.null_similarities`), shape (units,).
        audited: the training units.
        units: indices of those that guesses are compared with, shape (units,).
        adversary: whom the attack plays.
        noise_multiplier: σ of the run.
        participations: the distribution of K.
        confidence: one-sided confidence of each limit of the quantile.
        rng: draws K and the noise.

    Raises:
        DataError: too few units for a limit.
    """
    guesses = guess_similarities(
        attack,
        audited,
        units=units,
        adversary=adversary,
        measure=similarity.measure,
        noise_multiplier=noise_multiplier,
        participations=participations,
        rng=rng,
    )
    return calibrated_on(strangers, similarity=similarity, confidence=confidence, guesser=adversary, guesses=guesses)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Half:
    """What half of the held-out units teach, and the units of the other half, who had no part in it.

    Attributes:
        prior: from one half.
        others: the other half. Private.
    """

    prior: LinearPrior
    others: UnitImages


def halves(held_out: UnitImages, *, rng: np.random.Generator) -> tuple[Half, ...]:
    """Both ways of learning from one random half of the held-out units: each unit is once among the others.

    Guesses made with a covariance resemble the very images that it was learnt from more than they resemble anybody
    else: a control on those would call a sound threshold broken.

    Args:
        held_out: at least 16 units.
        rng: divides them.

    Raises:
        DataError: there are too few.
    """
    order = rng.permutation(held_out.units).astype(np.int64)
    first, second = (subset(held_out, units=part) for part in (order[: len(order) // 2], order[len(order) // 2 :]))
    return tuple(Half(prior=linear_prior(one), others=other) for one, other in ((first, second), (second, first)))


def guessing_control(
    attack: Denoised,
    *,
    halves: tuple[Half, ...],
    null: NullCalibration,
    adversary: Adversary,
    noise_multiplier: float,
    participations: Participations,
    units: int,
    rng: np.random.Generator,
) -> Count:
    """Held-out units that the attack would "reconstruct" by guessing, without having learnt from them.

    Args:
        attack: whose read-out guesses, with the prior of either half.
        halves: of the held-out units.
        null: the definition of success and its threshold.
        adversary: whom it plays.
        noise_multiplier: σ of the run.
        participations: the distribution of K.
        units: how many to use; all where there are fewer.
        rng: chooses units, draws K and the noise.
    """
    passed, trials = 0, 0
    for half, most in zip(halves, (units // 2, units - units // 2), strict=True):
        others = half.others
        chosen = rng.choice(others.units, size=min(most, others.units), replace=False).astype(np.int64)
        best = guess_similarities(
            replace(attack, prior=half.prior),
            others,
            units=chosen,
            adversary=adversary,
            measure=null.similarity.measure,
            noise_multiplier=noise_multiplier,
            participations=participations,
            rng=rng,
        )
        passed, trials = passed + int((best >= null.threshold).sum()), trials + len(chosen)
    return Count(successes=passed, trials=trials)
