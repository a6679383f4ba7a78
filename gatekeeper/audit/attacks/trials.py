"""Simulated attacks: noise draws on chosen units, and the controls on units that took no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import PlantedRow, compare, observe
from gatekeeper.audit.rows import Rows, rows_of
from gatekeeper.core.adversary import Adversary, AttackName
from gatekeeper.core.participation import Participations
from gatekeeper.core.ranks import Ranks
from gatekeeper.core.risk import Count, Measure, NullCalibration
from gatekeeper.core.units import UnitImages


class SimulatedAttack(Protocol):
    """An attack that makes its own gradients, clip and noise, and hands in one image for each image of a unit."""

    @property
    def name(self) -> AttackName:
        """Which it is."""

    def reconstruct(
        self,
        data: UnitImages,
        *,
        rows: Rows,
        measure: Measure,
        noise_multiplier: float,
        participations: NDArray[np.int64],
        generator: torch.Generator,
    ) -> NDArray[np.float64]:
        """The best similarity that one noise draw reaches over each unit's images, shape (units,).

        Args:
            data: the units attacked.
            rows: the chosen units' images.
            measure: how read-outs are compared with the truth.
            noise_multiplier: σ, at least 0; 0 is the positive control.
            participations: k of each chosen unit, shape (units,); a unit that took part in no step gives 0.
            generator: draws the noise.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """What the noise draws gave for some units; private.

    Attributes:
        reached: whether each unit passed the threshold, shape (units,): in any draw, or, where guesses have to be
            beaten, in the draw in which most units did.
        first: each unit's best similarity in the first draw, shape (units,).
    """

    reached: NDArray[np.bool_]
    first: NDArray[np.float64]

    @property
    def count(self) -> Count:
        """Successes among units."""
        return Count(successes=int(self.reached.sum()), trials=len(self.reached))


def draw_participations(
    adversary: Adversary, participations: Participations, *, units: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The k of each unit: 1 for an adversary of one step, else drawn from the distribution of K, shape (units,).

    The mass that was cut off goes to the largest count, the one that helps the attack most.
    """
    if adversary.observes == "one-step":
        return np.ones(units, dtype=np.int64)
    probabilities = np.array(participations.probabilities)
    probabilities[-1] += max(0.0, 1.0 - probabilities.sum())
    return rng.choice(
        np.array(participations.counts, dtype=np.int64), size=units, p=probabilities / probabilities.sum()
    )


def attack_units(
    attack: SimulatedAttack,
    train: UnitImages,
    *,
    units: NDArray[np.int64],
    adversary: Adversary,
    null: NullCalibration,
    participations: Participations,
    noise_multiplier: float,
    draws: int,
    rng: np.random.Generator,
    generator: torch.Generator,
    progress: Callable[[int], None],
    ranks: Ranks,
) -> Draws:
    """Attack each unit in each draw; `progress` hears how many units a draw has done.

    Each of several processes attacks every n-th unit, with noise of its own. What else is random is drawn for all
    units in every process, from generators that are alike.
    """
    reached: list[NDArray[np.bool_]] = []
    first = np.zeros(len(units))
    own = np.arange(ranks.index, len(units), ranks.count)
    for draw in range(draws if len(units) else 0):
        counts = draw_participations(adversary, participations, units=len(units), rng=rng)
        best = np.zeros(len(units))
        if len(own):
            best[own] = attack.reconstruct(
                train,
                rows=rows_of(train, units=units[own]),
                measure=null.similarity.measure,
                noise_multiplier=noise_multiplier,
                participations=counts[own],
                generator=generator,
            )
        best = ranks.merged(best)
        reached.append(best >= null.threshold)
        first = first if draw else best
        progress(len(units))
    if not reached:
        return Draws(reached=np.zeros(len(units), dtype=np.bool_), first=first)
    # A threshold above guesses is above one guess a unit: any of several draws would pass it by guessing.
    counted = np.any(reached, axis=0) if null.guesser is None else max(reached, key=np.count_nonzero)
    return Draws(reached=np.asarray(counted), first=first)


def negative_control(
    *,
    train: UnitImages,
    held_out: UnitImages,
    row: PlantedRow,
    null: NullCalibration,
    clipping_norm: float,
    units: int,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Count:
    """Held-out units that a random training image's read-out, with the noise off, would "reconstruct".

    They took part in no gradient, so whatever passes is resemblance and not reconstruction.
    """
    chosen = rng.choice(held_out.units, size=min(units, held_out.units), replace=False).astype(np.int64)
    rows = rows_of(held_out, units=chosen)
    drawn = rng.integers(len(train.images), size=rows.units)
    values = []
    for piece in rows.batches(pixels=row.mean.numel()):
        readout = observe(
            train.images[drawn[piece.owner]],
            row=row,
            clipping_norm=clipping_norm,
            noise_std=np.zeros(len(piece.image)),
            generator=generator,
        )
        images = held_out.images[piece.image]
        mean = row.mean.numpy().reshape(images.shape[1:])
        values.append(compare(readout, images=images, mean=mean, measure=null.similarity.measure))
    passed = rows.best(np.concatenate(values)) >= null.threshold
    return Count(successes=int(passed.sum()), trials=rows.units)
