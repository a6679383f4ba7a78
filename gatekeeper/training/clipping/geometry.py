"""A convolution's geometry, and the ways to get from its inputs and output gradients to gradients of its filters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gatekeeper.training.clipping.shares import by_unit

# Of an output map whose patches are written out to form one unit's gradient.
_FEW_PIXELS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How a convolution of one, two or three spatial axes slides.

    Attributes:
        kernel: size of the filters along each axis.
        stride: likewise.
        padding: zeros on both sides of each axis.
        dilation: distance of a filter's taps.
        groups: channel groups.
        transposed: whether it is a transposed convolution.
        output_padding: of a transposed one.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    @property
    def axes(self) -> int:
        """Spatial axes."""
        return len(self.kernel)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel reads the input pixel at its own place, and no other."""
        return all(
            (kernel, stride, padding) == (1, 1, 0)
            for kernel, stride, padding in zip(self.kernel, self.stride, self.padding, strict=True)
        )

    def backward(self, gradients: Tensor, inputs: Tensor, filters: Tensor, *, groups: int, of_inputs: bool) -> Tensor:
        """The gradient of the inputs, or that of the filters."""
        mask = (of_inputs, not of_inputs, False)
        found = torch.ops.aten.convolution_backward(
            gradients,
            inputs,
            filters,
            None,
            self.stride,
            self.padding,
            self.dilation,
            self.transposed,
            self.output_padding or (0,) * self.axes,
            groups,
            mask,
        )
        gradient: Tensor = found[0 if of_inputs else 1]
        return gradient

    def filters_gradient(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Tensor:
        """Σ over samples of the filters' gradients, shape of `filters`."""
        return self.backward(gradients, inputs, filters, groups=self.groups, of_inputs=False)

    def in_groups(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Tensor:
        """Each sample's gradient of the filters, by one backward pass that has the samples as channel groups.

        Returns:
            Shape (samples, *filters).
        """
        samples = len(inputs)
        found = self.backward(
            gradients.reshape(1, -1, *gradients.shape[2:]),
            inputs.reshape(1, -1, *inputs.shape[2:]),
            filters.new_empty((samples * len(filters), *filters.shape[1:])),  # only its shape is read
            groups=samples * self.groups,
            of_inputs=False,
        )
        return found.view(samples, *filters.shape)

    def one_by_one(self, gradients: Tensor, inputs: Tensor, filters: Tensor, *, views: int) -> Iterator[Tensor]:
        """Each unit's gradient of the filters, over its views: one product with its patches, or one backward pass.

        A small map's patches fit the cache, and a matrix product is faster than a convolution of a single unit.
        """
        pixels = gradients[0, 0].numel()
        few = self.axes == 2 and self.groups == 1 and not self.transposed and pixels <= _FEW_PIXELS
        for own, seen in zip(by_unit(gradients, views), by_unit(inputs, views), strict=True):
            if few:
                patches = functional.unfold(seen, self.kernel, self.dilation, self.padding, self.stride)
                each = torch.bmm(own.flatten(2), patches.transpose(1, 2))
                yield (each.sum(0) if views > 1 else each).view(filters.shape)
            else:
                yield self.filters_gradient(own, seen, filters)

    def padded(self, inputs: Tensor) -> Tensor:
        """The inputs with their zeros around them."""
        if not any(self.padding):
            return inputs
        return functional.pad(inputs, [side for padding in reversed(self.padding) for side in (padding, padding)])

    def patches(self, inputs: Tensor, outputs: tuple[int, ...]) -> Tensor:
        """What each output pixel sees, for one channel group.

        Args:
            inputs: shape (samples, in, *spatial).
            outputs: spatial size of the output.

        Returns:
            Shape (samples, pixels, in × kernel).
        """
        padded = self.padded(inputs).contiguous()
        samples, channels = padded.shape[:2]
        steps = padded.stride()[2:]
        strides = (
            *padded.stride()[:1],
            *(step * stride for step, stride in zip(steps, self.stride, strict=True)),
            padded.stride()[1],
            *(step * dilation for step, dilation in zip(steps, self.dilation, strict=True)),
        )
        windows = padded.as_strided((samples, *outputs, channels, *self.kernel), strides)
        return windows.reshape(samples, -1, channels * _product(self.kernel))

    def taps(self, outputs: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
        """For each of the filter's taps, the padded pixels that the output's pixels see through it."""
        for tap in itertools.product(*(range(size) for size in self.kernel)):
            yield tuple(
                slice(index * dilation, index * dilation + (size - 1) * stride + 1, stride)
                for index, dilation, stride, size in zip(tap, self.dilation, self.stride, outputs, strict=True)
            )


def patch_gram(geometry: Geometry, inputs: Tensor, outputs: tuple[int, ...], *, views: int) -> Tensor:
    """XXᵀ of the patches X of each unit, without writing out a patch.

    Two patches' product is the sum, over the filter's taps, of products of single pixels: so pixels are multiplied
    once, and windows of the products added up.

    Args:
        geometry: one channel group, not transposed.
        inputs: shape (units · views, in, *spatial).
        outputs: spatial size of the output.
        views: views of each unit.

    Returns:
        Shape (units, rows, rows), a unit's rows being its views' output pixels.
    """
    padded = geometry.padded(inputs)
    channels, spatial = padded.shape[1], padded.shape[2:]
    pixels = by_unit(padded, views).transpose(1, 2).reshape(-1, channels, views * _product(spatial))
    products = torch.bmm(pixels.transpose(1, 2), pixels).view(-1, views, *spatial, views, *spatial)
    every = slice(None)
    gram: Tensor | None = None
    for tap in geometry.taps(outputs):
        window = products[(every, every, *tap, every, *tap)]
        gram = window.clone() if gram is None else gram.add_(window)
    assert gram is not None
    rows = views * _product(outputs)
    return gram.reshape(-1, rows, rows)


def _product(sizes: tuple[int, ...]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
