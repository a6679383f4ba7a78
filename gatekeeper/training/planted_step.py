"""A step of the run's own training with planted rows in front of the candidate's network, as a server sees it.

Engine, clipping and noise are those that train the candidate: one gradient of rows and network is clipped as a whole,
and the noisy mean over the batch's units is released. Nothing is updated; the server sends the same network each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.core.candidate import AugmentationSpec, Candidate
from gatekeeper.core.checks import check_integer
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DataError
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping_norm import ClippingNorm, clipping_norm
from gatekeeper.training.noise import from_grid
from gatekeeper.training.planted import GAIN, Flavour, PlantedNetwork, plant
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.subject import subject_of
from gatekeeper.training.views import Views, ViewSource


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RowGradients:
    """The part of a released gradient that belongs to the planted rows.

    Attributes:
        weight: float64, shape (rows, pixels).
        bias: float64, shape (rows,).
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Activations:
    """Which rows a step's views activate; private.

    Attributes:
        image: which training image each view shows, int64, shape (views,).
        active: shape (views, rows).
    """

    image: NDArray[np.int64]
    active: NDArray[np.bool_]


class PlantedStep:
    """Forms the gradients that a server who planted rows sees.

    Args:
        candidate: network and recipe; its initial weights are what rows are planted in front of.
        plan: mechanism, clipping norm and divisor.
        card: image shape, classes and task.
        train: the training units.
        held_out: units of other people, whose images place the rows.
        flavour: which rows.
        rows: how many, at least 2.
        batch: units of a step that rows are planted for, at least 2. By default the recipe's, no more than rows: with
            many more units than rows hardly any is isolated, and a server may ask for smaller batches.
        augmented: whether views are augmented as in the run. Without, the attacker is stronger: a view is the image,
            which is what read-outs are compared with, in controls too.
        gain: see `PlantedNetwork`.
        allow_code: the candidate's own code that the policy allows.
        device: where; None is the CPU.

    Raises:
        DataError: held-out images can't place the rows, or have another shape.
        InvalidValueError: an argument is out of its range.
        PrivacyError: the noise is too small beside the sums to be added exactly.
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """

    def __init__(
        self,
        *,
        candidate: Candidate,
        plan: TrainingPlan,
        card: DatasetCard,
        train: UnitImages,
        held_out: UnitImages,
        flavour: Flavour,
        rows: int = 64,
        batch: int | None = None,
        augmented: bool = False,
        gain: float = GAIN,
        allow_code: tuple[CodeFile, ...] = (),
        device: torch.device | None = None,
    ) -> None:
        spec, device = candidate.training, device or torch.device("cpu")
        if held_out.images.shape[1:] != train.images.shape[1:]:
            raise DataError(
                f"held-out images have the shape {held_out.images.shape[1:]}, training images {train.images.shape[1:]}",
                hint="images of one data set have one shape",
            )
        self.batch = min(spec.expected_batch, rows) if batch is None else batch
        subject = subject_of(candidate, card, data=None, allow_code=allow_code, device=device)
        # Public: rows and pattern are what the server sends out.
        generator = np.random.default_rng(spec.seed)
        planted = plant(flavour, held_out.images, rows=rows, batch=self.batch, generator=generator)
        self.flavour, self.rows, self.mean = planted.flavour, rows, planted.mean
        self._network = PlantedNetwork(subject.network, rows=planted, generator=generator, gain=gain).to(device)
        self._plan, self._units, self._train = plan, train.units, train
        self._parameters = sum(p.numel() for p in self._network.parameters() if p.requires_grad)
        self._engine = isolation.isolated_engine(
            self._network,
            views=spec.views,
            physical_batch=spec.physical_batch,
            expected_batch=self.batch,
            image_shape=subject.shape,
            targets=subject.random_targets,
            loss=subject.loss,
            # In float32 whatever the candidate says: a server sends out what serves it best, and rows tell more in it.
            precision="float32",
        )
        self._source = ViewSource(
            train,
            views=spec.views,
            augmentation=spec.augmentation if augmented else AugmentationSpec(),
            seed=spec.seed,
            device=device,
        )
        self._norm()  # refuses too little noise now, and not at the first step

    def observe(self, units: NDArray[np.int64], *, steps: range) -> RowGradients:
        """The mean of what is released in steps that all take `units`.

        Args:
            units: indices of the batch's units, shape (units,).
            steps: which steps, at least one; their number is k. Views differ from step to step as in the run.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        check_integer(steps=len(steps), at_least=1)
        weight, bias = self._released(units, step=steps[0])
        for step in steps[1:]:
            again = self._released(units, step=step)
            weight, bias = weight.add_(again[0]), bias.add_(again[1])
        return _read(weight / len(steps), bias / len(steps))

    def silent(self, units: NDArray[np.int64], *, step: int) -> RowGradients:
        """What would be released without noise, for controls: clipped, summed and divided alike."""
        norm = self._norm()
        sums = self._engine.clipped_sum(self._source.draw(step, units), grid=norm.grid, rule=norm.rule)
        weight, bias = from_grid(sums[:2], grid=norm.grid)
        return _read(weight / self._plan.divisor, bias / self._plan.divisor)

    def activations(self, units: NDArray[np.int64], *, step: int) -> Activations:
        """Which rows the views of `units` in a step activate, in the order of views."""
        active = [self._network.active(piece).cpu() for piece in self._pieces(self._source.draw(step, units))]
        return Activations(image=self._source.choose(step, units), active=np.asarray(torch.cat(active).numpy()))

    def close(self) -> None:
        """Give the network its own layers back."""
        self._engine.close()

    def _released(self, units: NDArray[np.int64], *, step: int) -> list[Tensor]:
        """One step's noisy mean, by noise and a clipping norm that begin anew."""
        release = NoisyMean(self._plan, engine=self._engine, units=self._units, parameters=self._parameters)
        return release.of(self._source.draw(step, units))[:2]

    def _norm(self) -> ClippingNorm:
        return clipping_norm(self._plan, units=self._units, parameters=self._parameters)

    def _pieces(self, batch: Views) -> Iterator[Tensor]:
        return iter(torch.split(batch.images, self._engine.units_at_once * self._engine.views))


def _read(weight: Tensor, bias: Tensor) -> RowGradients:
    return RowGradients(weight=weight.cpu().numpy(), bias=bias.cpu().numpy())
