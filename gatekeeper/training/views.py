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


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """The views of some units, unit by unit.

    Attributes:
        images: pixel values in [0, 1], float32, shape (units · views, channels, height, width).
        targets: class of each view, int64, shape (units · views,).
    """

    images: Tensor
    targets: Tensor


class ViewSource:
    """Draws the views of sampled units.

    Args:
        data: the training images.
        views: views of each unit a step.
        augmentation: how views differ.
        seed: public; apart from the seeds of noise and sampling.
    """

    def __init__(self, data: UnitImages, *, views: int, augmentation: AugmentationSpec, seed: int) -> None:
        order = np.argsort(data.unit_of, kind="stable")
        self._images_by_unit = order
        self._counts = np.bincount(data.unit_of, minlength=data.units)
        self._starts = np.concatenate(([0], np.cumsum(self._counts)[:-1]))
        self._data = data
        self._views = views
        self._augmentation = augmentation
        self._seed = seed

    def draw(self, step: int, units: NDArray[np.int64]) -> Views:
        """The views of `units` in this step.

        Args:
            step: index of the step, from 0.
            units: indices of the sampled units, shape (units,).
        """
        # One stream for each step, drawn for all units and then indexed: a unit's draw never depends on the others.
        generator = np.random.Generator(np.random.PCG64([self._seed, step]))
        shape = (self._data.units, self._views)
        first = generator.random(self._data.units)[units]
        order = generator.random(shape)[units]
        flips = generator.integers(2, size=(*shape, 2))[units].reshape(-1, 2)
        reach = self._augmentation.shift
        shifts = generator.integers(-reach, reach + 1, size=(*shape, 2))[units].reshape(-1, 2)
        chosen = self._choose(units, first=first, order=order)
        images = torch.from_numpy(self._data.images[chosen]).to(torch.float32) / 255
        images = _shift(_flip(images, flips) if self._augmentation.flips else images, shifts, reach=reach)
        return Views(images=images, targets=torch.from_numpy(self._data.labels[chosen]))

    def _choose(
        self, units: NDArray[np.int64], *, first: NDArray[np.float64], order: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Images for each view: the unit's images in turn from a random start, in a random order of views.

        So a unit with as many images as views shows each of them once.
        """
        counts, starts = self._counts[units][:, None], self._starts[units][:, None]
        turn = (first[:, None] * counts).astype(np.int64) + np.argsort(order, axis=1)
        return np.asarray(self._images_by_unit[(starts + turn % counts).reshape(-1)])


def _flip(images: Tensor, flips: NDArray[np.int64]) -> Tensor:
    """Each image mirrored upside down or left to right, as its row of `flips` (shape (n, 2)) says."""
    vertical, horizontal = (torch.from_numpy(flips[:, axis] == 1).view(-1, 1, 1, 1) for axis in (0, 1))
    images = torch.where(vertical, images.flip(2), images)
    return torch.where(horizontal, images.flip(3), images)


def _shift(images: Tensor, shifts: NDArray[np.int64], *, reach: int) -> Tensor:
    """Each image moved by its row of `shifts` (shape (n, 2), pixels); the border is repeated."""
    if reach == 0:
        return images
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="replicate")
    offsets = torch.from_numpy(shifts + reach)
    rows = (offsets[:, :1] + torch.arange(height)).view(-1, 1, height, 1)
    columns = (offsets[:, 1:] + torch.arange(width)).view(-1, 1, 1, width)
    batch = torch.arange(len(images)).view(-1, 1, 1, 1)
    channel = torch.arange(images.shape[1]).view(1, -1, 1, 1)
    return padded[batch, channel, rows, columns]
