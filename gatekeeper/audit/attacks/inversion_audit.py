"""The audit by attack B: gradients of the run's own step, each of one unit alone, inverted; with its controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gatekeeper.audit.attacks.inversion import Loss, Search, invert
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.rows import Rows, rows_of
from gatekeeper.audit.similarity import centred, mean_image, ncc, ssim
from gatekeeper.core.adversary import ONE_STEP
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import AttackOutcome, Count, Measure, NullCalibration
from gatekeeper.core.units import UnitImages

Floats = NDArray[np.float64]

# Gradients of units that are inverted together, in numbers: more fill the memory, fewer waste the processor.
_TOGETHER = 4_000_000


class GradientStep(Protocol):
    """Takes the run's own step with chosen units in play, all others being zeroed out."""

    def release(self, units: NDArray[np.int64]) -> Floats:
        """The noisy sum of the network's gradients, of any scale: float64, shape (parameters,)."""

    def quiet_release(self, units: NDArray[np.int64]) -> Floats:
        """The same with noise that hides nothing."""

    def targets(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the gradients of units are taken towards: class indices, shape (units, …), of one view each."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Inverter:
    """What the attacker has: the weights, one gradient at a time, and the units' labels.

    Attributes:
        step: takes the run's own step.
        network: whose gradients it releases, on the CPU; its parameters in the order of the released numbers.
        loss: one loss a view.
        search: how hard to look.
        generator: draws the starts.
    """

    step: GradientStep
    network: nn.Module
    loss: Loss
    search: Search
    generator: torch.Generator

    def images(
        self,
        data: UnitImages,
        units: NDArray[np.int64],
        *,
        quiet: bool,
        progress: Callable[[int], None] = lambda units: None,
    ) -> Floats:
        """What each unit's gradient is inverted to: in [0, 1], shape (units, channels, *spatial).

        Args:
            data: whose units they are.
            units: which.
            quiet: whether the noise hides nothing.
            progress: hears how many units are done since it last heard.
        """
        parameters = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        few = max(1, _TOGETHER // parameters)
        parts = [np.zeros((0, *data.images.shape[1:]))]
        for at in range(0, len(units), few):
            parts.append(self._inverted(data, units[at : at + few], quiet=quiet))
            progress(len(parts[-1]))
        return np.concatenate(parts)

    def _inverted(self, data: UnitImages, units: NDArray[np.int64], *, quiet: bool) -> Floats:
        observe = self.step.quiet_release if quiet else self.step.release
        # One by one: a unit that is in the sample and in the worst stratum comes twice.
        alone = [units[at : at + 1] for at in range(len(units))]
        gradients = np.stack([observe(unit) for unit in alone])
        targets = np.concatenate([self.step.targets(unit) for unit in alone])  # which the attacker knows
        found = invert(
            self.network,
            loss=self.loss,
            gradients=torch.from_numpy(gradients).float(),
            targets=torch.from_numpy(targets),
            image_shape=data.images.shape[1:],
            search=self.search,
            generator=self.generator,
        )
        return np.asarray(found.double().numpy())


def run_inversion(
    inverter: Inverter,
    *,
    nulls: tuple[NullCalibration, ...],
    train: UnitImages,
    held_out: UnitImages,
    audit: AuditTerms,
    progress: Callable[[int], None],
    targets: Targets | None = None,
    rng: np.random.Generator | None = None,
    ranks: Ranks | None = None,
) -> tuple[AttackOutcome, ...]:
    """Attack B on a sample and on the worst-k stratum for each definition of success, and both controls.

    It plays the adversary of one step: a unit's gradient alone, at the weights of the trained network.

    Args:
        inverter: what the attacker has.
        nulls: definitions of success with their thresholds, for one candidate.
        train: the training units.
        held_out: units of other people, for the negative control.
        audit: how hard to look.
        progress: hears how many units have been attacked since it last heard; `inverted_units` tells the total.
        targets: which training units are attacked; None draws a sample and takes the worst-k stratum.
        rng: draws that sample, and the strangers of the negative control; alike in all processes, and by default seeded
            by the operating system.
        ranks: the processes that share out the units; None attacks all of them here.
    """
    ranks = OneRank() if ranks is None else ranks
    rng = np.random.default_rng(ranks.seed()) if rng is None else rng
    if targets is None:
        mean = mean_image(held_out.images)
        targets = choose_targets(train, mean=mean, sample=audit.units, worst=audit.worst_units, rng=rng)
    attacked = np.concatenate((targets.sample, targets.worst))
    mean = mean_image(held_out.images)

    def similarities(units: NDArray[np.int64], *, quiet: bool) -> Floats:
        """Of each unit by each definition, shape (nulls, units); all processes end with the same."""
        own = np.arange(ranks.index, len(units), ranks.count)
        found = inverter.images(train, units[own], quiet=quiet, progress=progress)
        best = np.zeros((len(nulls), len(units)))
        for index, null in enumerate(nulls):
            rows = rows_of(train, units=units[own])
            if len(own):
                best[index, own] = _alike(train, rows, found, mean=mean, measure=null.similarity.measure)
        return np.stack([ranks.merged(each) for each in best])

    draws = np.stack([similarities(attacked, quiet=False) for _ in range(audit.noise_draws)])
    positive = similarities(targets.sample, quiet=True)
    strangers = _strangers(inverter, nulls, train=train, held_out=held_out, audit=audit, mean=mean, rng=rng)
    size = len(targets.sample)
    return tuple(
        AttackOutcome(
            attack="inversion",
            adversary=ONE_STEP,
            similarity=null.similarity,
            threshold=null.threshold,
            sample=_count(draws[:, index, :size].max(axis=0) >= null.threshold),
            worst=_count(draws[:, index, size:].max(axis=0) >= null.threshold),
            positive_control=_count(positive[index] >= null.threshold),
            negative_control=strangers[index],
            noise_draws=audit.noise_draws,
            participations=1,
            median_similarity=float(np.median(draws[0, index, :size])),
            source="production-step",
        )
        for index, null in enumerate(nulls)
    )


def inverted_units(*, train_units: int, audit: AuditTerms) -> int:
    """How many units `run_inversion` will report to `progress` in all, over all processes."""
    sample, worst = min(audit.units, train_units), min(audit.worst_units, train_units)
    return audit.noise_draws * (sample + worst) + sample


def _alike(data: UnitImages, rows: Rows, found: Floats, *, mean: Floats, measure: Measure) -> Floats:
    """The best similarity of what was found with any of the unit's images, shape (units,)."""
    values = []
    for piece in rows.batches(pixels=mean.size):
        images, guesses = data.images[piece.image], found[piece.owner]
        if measure == "ncc":
            values.append(ncc(centred(images, mean=mean), (guesses - mean).reshape(len(images), -1)))
        else:
            values.append(ssim(images / 255.0, guesses))
    return rows.best(np.concatenate(values))


# Each costs an inversion; so few tell a threshold that anybody passes from one that hardly anybody does.
_STRANGERS = 60


def _strangers(
    inverter: Inverter,
    nulls: tuple[NullCalibration, ...],
    *,
    train: UnitImages,
    held_out: UnitImages,
    audit: AuditTerms,
    mean: Floats,
    rng: np.random.Generator,
) -> tuple[Count, ...]:
    """Held-out units that a training unit's image, found with the noise off, resembles: of each definition.

    Every process inverts the same few, from `rng`, so that all count the same.
    """
    count = min(_STRANGERS, audit.units, held_out.units)
    chosen = rng.choice(held_out.units, size=count, replace=False).astype(np.int64)
    drawn = rng.integers(train.units, size=count)
    common = Inverter(
        step=inverter.step,
        network=inverter.network,
        loss=inverter.loss,
        search=inverter.search,
        generator=torch.Generator().manual_seed(int(rng.integers(2**62))),
    )
    units, back = np.unique(drawn, return_inverse=True)
    found = common.images(train, units, quiet=True)[back]
    rows = rows_of(held_out, units=chosen)
    return tuple(
        _count(_alike(held_out, rows, found, mean=mean, measure=null.similarity.measure) >= null.threshold)
        for null in nulls
    )


def _count(reached: NDArray[np.bool_]) -> Count:
    return Count(successes=int(reached.sum()), trials=len(reached))
