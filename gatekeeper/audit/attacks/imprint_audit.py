"""The audit by attack A′: what it achieves by each definition of success, beside what it could achieve at best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.attacks.imprint import AttackedStep, Flavour
from gatekeeper.audit.attacks.imprint_trials import Controls, ImprintTrials
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.null_of_many import nulls_of_many
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.adversary import ONE_STEP, Adversary, AttackName
from gatekeeper.core.checks import check_integer
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import AttackOutcome, Count, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import InvalidValueError

NAMES: dict[Flavour, AttackName] = {"bins": "imprint-bins", "trap": "imprint-trap"}

# The least share of units that must be isolated: a positive control on fewer would show next to nothing.
LEAST_ISOLATED = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class ImprintOutcome:
    """What attack A′ achieved by one definition of success.

    Attributes:
        outcome: its positive control counts, among the isolated units of the sample, those that are read out at an NCC
            of 0.9 with the noise off. Where fewer than a tenth of the sample is isolated, as many as are missing count
            as failures.
        null: calibrated on the best of `candidates` strangers' images.
        candidates: c, how many candidates the attack offers.
        isolated: units of the sample that some candidate consists of alone: what the attack can reach without noise.
    """

    outcome: AttackOutcome
    null: NullCalibration
    candidates: int
    isolated: Count

    def __post_init__(self) -> None:
        check_integer(candidates=self.candidates, at_least=1)
        if (self.outcome.similarity, self.outcome.threshold) != (self.null.similarity, self.null.threshold):
            raise InvalidValueError("an outcome is judged by the null that it was calibrated on")


def run_imprint(
    step: AttackedStep,
    *,
    similarities: tuple[Similarity, ...],
    adversary: Adversary,
    train: UnitImages,
    held_out: UnitImages,
    targets: Targets,
    participations: Participations,
    audit: AuditTerms,
    rng: np.random.Generator,
    progress: Callable[[int], None],
    known: tuple[NullCalibration, ...] = (),
    ranks: Ranks | None = None,
) -> tuple[ImprintOutcome, ...]:
    """Attack A′ on a sample and on the worst-k stratum, and both controls.

    Targets are dealt into batches at random, filled up with other training units, and dealt anew in each noise draw: a
    unit counts once, as any-of-draws, and meets other companions in each. An adversary of all steps averages
    the upper quantile of K steps that all take the same batch: companions that a unit can't be told from remain.

    Args:
        step: the run's own step with rows planted.
        similarities: the definitions of success, each once.
        adversary: one step, or all steps, knowing nothing.
        train: the training units.
        held_out: units of other people; for the null and the negative control.
        targets: which training units are attacked.
        participations: the distribution of K.
        audit: how hard to look.
        rng: deals batches and draws strangers; the noise is the run's own.
        progress: hears how many units a draw has put through the network; `imprinted_units` tells the total.
        known: definitions of success that are calibrated already.
        ranks: the processes that share out the batches, with `rng` alike in all; None attacks all of them here.

    Returns:
        One outcome for each definition of success.

    Raises:
        InvalidValueError: the adversary knows candidates.
        DataError: too few units for a threshold, nothing to compare with, or images too small for SSIM.
        DivergedError: a unit's gradient is not finite.
    """
    if adversary.knows != "nothing":
        raise InvalidValueError(f"attack A′ plays adversaries who know nothing, not the one called {adversary.title}")
    nulls = nulls_of_many(
        similarities,
        audited=train,
        held_out=held_out,
        candidates=step.rows,
        confidence=audit.null_confidence,
        known=known,
        rng=rng,
    )
    trials = ImprintTrials(
        step=step,
        train=train,
        held_out=held_out,
        units=_attacked(targets),
        measures=tuple(null.similarity.measure for null in nulls),
        ranks=OneRank() if ranks is None else ranks,
    )
    count = 1 if adversary == ONE_STEP else participations.upper_quantile()
    draws = np.stack(
        [
            trials.draw(steps=range(draw * count, (draw + 1) * count), rng=rng, progress=progress)
            for draw in range(audit.noise_draws)
        ]
    )
    strangers = rng.choice(held_out.units, size=min(audit.units, held_out.units), replace=False)
    controls = trials.controls(strangers=strangers.astype(np.int64), rng=rng)
    return tuple(
        _outcome(
            similarities=draws[:, index],
            strangers=controls.strangers[index],
            controls=controls,
            null=null,
            targets=targets,
            step=step,
            adversary=adversary,
            participations=count,
        )
        for index, null in enumerate(nulls)
    )


def imprint(
    step: AttackedStep,
    *,
    similarities: tuple[Similarity, ...],
    adversary: Adversary,
    train: UnitImages,
    held_out: UnitImages,
    participations: Participations,
    audit: AuditTerms,
    begin: Callable[[int], None],
    progress: Callable[[int], None],
    known: tuple[NullCalibration, ...] = (),
    ranks: Ranks | None = None,
) -> tuple[ImprintOutcome, ...]:
    """`run_imprint` on a random sample and on the worst-k stratum, from the operating system's randomness.

    Args:
        step: see `run_imprint`, like all that follow.
        similarities: definitions of success.
        adversary: one step, or all steps.
        train: the training units.
        held_out: units of other people.
        participations: the distribution of K.
        audit: how hard to look.
        begin: hears how many units will go through the network in all.
        progress: hears how many have since it last heard.
        known: definitions of success that are calibrated already.
        ranks: the processes that share out the batches.
    """
    ranks = OneRank() if ranks is None else ranks
    rng, mean = np.random.default_rng(ranks.seed()), mean_image(held_out.images)
    targets = choose_targets(train, mean=mean, sample=audit.units, worst=audit.worst_units, rng=rng)
    begin(imprinted_units(targets=targets, train_units=train.units, batch=step.batch, audit=audit))
    return run_imprint(
        step,
        similarities=similarities,
        adversary=adversary,
        train=train,
        held_out=held_out,
        targets=targets,
        participations=participations,
        audit=audit,
        rng=rng,
        progress=progress,
        known=known,
        ranks=ranks,
    )


def imprinted_units(*, targets: Targets, train_units: int, batch: int, audit: AuditTerms) -> int:
    """How many units `run_imprint` will report to `progress` in all, over all processes."""
    batches = -(-len(_attacked(targets)) // batch)
    return audit.noise_draws * min(train_units, batches * batch)


def _attacked(targets: Targets) -> NDArray[np.int64]:
    return np.unique(np.concatenate((targets.sample, targets.worst)))


def _outcome(
    *,
    similarities: NDArray[np.float64],
    strangers: NDArray[np.float64],
    controls: Controls,
    null: NullCalibration,
    targets: Targets,
    step: AttackedStep,
    adversary: Adversary,
    participations: int,
) -> ImprintOutcome:
    """Count successes by one definition: `similarities` has the shape (draws, attacked units)."""
    attacked = _attacked(targets)
    sample, worst = np.searchsorted(attacked, targets.sample), np.searchsorted(attacked, targets.worst)
    reached = np.asarray(np.any(similarities >= null.threshold, axis=0))
    isolated = controls.isolated[sample]
    return ImprintOutcome(
        outcome=AttackOutcome(
            attack=NAMES[step.flavour],
            adversary=adversary,
            similarity=null.similarity,
            threshold=null.threshold,
            sample=_count(reached[sample]),
            worst=_count(reached[worst]),
            positive_control=Count(
                successes=int((isolated & controls.recovered[sample]).sum()),
                trials=max(int(isolated.sum()), math.ceil(LEAST_ISOLATED * len(sample))),
            ),
            negative_control=_count(strangers >= null.threshold),
            noise_draws=len(similarities),
            participations=participations,
            median_similarity=float(np.median(similarities[0, sample])),
            source="production-step",
            candidates=step.rows,
        ),
        null=null,
        candidates=step.rows,
        isolated=_count(isolated),
    )


def _count(reached: NDArray[np.bool_]) -> Count:
    return Count(successes=int(reached.sum()), trials=len(reached))
