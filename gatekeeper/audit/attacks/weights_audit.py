"""The audit by attacks on the released model: images that nobody but the model gave away, and their controls.

An attack hands in c images for all units together. A unit counts as reconstructed where the closest of them resembles
it more than the closest of c strangers would (`null_of_many`). One training gives one set of weights, so there are no
noise draws; the controls are described in `core.weights_only`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.attacks.imprint_trials import unit_similarities
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.directions import directions
from gatekeeper.audit.null_of_many import nulls_of_many
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.adversary import WEIGHTS_ONLY, AttackName
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.risk import AttackOutcome, Count, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DivergedError

Floats = NDArray[np.float64]


class WeightsAttack(Protocol):
    """An attack on the released model."""

    @property
    def name(self) -> AttackName:
        """Which."""

    def images(self, progress: Callable[[int], None]) -> Floats:
        """What it hands in, pixels in [0, 1], shape (c, channels, *spatial)."""

    def control(self, images: Floats, *, rng: np.random.Generator, progress: Callable[[int], None]) -> Control:
        """Whether it works where it must, given what it handed in."""


class Control(Protocol):
    """A positive control."""

    def count(self, null: NullCalibration, *, mean: Floats) -> Count:
        """Its successes by one definition of success, centred by the mean image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsOutcome:
    """What an attack on the released model achieved by one definition of success.

    Attributes:
        outcome: what it achieved.
        null: calibrated on the best of as many strangers as the attack hands in images.
    """

    outcome: AttackOutcome
    null: NullCalibration


def run_weights_attack(
    attack: WeightsAttack,
    *,
    similarities: tuple[Similarity, ...],
    train: UnitImages,
    held_out: UnitImages,
    audit: AuditTerms,
    progress: Callable[[int], None],
    known: tuple[NullCalibration, ...] = (),
    targets: Targets | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[WeightsOutcome, ...]:
    """One attack on a sample and on the worst-k stratum for each definition of success, and both controls.

    Args:
        attack: hands in images.
        similarities: the definitions of success, each once.
        train: the training units.
        held_out: units of other people, for the null and for the negative control: the same images, compared with them.
        audit: how many units are compared, and how many images are handed in.
        progress: what the attack reports to.
        known: definitions of success that are calibrated already.
        targets: which training units are attacked; None draws a sample and takes the worst-k stratum.
        rng: draws samples and strangers; by default seeded by the operating system.

    Raises:
        DataError: too few units for a threshold, or nothing to compare with.
        DivergedError: the attack found an image that is none.
    """
    rng, mean = rng or np.random.default_rng(), mean_image(held_out.images)
    if targets is None:
        targets = choose_targets(train, mean=mean, sample=audit.units, worst=audit.worst_units, rng=rng)
    nulls = nulls_of_many(
        similarities,
        audited=train,
        held_out=held_out,
        candidates=audit.weights_only.candidates,
        confidence=audit.null_confidence,
        known=known,
        rng=rng,
    )
    images = attack.images(progress)
    if not np.isfinite(images).all():
        raise DivergedError(f"attack {attack.name} found pixels that are not finite")
    control = attack.control(images, rng=rng, progress=progress)
    strangers = rng.choice(held_out.units, size=min(audit.units, held_out.units), replace=False).astype(np.int64)

    def outcome(null: NullCalibration) -> AttackOutcome:
        def reached(data: UnitImages, units: NDArray[np.int64]) -> Floats:
            return resemblance(images, data=data, units=units, mean=mean, null=null)

        sample = reached(train, targets.sample)
        return AttackOutcome(
            attack=attack.name,
            adversary=WEIGHTS_ONLY,
            similarity=null.similarity,
            threshold=null.threshold,
            sample=successes(sample, null),
            worst=successes(reached(train, targets.worst), null),
            positive_control=control.count(null, mean=mean),
            negative_control=successes(reached(held_out, strangers), null),
            noise_draws=1,
            participations=0,
            median_similarity=float(np.median(sample)),
            source="released-model",
            candidates=len(images),
        )

    return tuple(WeightsOutcome(outcome=outcome(null), null=null) for null in nulls)


def resemblance(
    images: Floats, *, data: UnitImages, units: NDArray[np.int64], mean: Floats, null: NullCalibration
) -> Floats:
    """How alike each unit and the closest of the images are, the best over the unit's images, shape (units,)."""
    rows = directions((images - mean).reshape(len(images), -1))
    return unit_similarities(rows, data=data, units=units, mean=mean, measure=null.similarity.measure)


def successes(similarities: Floats, null: NullCalibration) -> Count:
    """How many reach the threshold."""
    return Count(successes=int((similarities >= null.threshold).sum()), trials=len(similarities))
