from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.networks.folding import fold_batch_norms

SHAPE = (2, 8, 8)


def _lived_in(network: nn.Module, *, seed: int = 0) -> nn.Module:
    """A network whose BatchNorm has statistics and weights of its own, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.1)
            if module.affine:
                with torch.no_grad():
                    module.weight.copy_(torch.randn(module.num_features, generator=generator))
                    module.bias.copy_(torch.randn(module.num_features, generator=generator))
    return network


def _frozen(network: nn.Module) -> nn.Module:
    return _lived_in(network).requires_grad_(False)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.convolution(x)))


FOLDABLE = {
    "plain": (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), SHAPE),
    "with bias": (nn.Sequential(nn.Conv2d(2, 4, 3, bias=True), nn.BatchNorm2d(4, eps=1e-2)), SHAPE),
    "no affine": (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, affine=False)), SHAPE),
    "strided groups": (nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, groups=2), nn.BatchNorm2d(4)), SHAPE),
    "twice": (nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3)), SHAPE),
    "residual": (_Residual(), SHAPE),
    "nested": (nn.Sequential(_Residual(), nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))), SHAPE),
    "volumes": (nn.Sequential(nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4)), (2, 4, 8, 8)),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(128, 4), nn.BatchNorm1d(4)), SHAPE),
}


@pytest.mark.parametrize("name", FOLDABLE)
def test_a_folded_network_computes_the_same_and_keeps_no_statistics(name: str) -> None:
    module, shape = FOLDABLE[name]
    network = _frozen(copy.deepcopy(module))
    original = copy.deepcopy(network).eval()
    fold_batch_norms(network, image_shape=shape)
    images = torch.rand((3, *shape), generator=torch.Generator().manual_seed(1))
    expected = original(images)
    assert (network.train()(images) - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
    assert not list(network.buffers())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_clipping_takes_a_network_whose_frozen_batch_norm_is_folded() -> None:
    network = nn.Sequential(_frozen(_Residual()), nn.Flatten(), nn.Linear(128, 2))
    with pytest.raises(UnsupportedModelError, match="BatchNorm2d"):
        check_network(network)
    fold_batch_norms(network, image_shape=SHAPE)
    check_network(network)


def test_batch_norm_in_the_trained_part_is_left_for_clipping_to_refuse() -> None:
    network = _lived_in(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)))
    fold_batch_norms(network, image_shape=SHAPE)
    with pytest.raises(UnsupportedModelError, match="BatchNorm2d"):
        check_network(network)


class _UsedTwice(nn.Module):
    """The convolution's output goes around its BatchNorm as well."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        return y + self.norm(y)


class _RunTwice(nn.Module):
    """One BatchNorm after two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.other(self.norm(self.one(x))))


class _Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3)), "can't be folded: 0"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)), "can't be folded: 2"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), "can't be folded: 1"),
        (_RunTwice(), "can't be folded: norm"),
        (_Unused(), "can't be folded: norm"),
        (_UsedTwice(), "changes the network's outputs"),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)), "changes the network's outputs"),
    ],
)
def test_batch_norm_that_can_not_be_folded_is_refused_with_the_remedy(network: nn.Module, says: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        fold_batch_norms(_frozen(network), image_shape=SHAPE)
    assert says in caught.value.message
    assert "GroupNorm" in (caught.value.hint or "")
