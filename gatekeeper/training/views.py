"""The augmented views that a unit contributes to a step.

Each view is one of the unit's images under one random augmentation. What a unit's views are depends on
the public seed, the step and the unit alone, never on which other units were sampled: otherwise removing
one unit would alter the others' gradients too, and the sensitivity would no longer be C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.core.candidate import AugmentationSpec
from gatekeeper.core.units import UnitImages
from gatekeeper.training.augmentation import Alterations, altered_images, altered_masks, draw_alterations


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """The views of some units, unit by unit.

    Attributes:
        images: pixel values in [0, 1], float32, shape (units · views, channels, *spatial).
        targets: class of each view, int64, shape (units · views,); or of each of its pixels, (units · views, *spatial).
    """

    images: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Views:
        """The same views on a device."""
        return Views(images=self.images.to(device), targets=self.targets.to(device))


class ViewSource:
    """Draws the views of sampled units.

    Args:
        data: the training images.
        views: views of each unit a step.
        augmentation: how views differ.
        seed: public; apart from the seeds of noise and sampling.
        device: where views are made and stay.
    """

    def __init__(
        self,
        data: UnitImages,
        *,
        views: int,
        augmentation: AugmentationSpec,
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        order = np.argsort(data.unit_of, kind="stable")
        self._images_by_unit = order
        self._counts = np.bincount(data.unit_of, minlength=data.units)
        self._starts = np.concatenate(([0], np.cumsum(self._counts)[:-1]))
        self._data = data
        self._views = views
        self._augmentation = augmentation
        self._seed = seed
        self._device = device or torch.device("cpu")

    def draw(self, step: int, units: NDArray[np.int64]) -> Views:
        """The views of `units` in this step.

        Args:
            step: index of the step, from 0.
            units: indices of the sampled units, shape (units,).
        """
        generator = self._generator(step)
        chosen = self._choose(generator, units)
        shape = (self._data.units, self._views)
        drawn = draw_alterations(generator, self._augmentation, shape=shape, axes=self._data.images.ndim - 2)
        return self._altered(chosen, drawn.of(units))

    def choose(self, step: int, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which image each view in `draw` shows, unit by unit, shape (units · views,)."""
        return self._choose(self._generator(step), units)

    def _generator(self, step: int) -> np.random.Generator:
        """One stream for each step, drawn for all units and then indexed: a unit's draw never depends on the others."""
        return np.random.Generator(np.random.PCG64([self._seed, step]))

    def _altered(self, chosen: NDArray[np.int64], how: Alterations) -> Views:
        """The chosen images, and their masks where there are some, each under its alteration."""
        images = torch.from_numpy(self._data.images[chosen]).to(self._device)
        altered = altered_images(images, how, spec=self._augmentation)
        if self._data.masks is None:
            return Views(images=altered, targets=torch.from_numpy(self._data.labels[chosen]).to(self._device))
        masks = torch.from_numpy(self._data.masks[chosen]).to(self._device)
        return Views(images=altered, targets=altered_masks(masks, how, spec=self._augmentation))

    def _choose(self, generator: np.random.Generator, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Images for each view: the unit's images in turn from a random start, in a random order of views.

        So a unit with as many images as views shows each of them once.
        """
        first = generator.random(self._data.units)[units]
        order = generator.random((self._data.units, self._views))[units]
        counts, starts = self._counts[units][:, None], self._starts[units][:, None]
        turn = (first[:, None] * counts).astype(np.int64) + np.argsort(order, axis=1)
        return np.asarray(self._images_by_unit[(starts + turn % counts).reshape(-1)])
