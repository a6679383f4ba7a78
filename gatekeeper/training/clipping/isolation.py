"""That a unit's gradient does not depend on its companions in the physical batch, to the last bit.

The sum's sensitivity is C only if removing a unit leaves the others' gradients exactly as they were. The network
mixes no samples (`validate`), but float32 rounds, and a kernel might order its additions differently in another
slot of the batch. Kernels choose that order by shapes, never by values; so probes of random pixels, seen in every
slot and beside different companions, show it for all images. Where they differ, units go through the network one
at a time: slower, and right by construction.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.per_unit import PerUnitGradients, UnitGradients

# Larger physical batches waste more on the last, half-filled one; smaller ones cost more calls. Measured: flat about 3.
_BATCHES_A_STEP = 3

# Below so many views, the network's fixed cost a call outweighs the waste.
_FEWEST_VIEWS = 16

_PROBES = 3


def isolated_gradients(
    network: nn.Module,
    *,
    views: int,
    physical_batch: int,
    expected_batch: int,
    image_shape: tuple[int, ...],
    classes: int,
) -> PerUnitGradients:
    """Per-unit gradients in as large physical batches as leave each unit's gradient independent of the others.

    Args:
        network: the network, with the weights that training starts from.
        views: views of each unit.
        physical_batch: the most views that are processed at once.
        expected_batch: units a step on average.
        image_shape: channels, height, width.
        classes: number of outputs.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """
    at_once = units_at_once(views=views, physical_batch=physical_batch, expected_batch=expected_batch)
    gradients = PerUnitGradients(network, views=views, units_at_once=at_once)
    if companions_matter(gradients, image_shape=image_shape, classes=classes):
        gradients.close()
        return PerUnitGradients(network, views=views, units_at_once=1)
    return gradients


def units_at_once(*, views: int, physical_batch: int, expected_batch: int) -> int:
    """How many units a physical batch holds: within `physical_batch` views, and a fair part of a step's units.

    The number depends on public constants only.
    """
    fair = max(-(-expected_batch // _BATCHES_A_STEP), -(-_FEWEST_VIEWS // views))
    return max(1, min(physical_batch // views, fair, expected_batch))


def statement(gradients: PerUnitGradients) -> str:
    """What keeps units apart, for the record."""
    if gradients.units_at_once == 1:
        return "per-unit gradients are computed one unit at a time"
    return "per-unit gradients do not depend on companions (checked at the start)"


def companions_matter(gradients: PerUnitGradients, *, image_shape: tuple[int, ...], classes: int) -> bool:
    """Whether a probe's gradient differs by a bit from slot to slot, or from companions to companions.

    A unit alone in its physical batch has no companions.

    Args:
        gradients: the engine under test.
        image_shape: channels, height, width.
        classes: number of outputs.
    """
    if gradients.units_at_once == 1:
        return False
    # Public and fixed: the probes are no secret, and a run is refused or not on the network and the machine alone.
    generator = torch.Generator().manual_seed(0)

    def images(units: int) -> Tensor:
        return torch.rand((units, gradients.views, *image_shape), generator=generator)

    def labels(units: int) -> Tensor:
        return torch.randint(classes, (units, gradients.views), generator=generator)

    probes, classes_of_probes = images(_PROBES), labels(_PROBES)
    seen: dict[int, UnitGradients] = {}
    for slots in _arrangements(gradients.units_at_once):
        strangers = slots < 0
        everyone, targets = probes[slots], classes_of_probes[slots]
        everyone[strangers], targets[strangers] = images(int(strangers.sum())), labels(int(strangers.sum()))
        found = gradients.physical_batch(everyone.flatten(0, 1), targets.flatten())
        for slot, probe in enumerate(slots.tolist()):
            if probe >= 0 and not _same(found, slot, seen.setdefault(probe, _only(found, slot))):
                return True
    return False


def _arrangements(slots: int) -> Iterator[Tensor]:
    """Which probe each slot holds, or −1 for a stranger: each probe in each slot, among probes and among strangers."""
    every = torch.arange(slots)
    for turn in range(_PROBES):
        yield (every + turn) % _PROBES
    for parity in (0, 1):
        yield torch.where(every % 2 == parity, every // 2 % _PROBES, -1)


def _only(gradients: UnitGradients, slot: int) -> UnitGradients:
    """A copy of one slot's gradient."""
    return UnitGradients(
        parts=[part[slot : slot + 1].clone() for part in gradients.parts],
        norms=gradients.norms[slot : slot + 1].clone(),
    )


def _same(gradients: UnitGradients, slot: int, other: UnitGradients) -> bool:
    """Whether a slot holds `other`, bit for bit."""
    return bool(gradients.norms[slot] == other.norms[0]) and all(
        torch.equal(part[slot], expected[0]) for part, expected in zip(gradients.parts, other.parts, strict=True)
    )
