from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gatekeeper.core.candidate import AugmentationSpec, OptimizerSpec, TrainingSpec
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.features import (
    CachedFeatures,
    NotCached,
    SplitNetwork,
    cache_features,
    features_of,
    split_frozen,
)
from gatekeeper.training.grid import choose_grid
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import NormalisedInput, build
from gatekeeper.training.views import ViewSource
from tests.tiny import tiny_units

SHAPE = (1, 8, 8)
SPEC = TrainingSpec(
    epochs=1, expected_batch=4, clipping_norm=1.0, optimizer=OptimizerSpec(name="sgd", lr=0.1), views=2, seed=5
)


def _network(*trainable: str, name: str = "resnet9") -> NormalisedInput:
    spec = ModelSpec(network=name, width=8, trainable=trainable)
    return build(spec, image_shape=SHAPE, classes=2, seed=1)


def _cached(network: NormalisedInput) -> CachedFeatures:
    cached = cache_features(network, tiny_units(units=9), spec=SPEC, image_shape=SHAPE)
    assert isinstance(cached, CachedFeatures)
    return cached


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("trainable", [("head.*",), ("features.5.*", "head.*"), ("features.4.0.weight", "head.bias")])
def test_gradients_are_those_of_training_without_the_cache(trainable: tuple[str, ...]) -> None:
    network = _network(*trainable)
    cached = _cached(network)
    assert len(_trained(cached.head)) == len(_trained(network))
    units = np.array([0, 3, 4, 8])
    images = ViewSource(tiny_units(units=9), views=2, augmentation=AugmentationSpec(), seed=5).draw(3, units)
    features = cached.source.draw(3, units)
    assert torch.equal(images.targets, features.targets)
    whole = torch.autograd.grad(functional.cross_entropy(network(images.images), images.targets), _trained(network))
    head = torch.autograd.grad(
        functional.cross_entropy(cached.head(features.images), features.targets), _trained(cached.head)
    )
    for one, other in zip(whole, head, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(other, one, atol=1e-6, rtol=1e-5)


def test_clipped_sums_are_those_of_training_without_the_cache() -> None:
    network = _network("head.*")
    cached = _cached(network)
    units = np.arange(5)
    grid = choose_grid(noise_multiplier=1e-3, clipping_norm=0.1, units=9, block=5, parameters=66)
    images = ViewSource(tiny_units(units=9), views=2, augmentation=AugmentationSpec(), seed=5).draw(0, units)
    sums = []
    for module, views in ((network, images), (cached.head, cached.source.draw(0, units))):
        engine = ClippingEngine(module, views=2, units_at_once=5, loss=cross_entropy)
        sums.append(torch.cat([part.flatten() for part in engine.clipped_sum(views, grid=grid)]) * grid.step)
        engine.close()
    torch.testing.assert_close(sums[1], sums[0], atol=1e-6, rtol=1e-5)


def test_what_is_trained_in_the_head_is_trained_in_the_network() -> None:
    network = _network("head.*")
    cached = _cached(network)
    images = torch.rand((3, *SHAPE))
    before = network(images)
    with torch.no_grad():
        _trained(cached.head)[0].add_(1)
    assert not torch.equal(network(images), before)


def test_the_cut_is_behind_the_last_part_before_which_nothing_is_trained() -> None:
    def shape_for(*trainable: str) -> tuple[int, ...]:
        split = split_frozen(_network(*trainable), image_shape=SHAPE)
        assert isinstance(split, SplitNetwork)
        assert not _trained(split.backbone)
        return split.shape

    assert shape_for("head.*") == (32,)
    assert shape_for("features.5.*", "head.*") == (32, 1, 1)
    assert shape_for("features.1.*") == (8, 8, 8)


@pytest.mark.parametrize("trainable", [("*",), ("features.0.0.weight",)])
def test_nothing_is_cached_where_the_first_layer_is_trained(trainable: tuple[str, ...]) -> None:
    found = split_frozen(_network(*trainable), image_shape=SHAPE)
    assert isinstance(found, NotCached)
    assert "frozen part" in found.reason


def test_nothing_is_cached_where_views_are_augmented() -> None:
    spec = dataclasses.replace(SPEC, augmentation=AugmentationSpec(flips=True))
    found = cache_features(_network("head.*"), tiny_units(units=9), spec=spec, image_shape=SHAPE)
    assert found == NotCached(reason="views are augmented")


class _Skips(nn.Module):
    """Has features and a head, and adds something of its own between them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x) + x.mean((1, 2, 3)).unsqueeze(1))


def test_a_network_that_does_more_than_its_parts_is_not_split() -> None:
    network = NormalisedInput(_Skips())
    network.network.features.requires_grad_(False)
    found = split_frozen(network, image_shape=SHAPE)
    assert isinstance(found, NotCached)
    assert "more than its features" in found.reason


def test_an_images_features_do_not_depend_on_the_others_to_the_last_bit() -> None:
    network = _network("head.*")
    split = split_frozen(network, image_shape=SHAPE)
    assert isinstance(split, SplitNetwork)
    images = np.random.default_rng(0).integers(0, 256, (70, *SHAPE), dtype=np.uint8)
    images.flags.writeable = False  # as data sets are
    everyone = features_of(split.backbone, images)
    assert torch.equal(features_of(split.backbone, images[1:]), everyone[1:])
    assert torch.equal(features_of(split.backbone, images[40:41]), everyone[40:41])


class _Mixes(nn.Module):
    """Adds the first image of a batch to each."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * (x + x[0])


def test_a_backbone_whose_slots_matter_sees_one_image_at_a_time() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    expected = 2 * torch.from_numpy(images).float() / 255
    torch.testing.assert_close(features_of(_Mixes(), images), expected)


def test_masks_are_the_targets_where_there_are_masks() -> None:
    data = tiny_units(units=4)
    masks = (data.images[:, 0] > 127).astype(np.uint8)
    network = NormalisedInput(nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1)))
    network.network[0].requires_grad_(False)
    cached = cache_features(network, dataclasses.replace(data, masks=masks), spec=SPEC, image_shape=SHAPE)
    assert isinstance(cached, CachedFeatures)
    drawn = cached.source.draw(0, np.array([2]))
    assert drawn.targets.shape == (2, 8, 8)
    assert drawn.targets.dtype == torch.int64
