"""How views are altered: mirrored, shifted, turned, scaled, brightened; masks move exactly as their images.

Mirroring and shifting move whole pixels and are exact. Turning and scaling sample once more: bilinear (in volumes
trilinear) for images, the nearest pixel for masks. Beyond the border the border is repeated.

Everything is element by element, in operations that IEEE 754 rounds correctly, one kernel each: so the bits of a view
depend neither on the views beside it nor on the device. (`affine_grid` multiplies matrices in batches, and
`grid_sample` fuses; neither promises that.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.core.candidate import AugmentationSpec

# Views that are sampled once more at once: bounds memory, changes no bit.
_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Alterations:
    """What is drawn for views, one entry a view along the leading axes.

    Attributes:
        flips: whether to mirror along each spatial axis, shape (*, axes).
        shifts: by how many pixels along each spatial axis, shape (*, axes).
        cosine: of the turn's angle, divided by the factor of size, shape (*).
        sine: the same.
        factor: of size, above 0, shape (*).
        contrast: factor about mid-grey, above 0, shape (*).
        brightness: what is added, shape (*).
    """

    flips: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    cosine: NDArray[np.float64]
    sine: NDArray[np.float64]
    factor: NDArray[np.float64]
    contrast: NDArray[np.float64]
    brightness: NDArray[np.float64]

    def of(self, units: NDArray[np.int64]) -> Alterations:
        """Those of some units, view by view: (units, views, *) becomes (chosen units · views, *)."""
        axes = self.flips.shape[-1]
        return Alterations(
            flips=self.flips[units].reshape(-1, axes),
            shifts=self.shifts[units].reshape(-1, axes),
            cosine=self.cosine[units].reshape(-1),
            sine=self.sine[units].reshape(-1),
            factor=self.factor[units].reshape(-1),
            contrast=self.contrast[units].reshape(-1),
            brightness=self.brightness[units].reshape(-1),
        )


def draw_alterations(
    generator: np.random.Generator, spec: AugmentationSpec, *, shape: tuple[int, ...], axes: int
) -> Alterations:
    """Random alterations; what `spec` does not ask for leaves a view as it is.

    Args:
        generator: of a public seed.
        spec: how far alterations go.
        shape: of the views, such as (units, views).
        axes: spatial axes, 2 or 3.
    """
    flips = generator.integers(2, size=(*shape, axes)) == 1
    shifts = generator.integers(-spec.shift, spec.shift + 1, size=(*shape, axes))
    turn, size, contrast, brightness = (2 * generator.random((4, *shape)) - 1) * np.array(
        [spec.rotation, spec.scale, spec.intensity, spec.intensity]
    ).reshape(4, *[1] * len(shape))
    angle, factor = np.radians(turn), 1 + size
    return Alterations(
        flips=flips & spec.flips,
        shifts=shifts,
        cosine=np.cos(angle) / factor,
        sine=np.sin(angle) / factor,
        factor=factor,
        contrast=1 + contrast,
        brightness=brightness,
    )


def altered_images(images: Tensor, how: Alterations, *, spec: AugmentationSpec) -> Tensor:
    """Each image under its alteration.

    Args:
        images: pixel values, uint8, shape (n, channels, *spatial).
        how: what was drawn from `spec` for each.
        spec: which alterations are asked for.

    Returns:
        Values in [0, 1], float32, on the images' device.
    """
    moved = _moved(images, how) if spec.flips or spec.shift else images
    # By a tensor: by a number, CUDA would multiply by the reciprocal, which rounds otherwise.
    values = moved.to(torch.float32) / torch.full((), 255.0, device=images.device)
    if spec.rotation or spec.scale:
        values = _sampled(values, how, nearest=False)
    if spec.intensity:
        values = _brightened(values, how)
    return values


def altered_masks(masks: Tensor, how: Alterations, *, spec: AugmentationSpec) -> Tensor:
    """Each mask moved as `altered_images` moves its image; its values stay classes.

    Args:
        masks: class of each pixel, uint8, shape (n, *spatial).
        how: what was drawn from `spec` for each.
        spec: which alterations are asked for.

    Returns:
        int64, shape (n, *spatial).
    """
    moved = masks.unsqueeze(1)
    if spec.flips or spec.shift:
        moved = _moved(moved, how)
    if spec.rotation or spec.scale:
        moved = _sampled(moved, how, nearest=True)
    return moved.squeeze(1).to(torch.int64)


def _moved(images: Tensor, how: Alterations) -> Tensor:
    """Mirrored, then shifted; the border is repeated."""
    flips, shifts = (torch.from_numpy(each).to(images.device) for each in (how.flips, how.shifts))
    places = []
    for axis, side in enumerate(images.shape[2:]):
        place = (torch.arange(side, device=images.device) + shifts[:, axis : axis + 1]).clamp(0, side - 1)
        place = torch.where(flips[:, axis : axis + 1], side - 1 - place, place)
        places.append(place.view(len(images), *[side if own == axis else 1 for own in range(images.dim() - 2)]))
    return _picked(images, places)


def _picked(images: Tensor, places: list[Tensor]) -> Tensor:
    """The pixels at `places`, (n, *grid) each: indices along the first spatial axes, which broadcast."""
    flat = places[0]
    for place, side in zip(places[1:], images.shape[3:], strict=False):
        flat = flat * side + place
    grid, rest = flat.shape[1:], images.shape[2 + len(places) :]
    index = flat.reshape(len(images), 1, grid.numel(), *[1] * len(rest))
    pixels = images.flatten(2, 1 + len(places))
    picked = pixels.gather(2, index.expand(-1, images.shape[1], -1, *rest))
    return picked.view(*images.shape[:2], *grid, *rest)


def _sampled(images: Tensor, how: Alterations, *, nearest: bool) -> Tensor:
    """Turned in the plane of the last two axes and scaled along every spatial axis, about the middle.

    A point p of the view, from the middle, shows the image at R(−angle)·p / factor. Along the depth axis there is no
    turn, so that plane and depth can be sampled one after the other.
    """
    drawn = (torch.from_numpy(each).to(images.device) for each in (how.cosine, how.sine, how.factor))
    pieces = (torch.split(each, _AT_ONCE) for each in (images, *drawn))
    done = []
    for piece, cosine, sine, factor in zip(*pieces, strict=True):
        planes = piece.flatten(1, -3)
        sampled = _sampled_plane(planes, cosine=cosine, sine=sine, nearest=nearest).reshape(piece.shape)
        done.append(_sampled_depth(sampled, factor=factor, nearest=nearest) if piece.dim() == 5 else sampled)
    return torch.cat(done)


def _sampled_plane(images: Tensor, *, cosine: Tensor, sine: Tensor, nearest: bool) -> Tensor:
    """Images (n, channels, height, width) turned and scaled in their plane."""
    height, width = images.shape[2:]
    down = _from_middle(height, images.device).view(1, -1, 1)
    right = _from_middle(width, images.device).view(1, 1, -1)
    cosine, sine = cosine.view(-1, 1, 1), sine.view(-1, 1, 1)
    y = (sine * right + cosine * down + (height - 1) / 2).clamp(0, height - 1)
    x = (cosine * right - sine * down + (width - 1) / 2).clamp(0, width - 1)
    if nearest:
        return _picked(images, [_nearest(y), _nearest(x)])
    (top, bottom, weight_y), (start, end, weight_x) = _between(y, side=height), _between(x, side=width)
    upper = _mixed(_picked(images, [top, start]), _picked(images, [top, end]), weight_x)
    lower = _mixed(_picked(images, [bottom, start]), _picked(images, [bottom, end]), weight_x)
    return _mixed(upper, lower, weight_y)


def _sampled_depth(images: Tensor, *, factor: Tensor, nearest: bool) -> Tensor:
    """Volumes (n, channels, depth, height, width) scaled along their depth."""
    depth = images.shape[2]
    z = (_from_middle(depth, images.device) / factor.view(-1, 1) + (depth - 1) / 2).clamp(0, depth - 1)
    if nearest:
        return _picked(images, [_nearest(z)])
    below, above, weight = _between(z, side=depth)
    return _mixed(_picked(images, [below]), _picked(images, [above]), weight[:, :, None, None])


def _from_middle(side: int, device: torch.device) -> Tensor:
    return torch.arange(side, dtype=torch.float64, device=device) - (side - 1) / 2


def _nearest(places: Tensor) -> Tensor:
    return (places + 0.5).floor().to(torch.int64)


def _between(places: Tensor, *, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after each place, and how far it lies between them (float32)."""
    before = places.floor()
    index = before.to(torch.int64)
    return index, (index + 1).clamp(max=side - 1), (places - before).to(torch.float32)


def _mixed(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Linear interpolation that leaves equal values as they are, to the last bit."""
    return first + weight.unsqueeze(1) * (second - first)


def _brightened(images: Tensor, how: Alterations) -> Tensor:
    """Contrast about mid-grey, then brightness; what leaves [0, 1] is cut off."""
    shape = (-1, *[1] * (images.dim() - 1))
    contrast, brightness = (
        torch.from_numpy(each).to(images.device, torch.float32).view(shape) for each in (how.contrast, how.brightness)
    )
    return ((images - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
