"""Small nouns and data that tests of several modules start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.budget import Budget
from gatekeeper.core.candidate import AugmentationSpec, Candidate, ModelSpec, OptimizerSpec, TrainingSpec
from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.record import DatasetCard, TrainingPlan


@dataclass(frozen=True)
class TinyUnits:
    """Satisfies `core.units.UnitImages`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    unit_of: NDArray[np.int64]
    units: int
    masks: NDArray[np.uint8] | None = None


def tiny_units(*, units: int = 12, most_images: int = 3, side: int = 8, channels: int = 1, seed: int = 0) -> TinyUnits:
    """Random images of two classes, one to `most_images` for each unit; class 1 is brighter."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, most_images + 1, size=units)
    unit_of = np.repeat(np.arange(units), counts)
    labels = generator.integers(2, size=len(unit_of))
    images = generator.integers(0, 156, size=(len(unit_of), channels, side, side)) + 100 * labels[:, None, None, None]
    return TinyUnits(images=images.astype(np.uint8), labels=labels, unit_of=unit_of, units=units)


def tiny_segmentation_units(
    *, units: int = 12, most_images: int = 3, size: tuple[int, ...] = (8, 8), seed: int = 0
) -> TinyUnits:
    """Grey images or volumes with a bright block (class 1) in every one and a brighter one (class 2) in some."""
    generator = np.random.default_rng(seed)
    unit_of = np.repeat(np.arange(units), generator.integers(1, most_images + 1, size=units))
    masks = np.zeros((len(unit_of), *size), dtype=np.uint8)
    for mask in masks:
        corner = [int(generator.integers(1, side // 2)) for side in size]
        mask[tuple(slice(start, start + side // 2) for start, side in zip(corner, size, strict=True))] = 1
        if generator.random() < 0.7:
            mask[tuple(slice(start, start + side // 4) for start, side in zip(corner, size, strict=True))] = 2
    images = generator.integers(0, 96, size=masks.shape) + 70 * masks
    labels = masks.reshape(len(masks), -1).max(axis=1).astype(np.int64)
    return TinyUnits(images=images.astype(np.uint8)[:, None], labels=labels, unit_of=unit_of, units=units, masks=masks)


def tiny_card(data: TinyUnits) -> DatasetCard:
    """A card of `data`, as if as many units were held out."""
    images, segments = len(data.labels), data.masks is not None
    return DatasetCard(
        name="tiny",
        format="phantom-abdomen" if segments else "phantom-lesions",
        task="segmentation" if segments else "classification",
        synthetic=True,
        unit="image",
        train_units=data.units,
        test_units=data.units,
        test_groups=data.units,
        train_images=images,
        test_images=images,
        max_images_per_unit=int(np.bincount(data.unit_of).max()),
        image_shape=data.images.shape[1:],
        classes=("background", "liver", "lesion") if segments else ("dark", "bright"),
        commitment="0" * 64,
    )


def tiny_candidate(**training: object) -> Candidate:
    """A small network's recipe; keyword arguments replace those of `TrainingSpec`."""
    settings: dict[str, object] = {
        "epochs": 2,
        "expected_batch": 4,
        "clipping_norm": 0.5,
        "optimizer": OptimizerSpec(name="nadam", lr=1e-3),
        "views": 2,
        "augmentation": AugmentationSpec(flips=True, shift=1),
    }
    return Candidate(
        name="tiny",
        description=None,
        data=DataSpec(
            format="phantom-lesions", path=None, unit="image", split=SplitSpec(test=0.5), phantom=PhantomSpec()
        ),
        model=ModelSpec(network="resnet9", width=4),
        training=TrainingSpec(**{**settings, **training}),
    )


def tiny_plan(
    *, sigma: float = 0.1, steps: int = 6, sampling: str = "balls-and-bins", divisor: int = 4
) -> TrainingPlan:
    """A plan with a sampling rate of one third."""
    return TrainingPlan(
        mechanism=Mechanism(
            sampling=sampling,
            sampling_rate=1 / 3,
            noise_multiplier=sigma,
            steps=steps,
            adjacency="zero-out",
            unit="image",
        ),
        budget=Budget(epsilon=1e6, delta=1e-5),
        clipping_norm=0.5,
        divisor=divisor,
    )
