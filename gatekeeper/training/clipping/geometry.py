"""A convolution's geometry, and the ways to get from its inputs and output gradients to gradients of its filters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.training.clipping.shares import by_unit

# Numbers that are formed at once.
_IN_CACHE = 2_500_000


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
    def factors(self) -> bool:
        """Whether the gradient of the filters is a product of output gradients and patches of the input."""
        return self.groups == 1 and not self.transposed

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

    def a_few_at_a_time(self, gradients: Tensor, inputs: Tensor, filters: Tensor, *, views: int) -> Iterator[Tensor]:
        """Units' gradients of the filters: products with patches that fit the cache, or a backward pass a unit.

        Yields:
            Shape (a few units, *filters).
        """
        outputs = tuple(gradients.shape[2:])
        each, seen = by_unit(gradients, views), by_unit(inputs, views)
        few = self.units_at_once(len(each), numbers=views * math.prod(outputs) * filters[0].numel() + filters.numel())
        if not few:
            for own, of_it in zip(each, seen, strict=True):
                yield self.filters_gradient(own, of_it, filters)[None]
            return
        rows, padded = each.flatten(3).transpose(1, 2).flatten(2), self.channels_last(inputs)
        for own, of_it in zip(torch.split(rows, few), torch.split(padded, few * views), strict=True):
            patches = self.patches(of_it, outputs).reshape(len(own), -1, filters[0].numel())
            yield self.as_filters(torch.bmm(own, patches))

    def units_at_once(self, units: int, *, numbers: int) -> int:
        """How many units' patches and gradients fit the cache together; 0 if not even one's do.

        All units, or a power of two that divides them: products of one shape have the same order of additions.

        Args:
            units: of a physical batch.
            numbers: of one unit.
        """
        if not self.factors or numbers > _IN_CACHE:
            return 0
        fewer = (1 << power for power in reversed(range(units.bit_length())))
        return next(few for few in (units, *fewer) if units % few == 0 and (few == 1 or few * numbers <= _IN_CACHE))

    def channels_last(self, inputs: Tensor) -> Tensor:
        """The inputs with their zeros around them, channels last: what one tap sees lies in a row.

        Returns:
            Shape (samples, *padded spatial, in).
        """
        samples, channels, *sizes = inputs.shape
        padded = inputs.new_empty(
            (samples, *(size + 2 * padding for size, padding in zip(sizes, self.padding, strict=True)), channels)
        )
        inner = padded
        for axis, (size, padding) in enumerate(zip(sizes, self.padding, strict=True), start=1):
            inner.narrow(axis, 0, padding).zero_()
            inner.narrow(axis, padding + size, padding).zero_()
            inner = inner.narrow(axis, padding, size)
        inner.copy_(inputs.movedim(1, -1))
        return padded

    def patches(self, padded: Tensor, outputs: tuple[int, ...]) -> Tensor:
        """What each output pixel sees, for one channel group.

        Args:
            padded: as `channels_last` gives it.
            outputs: spatial size of the output.

        Returns:
            Shape (samples, pixels, taps × in).
        """
        samples, *steps, channel = padded.stride()
        strides = (
            samples,
            *(step * stride for step, stride in zip(steps, self.stride, strict=True)),
            *(step * dilation for step, dilation in zip(steps, self.dilation, strict=True)),
            channel,
        )
        sizes = (len(padded), *outputs, *self.kernel, padded.shape[-1])
        windows = padded.as_strided(sizes, strides, padded.storage_offset())
        return windows.reshape(len(padded), math.prod(outputs), -1)

    def as_filters(self, rows: Tensor) -> Tensor:
        """Gradients of filters, shape (…, out, taps × in), as (…, out, in, *kernel); nothing is moved."""
        return rows.view(*rows.shape[:-1], *self.kernel, -1).movedim(-1, -1 - self.axes)
