from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping.isolation import companions_matter, isolated_engine, statement, units_at_once
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import build
from gatekeeper.training.views import Views

SHAPE = (1, 8, 8)
CLASSES = 3


def _targets(views: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, CLASSES, (views,), generator=generator)


def _engine(network: nn.Module, *, units: int, views: int = 1) -> ClippingEngine:
    return ClippingEngine(network, views=views, units_at_once=units, loss=cross_entropy)


def _matters(network: nn.Module, *, units: int = 12, views: int = 1) -> bool:
    return companions_matter(_engine(network, units=units, views=views), image_shape=SHAPE, targets=_targets)


def _built(name: str) -> nn.Module:
    return build(ModelSpec(network=name, width=8), image_shape=SHAPE, classes=CLASSES, seed=0)


@pytest.mark.parametrize("name", ["resnet9", "lenet", "mlp"])
@pytest.mark.parametrize(("units", "views"), [(2, 1), (5, 1), (16, 1), (24, 2), (8, 4)])
def test_what_the_check_says_of_a_network_is_right(name: str, units: int, views: int) -> None:
    """Kernels differ from machine to machine; where none minds companions, blanking one leaves the others alone."""
    noticed = _matters(_built(name), units=units, views=views)
    engine = _isolated(_built(name), views=views, units=units)
    assert engine.units_at_once == (1 if noticed else units)
    size = engine.units_at_once
    generator = torch.Generator().manual_seed(1)
    images, targets = torch.rand((size * views, *SHAPE), generator=generator), _targets(size * views, generator)
    before = engine.shares(Views(images=images, targets=targets))
    blanked = images.clone()
    blanked[:views] = 0
    after = engine.shares(Views(images=blanked, targets=targets))
    assert torch.equal(before.norms[1:], after.norms[1:])
    assert torch.equal(before.exposures[1:], after.exposures[1:])
    for first, second in zip(before.contributions, after.contributions, strict=True):
        for old, new in zip(first.share.witnesses(), second.share.witnesses(), strict=True):
            assert all(torch.equal(old[unit], new[unit]) for unit in range(1, size))


def _isolated(network: nn.Module, *, views: int, units: int) -> ClippingEngine:
    engine = isolated_engine(
        network,
        views=views,
        physical_batch=units * views,
        expected_batch=4 * units,
        image_shape=SHAPE,
        targets=_targets,
        loss=cross_entropy,
    )
    return engine


@pytest.mark.parametrize("units", [2, 3, 4, 5, 8, 16, 22])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_head_of_few_classes_keeps_units_apart(units: int, classes: int) -> None:
    """Products with so few columns are added up row by row in different orders by some kernels."""
    head = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    engine = _engine(head, units=units)
    assert not companions_matter(
        engine,
        image_shape=SHAPE,
        targets=lambda views, generator: torch.randint(0, classes, (views,), generator=generator),
    )


class _Disturbed(nn.Module):
    """A linear network whose logits are disturbed by less than float32 usually shows."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = nn.Linear(64, CLASSES)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.kind == "companions":
            x = x + 1e-6 * x.mean(0, keepdim=True)
        if self.kind == "slot":
            x = x * (1 + 2e-7 * (torch.arange(len(x)) == 7)[:, None])
        if self.kind == "neighbour":
            x = torch.where(x.roll(1, 0)[:, :1] > 0.5, x * (1 + 2e-7), x)
        if self.kind == "last batch":
            x = x * (1 + 2e-7 * (torch.arange(len(x)) == 1)[:, None] * (len(x) == 4))
        logits: Tensor = self.layer(x)
        return logits


@pytest.mark.parametrize("kind", ["companions", "slot", "neighbour"])
def test_a_network_that_mixes_units_by_one_bit_is_noticed(kind: str) -> None:
    assert _matters(_Disturbed(kind))


def test_the_smaller_batches_of_a_steps_end_are_checked_too() -> None:
    assert _matters(_Disturbed("last batch"), units=16)
    assert not _matters(_Disturbed("last batch"), units=12)


def test_an_undisturbed_one_is_not() -> None:
    assert not _matters(_Disturbed("nothing"))


def test_units_that_would_disturb_each_other_go_through_the_network_alone() -> None:
    alone, together = (_isolated(_Disturbed(kind), views=2, units=12) for kind in ("slot", "nothing"))
    assert alone.units_at_once == 1
    assert together.units_at_once == 12
    assert "one unit at a time" in statement(alone)
    assert "checked" in statement(together)


def test_a_unit_alone_has_no_companions() -> None:
    assert not _matters(_Disturbed("companions"), units=1)


@pytest.mark.parametrize(
    ("views", "physical_batch", "expected_batch", "expected"),
    [
        (1, 128, 64, 16),
        (1, 128, 110, 24),
        (1, 128, 1000, 128),
        (4, 128, 64, 16),
        (4, 2, 64, 1),
        (1, 128, 5, 5),
        (2, 128, 4, 4),
        (1, 8, 64, 8),
    ],
)
def test_physical_batches_fit_the_memory_and_the_step(
    views: int, physical_batch: int, expected_batch: int, expected: int
) -> None:
    found = units_at_once(views=views, physical_batch=physical_batch, expected_batch=expected_batch)
    assert found == expected


def test_the_record_names_the_layers_that_opacus_takes_apart() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.PReLU(), nn.Linear(8, 3))
    engine = _isolated(network, views=1, units=4)
    assert engine.hooked == ("2",)
    assert statement(engine).endswith("; by Opacus' per-sample rules: 2")
    assert "Opacus" not in statement(_isolated(_built("mlp"), views=1, units=4))
