"""That a unit's share does not depend on its companions in the physical batch, to the last bit.

The sum's sensitivity is C only if blanking a unit leaves the others' shares exactly as they were. The network
mixes no samples (`validate`), but float32 rounds, and a kernel might order its additions differently in another
slot of the batch. Kernels choose that order by shapes, never by values; so probes of random pixels, seen in every
slot and beside different companions, show it for all images. Where they differ, units go through the network one
at a time: slower, and right by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gatekeeper.core.precision import Precision
from gatekeeper.training.clipping.engine import ClippingEngine, UnitShares
from gatekeeper.training.clipping.recorded import Loss
from gatekeeper.training.clipping.shares import Witness, by_unit
from gatekeeper.training.distributed import LoneRank
from gatekeeper.training.views import Views

# Larger physical batches waste more on the last, partly filled one; smaller ones cost more calls.
_BATCHES_A_STEP = 4

# Below so many views, the network's fixed cost a call outweighs the waste.
_FEWEST_VIEWS = 16

_PROBES = 3

# Makes random targets of a shape (views,) for probes.
Targets = Callable[[int, torch.Generator], Tensor]


def isolated_engine(
    network: nn.Module,
    *,
    views: int,
    physical_batch: int,
    expected_batch: int,
    image_shape: tuple[int, ...],
    targets: Targets,
    loss: Loss,
    ranks: LoneRank | None = None,
    precision: Precision = "float32",
) -> ClippingEngine:
    """An engine with as large physical batches as leave each unit's share independent of the others.

    Args:
        network: the network, with the weights that training starts from.
        views: views of each unit.
        physical_batch: the most views that are processed at once.
        expected_batch: units a step on average.
        image_shape: channels and spatial size.
        targets: makes probes' targets.
        loss: one loss a view.
        ranks: the processes that share the work: if units disturb each other in one of them, all go one by one.
        precision: see `ClippingEngine`.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """
    at_once = units_at_once(views=views, physical_batch=physical_batch, expected_batch=expected_batch)
    ranks = ranks or LoneRank()

    def engine_for(units: int) -> ClippingEngine:
        return ClippingEngine(network, views=views, units_at_once=units, loss=loss, ranks=ranks, precision=precision)

    engine = engine_for(at_once)
    if ranks.any(companions_matter(engine, image_shape=image_shape, targets=targets)):
        engine.close()
        return engine_for(1)
    return engine


def units_at_once(*, views: int, physical_batch: int, expected_batch: int) -> int:
    """How many units a physical batch holds: within `physical_batch` views, and a fair part of a step's units.

    The number depends on public constants only. From 16 on it is a multiple of 8: see `ClippingEngine.sizes`.
    """
    fair = max(-(-expected_batch // _BATCHES_A_STEP), -(-_FEWEST_VIEWS // views))
    units = max(1, min(physical_batch // views, fair, expected_batch))
    return units if units < 16 else units - units % 8


def statement(engine: ClippingEngine) -> str:
    """What keeps units apart, and which layers are Opacus', for the record."""
    apart = "per-unit gradients do not depend on companions (checked at the start)"
    if engine.units_at_once == 1:
        apart = "per-unit gradients are computed one unit at a time"
    if engine.hooked:
        apart += f"; by Opacus' per-sample rules: {', '.join(engine.hooked)}"
    return apart


def companions_matter(engine: ClippingEngine, *, image_shape: tuple[int, ...], targets: Targets) -> bool:
    """Whether a probe's share differs by a bit from slot to slot, or from companions to companions.

    A unit alone in its physical batch has no companions.

    Args:
        engine: under test.
        image_shape: channels and spatial size.
        targets: makes probes' targets.
    """
    return any(
        _matter(engine, units=units, image_shape=image_shape, targets=targets) for units in engine.sizes if units > 1
    )


def _matter(engine: ClippingEngine, *, units: int, image_shape: tuple[int, ...], targets: Targets) -> bool:
    # Public and fixed: the probes are no secret, and a run is refused or not on the network and the machine alone.
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> Views:
        views = count * engine.views
        images = torch.rand((views, *image_shape), generator=generator)
        return Views(images=images, targets=targets(views, generator))

    probes = draw(_PROBES)
    seen: dict[int, list[Tensor]] = {}
    return any(
        _differs(engine, _arranged(probes, draw(units), slots, views=engine.views), slots, seen)
        for slots in _arrangements(units)
    )


def _differs(engine: ClippingEngine, batch: Views, slots: Tensor, seen: dict[int, list[Tensor]]) -> bool:
    """Whether some probe's share is another than in the slot where it was seen first; nothing large is kept."""
    found = _witnesses(engine.shares(batch.to(engine.device)))
    for slot, probe in enumerate(slots.tolist()):
        if probe >= 0 and not _same(found, slot, seen.setdefault(probe, [part[slot].clone() for part in found])):
            return True
    return False


def _arrangements(slots: int) -> Iterator[Tensor]:
    """Which probe each slot holds, or −1 for a stranger: each probe in each slot, among probes and among strangers."""
    every = torch.arange(slots)
    for turn in range(_PROBES):
        yield (every + turn) % _PROBES
    for parity in (0, 1):
        yield torch.where(every % 2 == parity, every // 2 % _PROBES, -1)


def _arranged(probes: Views, strangers: Views, slots: Tensor, *, views: int) -> Views:
    """Strangers, and the probes that `slots` puts in their places."""
    taken = slots >= 0

    def placed(known: Tensor, others: Tensor) -> Tensor:
        units = by_unit(others, views).clone()
        units[taken] = by_unit(known, views)[slots[taken]]
        return units.flatten(0, 1)

    return Views(images=placed(probes.images, strangers.images), targets=placed(probes.targets, strangers.targets))


def _witnesses(shares: UnitShares) -> list[Witness]:
    """All that the units' contributions to the sum are computed from, clip factors included."""
    parts = [part for contribution in shares.contributions for part in contribution.share.witnesses()]
    return [*parts, shares.norms, shares.exposures]


def _same(found: list[Witness], slot: int, expected: list[Tensor]) -> bool:
    """Whether a slot holds what is expected, bit for bit."""
    return all(torch.equal(part[slot], known) for part, known in zip(found, expected, strict=True))
