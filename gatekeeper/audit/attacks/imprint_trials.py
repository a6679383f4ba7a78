"""Real batches through planted rows: noise draws on chosen units, and the controls with the noise off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.attacks.imprint import AttackedStep, best_similarities, isolated_images, read_out
from gatekeeper.audit.rows import rows_of
from gatekeeper.core.ranks import Ranks
from gatekeeper.core.risk import Measure
from gatekeeper.core.units import UnitImages

# NCC from which an isolated unit counts as recovered with the noise off.
RECOVERED = 0.9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Controls:
    """What steps without noise gave; private.

    Attributes:
        isolated: whether some candidate consists of an image of the unit alone, shape (units,).
        recovered: whether the unit is read out at an NCC of 0.9, shape (units,).
        strangers: similarities of held-out units, by each measure, shape (measures, held-out units).
    """

    isolated: NDArray[np.bool_]
    recovered: NDArray[np.bool_]
    strangers: NDArray[np.float64]


def deal(units: NDArray[np.int64], *, of: int, size: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Batches that together hold each of `units` once, filled up with others; each sorted, as the run's are.

    Args:
        units: whom to deal, distinct.
        of: how many training units there are.
        size: the most units of a batch; there are fewer only where the training units don't suffice.
        rng: deals: companions are random, as in the run.
    """
    batches = -(-len(units) // size)
    others = rng.permutation(np.setdiff1d(np.arange(of), units))[: batches * size - len(units)]
    dealt = rng.permutation(np.concatenate((units, others)))
    return tuple(np.sort(batch) for batch in np.array_split(dealt, max(batches, 1)))


def unit_similarities(
    candidates: NDArray[np.float64],
    *,
    data: UnitImages,
    units: NDArray[np.int64],
    mean: NDArray[np.float64],
    measure: Measure,
) -> NDArray[np.float64]:
    """Each unit's best similarity over its images and the candidates, shape (units,).

    Args:
        candidates: as `read_out` gives them, shape (candidates, pixels).
        data: the units' images.
        units: indices, shape (units,).
        mean: m.
        measure: how images are compared.
    """
    rows = rows_of(data, units=units)
    values = [
        best_similarities(candidates, images=data.images[piece.image], mean=mean, measure=measure)
        for piece in rows.batches(pixels=max(candidates.shape))
    ]
    return rows.best(np.concatenate((*values, np.empty(0))))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImprintTrials:
    """Whom attack A′ is tried on.

    Each of several processes takes every n-th batch; what is random here is drawn alike in all of them.

    Attributes:
        step: the run's own step with rows planted.
        train: the training units.
        held_out: units of other people.
        units: which training units are attacked, distinct and rising, shape (units,).
        measures: how read-outs are compared.
        ranks: the processes that share out the batches.
    """

    step: AttackedStep
    train: UnitImages
    held_out: UnitImages
    units: NDArray[np.int64]
    measures: tuple[Measure, ...]
    ranks: Ranks

    def draw(self, *, steps: range, rng: np.random.Generator, progress: Callable[[int], None]) -> NDArray[np.float64]:
        """One noise draw: each unit's best similarity by each measure, shape (measures, units).

        Args:
            steps: the steps whose noisy gradients are averaged.
            rng: deals units into batches.
            progress: hears how many units have gone through the network.
        """
        best = np.zeros((len(self.measures), len(self.units)))
        batches = self._deal(rng)
        for batch in (batches[index] for index in self._own(len(batches))):
            here = np.isin(self.units, batch)
            candidates = read_out(self.step.observe(batch, steps=steps), flavour=self.step.flavour)
            best[:, here] = self._similarities(candidates, data=self.train, units=self.units[here])
            progress(len(batch))
        return self.ranks.merged(best)

    def controls(self, *, strangers: NDArray[np.int64], rng: np.random.Generator) -> Controls:
        """With the noise off: who can be read out, who is, and how close held-out units come.

        Args:
            strangers: held-out units; each meets the candidates of one batch, in which it took no part.
            rng: deals units into batches.
        """
        isolated, recovered = np.zeros(len(self.units)), np.zeros(len(self.units))
        reached = np.zeros((len(self.measures), len(strangers)))
        batches = self._deal(rng)
        meets = np.arange(len(strangers)) % len(batches)
        for index in self._own(len(batches)):
            batch, own = batches[index], meets == index
            here = np.isin(self.units, batch)
            candidates = read_out(self.step.silent(batch, step=0), flavour=self.step.flavour)
            alone = isolated_images(self.step.activations(batch, step=0), flavour=self.step.flavour)
            isolated[here] = np.isin(self.units[here], self.train.unit_of[alone])
            recovered[here] = self._ncc(candidates, self.units[here]) >= RECOVERED
            reached[:, own] = self._similarities(candidates, data=self.held_out, units=strangers[own])
        return Controls(
            isolated=self.ranks.merged(isolated) > 0,
            recovered=self.ranks.merged(recovered) > 0,
            strangers=self.ranks.merged(reached),
        )

    def _deal(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        return deal(self.units, of=self.train.units, size=self.step.batch, rng=rng)

    def _own(self, batches: int) -> range:
        return range(self.ranks.index, batches, self.ranks.count)

    def _ncc(self, candidates: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
        return unit_similarities(candidates, data=self.train, units=units, mean=self.step.mean, measure="ncc")

    def _similarities(
        self, candidates: NDArray[np.float64], *, data: UnitImages, units: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """By each measure, shape (measures, units)."""
        found = {
            measure: unit_similarities(candidates, data=data, units=units, mean=self.step.mean, measure=measure)
            for measure in sorted(set(self.measures))
        }
        return np.stack([found[measure] for measure in self.measures])
