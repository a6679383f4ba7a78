from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gatekeeper.core.candidate import AugmentationSpec, ModelSpec
from gatekeeper.errors import DivergedError, UnsupportedModelError
from gatekeeper.training.clipping.per_unit import PerUnitGradients, clip_factors, conv2d_weight_gradients
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.networks import build
from gatekeeper.training.networks.standardised import standardise, standardise_vjp
from gatekeeper.training.views import Views, ViewSource
from tests.reference import dp_sgd_step
from tests.tiny import tiny_units


def _network(name: str, *, channels: int = 1) -> nn.Module:
    return build(ModelSpec(network=name, width=8), image_shape=(channels, 8, 8), classes=2, seed=3)


def _batch(units: int, views: int, *, channels: int = 1) -> Views:
    data = tiny_units(units=max(units, 1), channels=channels)
    source = ViewSource(data, views=views, augmentation=AugmentationSpec(flips=True, shift=2), seed=5)
    return source.draw(0, np.arange(units))


def _flat(gradient: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.flatten() for g in gradient])


@pytest.mark.parametrize("name", ["resnet9", "mlp"])
@pytest.mark.parametrize(("units", "views", "physical_batch"), [(5, 1, 2), (5, 3, 4), (4, 2, 100), (3, 4, 1)])
@pytest.mark.parametrize("clipping_norm", [0.01, 1.0, 1e9])
def test_clipped_sum_equals_the_slow_twin(
    name: str, units: int, views: int, physical_batch: int, clipping_norm: float
) -> None:
    network, batch = _network(name), _batch(units, views)
    expected = _flat(dp_sgd_step.clipped_sum(network, batch, views=views, clipping_norm=clipping_norm))
    engine = PerUnitGradients(network, views=views, physical_batch=physical_batch)
    found = _flat(engine.clipped_sum(batch, clipping_norm=clipping_norm))
    assert found.dtype == torch.float64
    assert float((found - expected).norm() / expected.norm()) < 5e-5  # float32 forward and backward


def test_one_unit_contributes_at_most_the_clipping_norm() -> None:
    network, views = _network("resnet9"), 3
    engine = PerUnitGradients(network, views=views, physical_batch=6)
    for unit in range(6):
        everything = _batch(6, views)
        one = Views(
            images=everything.images[unit * views : (unit + 1) * views],
            labels=everything.labels[unit * views : (unit + 1) * views],
        )
        norm = float(_flat(engine.clipped_sum(one, clipping_norm=0.1)).norm())
        assert norm <= 0.1
        assert norm > 0.1 * (1 - 1e-5), "the clip binds here, so the norm is just below C"


def test_removing_one_unit_changes_the_sum_by_at_most_the_clipping_norm() -> None:
    network, views = _network("resnet9"), 2
    engine = PerUnitGradients(network, views=views, physical_batch=4)
    batch = _batch(6, views)
    whole = _flat(engine.clipped_sum(batch, clipping_norm=0.3))
    for unit in range(6):
        keep = [i for i in range(12) if i // views != unit]
        without = Views(images=batch.images[keep], labels=batch.labels[keep])
        assert float((whole - _flat(engine.clipped_sum(without, clipping_norm=0.3))).norm()) <= 0.3 * (1 + 1e-4)


def test_an_empty_batch_sums_to_zero() -> None:
    engine = PerUnitGradients(_network("resnet9"), views=2, physical_batch=4)
    assert float(_flat(engine.clipped_sum(_batch(0, 2), clipping_norm=1.0)).abs().max()) == 0


def test_a_gradient_that_is_not_finite_stops_the_run() -> None:
    network = _network("mlp")
    with torch.no_grad():
        next(network.parameters()).fill_(float("inf"))
    engine = PerUnitGradients(network, views=1, physical_batch=4)
    with pytest.raises(DivergedError):
        engine.clipped_sum(_batch(2, 1), clipping_norm=1.0)


def test_a_zero_gradient_is_left_alone() -> None:
    factors = clip_factors(torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64), clipping_norm=1.0)
    assert factors[:2].tolist() == [1.0, 1.0]
    assert factors[2] * 2 <= 1.0


def test_closing_takes_the_hooks_off() -> None:
    network = _network("resnet9")
    PerUnitGradients(network, views=1, physical_batch=4).close()
    assert all(not module._forward_hooks and not module._backward_hooks for module in network.modules())


def test_standardised_gradient_equals_autograd() -> None:
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 3, 2, 3, 3, dtype=torch.float64)
    found = standardise_vjp(weight.detach(), gradient)
    for sample in range(4):
        (expected,) = torch.autograd.grad(standardise(weight), weight, gradient[sample])
        torch.testing.assert_close(found[sample], expected)


def test_standardised_filters_have_mean_zero_and_unit_energy() -> None:
    filters = standardise(torch.randn(5, 4, 3, 3) * 7 + 3)
    torch.testing.assert_close(filters.mean((1, 2, 3)), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.square().sum((1, 2, 3)), torch.ones(5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), (1, 2, 2), (3, 1, 1)])
def test_grouped_backward_equals_one_sample_at_a_time(stride: int, padding: int, dilation: int) -> None:
    layer = nn.Conv2d(2, 3, 3, stride=stride, padding=padding, dilation=dilation).double()
    inputs = torch.randn(4, 2, 9, 9, dtype=torch.float64)
    output = layer(inputs)
    gradients = torch.randn_like(output)
    found = conv2d_weight_gradients(layer, inputs=inputs, output_gradients=gradients)
    for sample in range(4):
        loss = (layer(inputs[sample : sample + 1]) * gradients[sample]).sum()
        torch.testing.assert_close(found[sample], torch.autograd.grad(loss, layer.weight)[0])


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


@pytest.mark.parametrize(
    ("network", "fragment"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "1 (BatchNorm2d)"),
        (nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True)), "GroupNorm"),
        (nn.Sequential(nn.LSTM(4, 4)), "LSTM"),
        (_Tied(), "tied weights"),
        (nn.Sequential(nn.ReLU()), "no trainable parameter"),
    ],
)
def test_networks_that_break_privacy_are_refused_with_the_remedy(network: nn.Module, fragment: str) -> None:
    with pytest.raises(UnsupportedModelError, match=fragment.replace("(", r"\(").replace(")", r"\)")):
        check_network(network)


def test_untracked_instance_norm_is_allowed() -> None:
    check_network(nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4)))


def test_images_too_small_for_resnet9_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="at least 8×8"):
        build(ModelSpec(network="resnet9", width=8), image_shape=(1, 7, 9), classes=2, seed=0)
