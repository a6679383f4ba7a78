"""Features of a frozen backbone, computed once: training then costs what its head costs.

Where nothing before some point of a network is trained, what leaves that point is the same at every step, as long as
the images are. So it is computed once for each image, without augmentation, and the head is trained on it. An image's
features must depend on no other image: they are computed in batches of one shape, which probes have shown to be
enough, or one image at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.core.candidate import AugmentationSpec, TrainingSpec
from gatekeeper.core.units import UnitImages
from gatekeeper.training.networks import NormalisedInput
from gatekeeper.training.views import Views, ViewSource

_AT_ONCE = 32
_PROBES = 3
_MAX_BYTES = 2 << 30


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SplitNetwork:
    """A network as its frozen beginning and the rest: head(backbone(x)) is what the network gives.

    Attributes:
        backbone: nothing in it is trained; in evaluation mode.
        head: shares its parameters with the network.
        shape: of one image's features.
    """

    backbone: nn.Module
    head: nn.Module
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NotCached:
    """Why features are computed anew at every step.

    Attributes:
        reason: a clause.
    """

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CachedFeatures:
    """What is trained, and on what.

    Attributes:
        head: in place of the network, whose parameters it shares.
        source: draws features where a `ViewSource` draws images.
        shape: of one image's features, in place of the image's.
    """

    head: nn.Module
    source: FeatureSource
    shape: tuple[int, ...]


class FeatureSource:
    """Draws the features of exactly the images that a `ViewSource` would draw.

    Args:
        views: whose choice of images is followed; without augmentation.
        features: of each image, float32, shape (images, *shape).
        data: for the targets.
    """

    def __init__(self, views: ViewSource, *, features: Tensor, data: UnitImages) -> None:
        self._views = views
        self._features = features
        targets = data.labels if data.masks is None else data.masks
        self._targets = torch.from_numpy(targets.astype(np.int64)).to(features.device)

    def draw(self, step: int, units: NDArray[np.int64]) -> Views:
        """The features of the views of `units` in this step.

        Args:
            step: index of the step, from 0.
            units: indices of the sampled units, shape (units,).
        """
        chosen = torch.from_numpy(self._views.choose(step, units)).to(self._features.device)
        return Views(images=self._features[chosen], targets=self._targets[chosen])


def cache_features(
    network: NormalisedInput, data: UnitImages, *, spec: TrainingSpec, image_shape: tuple[int, ...]
) -> CachedFeatures | NotCached:
    """The features of a network's frozen beginning for every training image, where that saves work.

    Args:
        network: some of whose parameters are frozen.
        data: the training images.
        spec: views, augmentation and seed.
        image_shape: channels, then the length of each spatial axis.
    """
    if spec.augmentation != AugmentationSpec():
        return NotCached(reason="views are augmented")
    split = split_frozen(network, image_shape=image_shape)
    if isinstance(split, NotCached):
        return split
    size = 4 * math.prod(split.shape) * len(data.images)
    if size > _MAX_BYTES:
        return NotCached(reason=f"the features would take {size / 2**30:.1f} GiB")
    features = features_of(split.backbone, data.images)
    views = ViewSource(data, views=spec.views, augmentation=spec.augmentation, seed=spec.seed)
    source = FeatureSource(views, features=features, data=data)
    return CachedFeatures(head=split.head, source=source, shape=split.shape)


def split_frozen(network: NormalisedInput, *, image_shape: tuple[int, ...]) -> SplitNetwork | NotCached:
    """Cut a network behind the last stage before which nothing is trained.

    Stages are the parts of `nn.Sequential` and, of a network with `features` and a `head`, those of the two; that
    the parts in a row give what the network gives is tried on random pixels.

    Args:
        network: whose parameters say whether they are trained.
        image_shape: of one input.
    """
    stages = _stages(network)
    cut = next((index for index, stage in enumerate(stages) if _trains(stage)), len(stages))
    if not any(True for stage in stages[:cut] for _ in stage.parameters()):
        return NotCached(reason="no frozen part of the network comes before all that is trained")
    backbone, head = nn.Sequential(*stages[:cut]).eval(), nn.Sequential(*stages[cut:])
    mode = network.training
    network.eval()
    probe = torch.rand((2, *image_shape), generator=torch.Generator().manual_seed(0)).to(_device(backbone))
    with torch.no_grad():
        features = backbone(probe)
        same = torch.equal(head(features), network(probe))
    network.train(mode)
    backbone.eval()
    if not same:
        return NotCached(reason="the network is more than its features and then its head")
    return SplitNetwork(backbone=backbone, head=head, shape=tuple(features.shape[1:]))


def features_of(backbone: nn.Module, images: NDArray[np.uint8]) -> Tensor:
    """What a backbone makes of each image, independently of the others.

    Args:
        backbone: in evaluation mode; takes pixel values in [0, 1].
        images: uint8, shape (images, channels, *spatial).

    Returns:
        float32, shape (images, *features), on the backbone's device.
    """
    at_once = 1 if _slots_matter(backbone, image_shape=images.shape[1:]) else _AT_ONCE
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), at_once):
            part = torch.from_numpy(images[start : start + at_once].copy()).to(_device(backbone))
            # By a tensor, as views are: the same bits on every device.
            pixels = part.to(torch.float32) / torch.full((), 255.0, device=part.device)
            filled = pixels.new_zeros((at_once, *pixels.shape[1:]))
            filled[: len(pixels)] = pixels
            parts.append(backbone(filled)[: len(pixels)].clone())
    return torch.cat(parts)


def _slots_matter(backbone: nn.Module, *, image_shape: tuple[int, ...]) -> bool:
    """Whether an image's features change by a bit with its place in the batch: then images go through alone."""
    generator = torch.Generator().manual_seed(0)
    probes = torch.rand((_PROBES, *image_shape), generator=generator).to(_device(backbone))
    slots = torch.arange(_AT_ONCE)
    expected: Tensor | None = None
    for turn in range(_PROBES):
        places = (slots + turn) % _PROBES
        with torch.no_grad():
            found = backbone(probes[places])
        if expected is None:
            expected = found[:_PROBES].clone()
        if not torch.equal(found, expected[places]):
            return True
    return False


class _Centred(nn.Module):
    """The first step of a `NormalisedInput`."""

    def __init__(self, *, centre: float, spread: float) -> None:
        super().__init__()
        self._centre = centre
        self._spread = spread

    def forward(self, x: Tensor) -> Tensor:
        return (x - self._centre) / self._spread


def _stages(module: nn.Module) -> list[nn.Module]:
    """The parts of a module that run one after the other."""
    if isinstance(module, NormalisedInput):
        return [_Centred(centre=module.centre, spread=module.spread), *_stages(module.network)]
    if type(module) is nn.Sequential:
        return [stage for part in module for stage in _stages(part)]
    features, head = getattr(module, "features", None), getattr(module, "head", None)
    if isinstance(features, nn.Module) and isinstance(head, nn.Module):
        return [*_stages(features), *_stages(head)]
    return [module]


def _trains(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
