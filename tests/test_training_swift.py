"""The faster kernels of layers without parameters: torch's own functions, and torch's own gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping.swift import swift_forward
from gatekeeper.training.losses import cross_entropy

SHAPE = (3, 5, 9, 10)

POOLINGS = {
    "2": nn.MaxPool2d(2),
    "3, overlapping": nn.MaxPool2d(3, stride=2, padding=1),
    "uneven, dilated": nn.MaxPool2d((2, 3), stride=(1, 2), dilation=(2, 1)),
    "with a rest": nn.MaxPool2d(4, ceil_mode=True),
    "doubled": nn.Upsample(scale_factor=2.0, mode="nearest"),
    "doubled, whole number": nn.Upsample(scale_factor=2),
}


def _images(*, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _pass(forward: nn.Module | object, images: Tensor, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Output, and the input's gradient for some gradient of the output."""
    inputs = images.clone().requires_grad_()
    output = forward(inputs)  # type: ignore[operator]
    gradients = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output.dtype)
    output.backward(gradients)
    assert inputs.grad is not None
    return output.detach(), inputs.grad


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("channels", [1, 5])
def test_poolings_and_upsamplings_are_torchs_to_the_last_bit(name: str, tied: bool, channels: int) -> None:
    images = _images(shape=(3, channels, 9, 10))
    if tied:
        images = images.round().clamp(0, 1)  # many largest values: the first one gets the gradient
    swift = swift_forward(POOLINGS[name])
    assert swift is not None
    for found, expected in zip(_pass(swift, images), _pass(POOLINGS[name], images), strict=True):
        assert torch.equal(found, expected)
        assert found.is_contiguous()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0, 1e4])
def test_mish_and_its_slope_are_as_precise_as_float32_is(scale: float) -> None:
    images = _images(shape=(4, 5, 60, 60)) * scale  # more than one piece
    swift = swift_forward(nn.Mish())
    assert swift is not None
    found, truth = _pass(swift, images), _pass(nn.Mish(), images.double())
    for got, expected in zip(found, truth, strict=True):
        torch.testing.assert_close(got, expected.float(), rtol=1e-6, atol=1e-6)


def test_infinite_and_lost_numbers_are_not_hidden() -> None:
    images = torch.full((1, 1, 2, 2), torch.nan)
    swift = swift_forward(nn.Mish())
    assert swift is not None
    assert all(bool(part.isnan().all()) for part in _pass(swift, images))
    assert not bool(swift(torch.full((1, 1, 2, 2), torch.inf).requires_grad_()).isfinite().any())


def test_other_layers_keep_their_own_forward() -> None:
    class Own(nn.Mish):
        """A subclass may do anything."""

    others = [
        Own(), nn.Mish(inplace=True), nn.ReLU(), nn.MaxPool2d(2, return_indices=True), nn.MaxPool3d(2),
        nn.Upsample(scale_factor=3), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(size=(4, 4)),
    ]  # fmt: skip
    assert all(swift_forward(module) is None for module in others)


@pytest.mark.parametrize("images", [_images().double(), _images()[0]])
def test_other_inputs_go_the_modules_own_way(images: Tensor) -> None:
    swift = swift_forward(nn.MaxPool2d(2))
    assert swift is not None
    for found, expected in zip(_pass(swift, images), _pass(nn.MaxPool2d(2), images), strict=True):
        assert torch.equal(found, expected)


def test_the_engine_runs_them_until_it_is_closed() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Mish(), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    engine = ClippingEngine(network, views=1, units_at_once=2, loss=cross_entropy)
    assert ["forward" in vars(module) for module in network] == [True, True, True, False, False, True]
    engine.close()
    assert not any("forward" in vars(module) for module in network)
