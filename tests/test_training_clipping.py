from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from gatekeeper.training.clipping.per_unit import (
    PerUnitGradients,
    _rounded_sum,
    clip_factors,
    conv2d_weight_gradients,
)
from torch import nn

from gatekeeper.core.candidate import AugmentationSpec, ModelSpec
from gatekeeper.errors import DivergedError, UnsupportedModelError
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.networks import build
from gatekeeper.training.networks.standardised import standardise, standardise_vjp
from gatekeeper.training.noise import from_grid
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


def _grid(network: nn.Module, *, clipping_norm: float, sigma: float = 1e-3) -> Grid:
    parameters = sum(p.numel() for p in network.parameters())
    return choose_grid(noise_multiplier=sigma, clipping_norm=clipping_norm, units=1000, parameters=parameters)


def _units(batch: Views, units: list[int], *, views: int) -> Views:
    """The views of some of a batch's units."""
    rows = [unit * views + view for unit in units for view in range(views)]
    return Views(images=batch.images[rows], targets=batch.targets[rows])


def _whole_numbers(sums: list[torch.Tensor]) -> list[int]:
    return [int(value) for value in _flat(sums)]


@pytest.mark.parametrize("name", ["resnet9", "mlp"])
@pytest.mark.parametrize(("units", "views", "at_once"), [(5, 1, 2), (5, 3, 1), (4, 2, 50), (3, 4, 2)])
@pytest.mark.parametrize("clipping_norm", [0.01, 1.0, 1e9])
def test_clipped_sum_equals_the_slow_twin(
    name: str, units: int, views: int, at_once: int, clipping_norm: float
) -> None:
    network, batch = _network(name), _batch(units, views)
    expected = _flat(dp_sgd_step.clipped_sum(network, batch, views=views, clipping_norm=clipping_norm))
    engine = PerUnitGradients(network, views=views, units_at_once=at_once)
    # At C = 1e9 nothing is clipped; a smaller noise keeps the grid fine enough for gradients of ordinary size.
    grid = _grid(network, clipping_norm=clipping_norm, sigma=1e-9 if clipping_norm > 1 else 1e-3)
    sums = engine.clipped_sum(batch, grid=grid)
    assert all(sum_.dtype == torch.int64 for sum_ in sums)
    found = _flat(from_grid(sums, grid=grid))
    assert found.dtype == torch.float64
    assert float((found - expected).norm() / expected.norm()) < 5e-5  # float32 forward and backward


@pytest.mark.parametrize("sigma", [1e-11, 1e-6, 1e-3, 1.0])
def test_one_unit_contributes_at_most_the_clipping_norm_exactly(sigma: float) -> None:
    network, views = _network("resnet9"), 3
    grid = _grid(network, clipping_norm=0.1, sigma=sigma)
    engine = PerUnitGradients(network, views=views, units_at_once=2)
    for unit in range(6):
        alone = _whole_numbers(engine.clipped_sum(_units(_batch(6, views), [unit], views=views), grid=grid))
        steps_squared = sum(value**2 for value in alone)
        assert steps_squared <= (Fraction(0.1) / Fraction(grid.step)) ** 2
        assert steps_squared > (Fraction(0.1) / Fraction(grid.step)) ** 2 * Fraction(998, 1000), "the clip binds here"


@pytest.mark.parametrize("name", ["resnet9", "mlp"])
@pytest.mark.parametrize(("views", "at_once"), [(1, 3), (2, 4), (2, 50)])
def test_a_unit_adds_the_same_whole_numbers_whoever_else_is_there(name: str, views: int, at_once: int) -> None:
    """The sensitivity itself: what one unit changes is what it adds alone, to the last bit, wherever it stands."""
    network = _network(name)
    grid = _grid(network, clipping_norm=0.3)
    engine = PerUnitGradients(network, views=views, units_at_once=at_once)
    batch = _batch(7, views)

    def total(units: list[int]) -> torch.Tensor:
        return _flat(engine.clipped_sum(_units(batch, units, views=views), grid=grid))

    alone = [total([unit]) for unit in range(7)]
    assert torch.equal(total(list(range(7))), sum(alone))
    for unit in range(7):
        assert torch.equal(total(list(range(7))) - total([u for u in range(7) if u != unit]), alone[unit])
    assert torch.equal(total([6, 2, 0, 5]), alone[6] + alone[2] + alone[0] + alone[5])


def test_float32_sums_lack_that_property() -> None:
    parts = torch.randn(7, 5000)
    differences = parts.sum(0) - parts[1:].sum(0)
    assert not torch.equal(differences, parts[0])


@pytest.mark.parametrize("sigma", [1e-11, 1e-8, 1e-3, 1e6])
def test_rounding_and_summing_equal_the_slow_twin_beyond_53_bits_too(sigma: float) -> None:
    gradients = torch.randn(9, 40) * torch.logspace(-6, 3, 40)
    factors = torch.rand(9, dtype=torch.float64) / gradients.double().norm(dim=1)
    grid = choose_grid(noise_multiplier=sigma, clipping_norm=1.0, units=100, parameters=40)
    found = _rounded_sum(gradients, factors, step=grid.step)
    assert found.tolist() == dp_sgd_step.rounded_sum(gradients.tolist(), factors.tolist(), grid=grid)
    assert (sigma > 1e-11) or int(found.abs().max()) > 2**53


def test_an_empty_batch_sums_to_zero() -> None:
    network = _network("resnet9")
    engine = PerUnitGradients(network, views=2, units_at_once=2)
    sums = engine.clipped_sum(_batch(0, 2), grid=_grid(network, clipping_norm=1.0))
    assert [sum_.shape for sum_ in sums] == [p.shape for p in network.parameters()]
    assert int(_flat(sums).abs().max()) == 0


def test_a_gradient_that_is_not_finite_stops_the_run() -> None:
    network = _network("mlp")
    grid = _grid(network, clipping_norm=1.0)
    with torch.no_grad():
        next(network.parameters()).fill_(float("inf"))
    engine = PerUnitGradients(network, views=1, units_at_once=4)
    with pytest.raises(DivergedError):
        engine.clipped_sum(_batch(2, 1), grid=grid)


def test_a_zero_gradient_is_left_alone() -> None:
    factors = clip_factors(torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64), radius=1.0)
    assert factors.tolist() == [1.0, 1.0, 0.5]


def test_closing_takes_the_hooks_off() -> None:
    network = _network("resnet9")
    PerUnitGradients(network, views=1, units_at_once=4).close()
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
