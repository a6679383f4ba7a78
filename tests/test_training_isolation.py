from __future__ import annotations

import pytest
import torch
from gatekeeper.training.clipping.per_unit import PerUnitGradients
from torch import Tensor, nn

from gatekeeper.core.candidate import ModelSpec
from gatekeeper.training.clipping.isolation import companions_matter, isolated_gradients, statement, units_at_once
from gatekeeper.training.networks import build

SHAPE = (1, 8, 8)


def _matters(network: nn.Module, *, units: int = 12, views: int = 1) -> bool:
    engine = PerUnitGradients(network, views=views, units_at_once=units)
    return companions_matter(engine, image_shape=SHAPE, classes=3)


@pytest.mark.parametrize("name", ["resnet9", "mlp"])
@pytest.mark.parametrize(("units", "views"), [(2, 1), (31, 1), (8, 4), (64, 2)])
def test_the_networks_keep_units_apart_to_the_last_bit(name: str, units: int, views: int) -> None:
    network = build(ModelSpec(network=name, width=8), image_shape=SHAPE, classes=3, seed=0)
    assert not _matters(network, units=units, views=views)


class _Disturbed(nn.Module):
    """A linear network whose logits are disturbed by less than float32 usually shows."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.kind == "companions":
            x = x + 1e-6 * x.mean(0, keepdim=True)
        if self.kind == "slot":
            x = x * (1 + 2e-7 * (torch.arange(len(x)) == 7)[:, None])
        if self.kind == "neighbour":
            x = torch.where(x.roll(1, 0)[:, :1] > 0.5, x * (1 + 2e-7), x)
        logits: Tensor = self.layer(x)
        return logits


@pytest.mark.parametrize("kind", ["companions", "slot", "neighbour"])
def test_a_network_that_mixes_units_by_one_bit_is_noticed(kind: str) -> None:
    assert _matters(_Disturbed(kind))


def test_an_undisturbed_one_is_not() -> None:
    assert not _matters(_Disturbed("nothing"))


def _isolated(network: nn.Module) -> PerUnitGradients:
    return isolated_gradients(network, views=2, physical_batch=64, expected_batch=40, image_shape=SHAPE, classes=3)


def test_units_that_would_disturb_each_other_go_through_the_network_alone() -> None:
    alone, together = _isolated(_Disturbed("slot")), _isolated(_Disturbed("nothing"))
    assert alone.units_at_once == 1
    assert together.units_at_once == 14
    assert "one unit at a time" in statement(alone)
    assert "checked" in statement(together)


def test_a_unit_alone_has_no_companions() -> None:
    assert not _matters(_Disturbed("companions"), units=1)


@pytest.mark.parametrize(
    ("views", "physical_batch", "expected_batch", "expected"),
    [
        (1, 128, 64, 22),
        (1, 128, 1000, 128),
        (4, 128, 64, 22),
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
