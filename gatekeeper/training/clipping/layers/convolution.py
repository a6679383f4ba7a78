"""Convolutions and transposed convolutions of one to three spatial axes, weight-standardised ones too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.choice import Problem, Way, choose
from gatekeeper.training.clipping.geometry import Geometry
from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, detached, trainable
from gatekeeper.training.clipping.rows import FactoredRows
from gatekeeper.training.clipping.shares import AFewAtATime, Materialised, Share, by_unit
from gatekeeper.training.precision import forming, widened

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Chooser = Callable[[Problem], Way]


class ConvolutionLayer:
    """A convolution under the engine.

    Args:
        module: the layer, padded with zeros.
        views: views of each unit.
        chooser: picks the way to form shares.
    """

    def __init__(self, module: Convolution, *, views: int, chooser: Chooser = choose) -> None:
        self._module, self._views, self._chooser = module, views, chooser
        self.geometry = geometry_of(module)

    def forward(self, inputs: Tensor) -> Forward:
        """See `Layer.forward`."""
        return Forward(output=self.convolve(inputs, self._module.weight.detach(), self._module.bias))

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """See `Layer.backward`."""
        gradients, inputs, filters = gradients.contiguous(), inputs.contiguous(), self._module.weight.detach()
        contributions = []
        if trainable(self._module.weight):
            share = self.share(gradients, inputs, filters)
            contributions.append(Contribution(share=share, parameters=(self._module.weight,)))
        if self._module.bias is not None and trainable(self._module.bias):
            contributions.append(self.of_bias(gradients, self._module.bias))
        return Backward(
            input_gradient=self.of_inputs(gradients, inputs, filters) if wanted else None,
            contributions=tuple(contributions),
        )

    def finish(self, parameter: Tensor) -> Finish | None:
        """Nothing is left to do."""
        return None

    def convolve(self, inputs: Tensor, filters: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with any filters, which are rounded to the inputs' type."""
        geometry = self.geometry
        return torch.convolution(
            inputs,
            filters.to(inputs.dtype),
            detached(bias, like=inputs),
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.transposed,
            geometry.output_padding or (0,) * geometry.axes,
            geometry.groups,
        )

    def of_inputs(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Tensor:
        """The inputs' gradient."""
        return self.geometry.backward(
            gradients, inputs, filters.to(inputs.dtype), groups=self.geometry.groups, of_inputs=True
        )

    def share(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Share:
        """The filters' share, formed in the way that is chosen for these shapes.

        Args:
            gradients: of the output.
            inputs: of the layer.
            filters: that it convolves with, float32.
        """
        way = self._chooser(self._problem(gradients, inputs, filters))
        if way == "rows":
            return self._factored(gradients, inputs)
        with forming(inputs):
            return AFewAtATime(self._formed(way, widened(gradients), widened(inputs), filters))

    def _formed(self, way: Way, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Iterable[Tensor]:
        """The units' gradients, a few at a time or all at once."""
        views, geometry = self._views, self.geometry
        if way == "few":
            return geometry.a_few_at_a_time(gradients, inputs, filters, views=views)
        if way == "pointwise":
            each = geometry.as_filters(torch.bmm(gradients.flatten(2), inputs.flatten(2).transpose(1, 2)))
        else:
            each = geometry.in_groups(gradients, inputs, filters)
        return [by_unit(each, views).sum(1) if views > 1 else each]

    def _factored(self, gradients: Tensor, inputs: Tensor) -> Share:
        """The share as inputs and output gradients, a unit's rows being its views' output pixels."""
        geometry, outputs = self.geometry, tuple(gradients.shape[2:])

        def opened(padded: Tensor) -> Tensor:
            return geometry.patches(padded.flatten(0, 1), outputs).reshape(len(padded), -1, filter_length)

        filter_length = inputs.shape[1] * math.prod(geometry.kernel)
        rows = by_unit(gradients.flatten(2), self._views).transpose(2, 3)
        return FactoredRows(
            by_unit(geometry.channels_last(inputs), self._views),
            rows.reshape(len(rows), -1, gradients.shape[1]),
            opened=opened,
            shaped=geometry.as_filters,
        )

    def _problem(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Problem:
        geometry = self.geometry
        return Problem(
            units=len(inputs) // self._views,
            views=self._views,
            pixels=gradients[0, 0].numel(),
            channels_in=inputs.shape[1],
            channels_out=gradients.shape[1],
            taps=filters[0, 0].numel(),
            factors=geometry.factors,
            pointwise=geometry.is_pointwise,
        )

    def of_bias(self, gradients: Tensor, bias: Tensor) -> Contribution:
        """The bias' share."""
        each = by_unit(widened(gradients).flatten(2).sum(2), self._views).sum(1)
        return Contribution(share=Materialised([each]), parameters=(bias,))


def geometry_of(module: Convolution) -> Geometry:
    """The geometry of a convolution that is padded with zeros, evenly on both sides."""
    transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    return Geometry(
        kernel=tuple(module.kernel_size),
        stride=tuple(module.stride),
        padding=even_padding(module),
        dilation=tuple(module.dilation),
        groups=module.groups,
        transposed=transposed,
        output_padding=tuple(module.output_padding) if transposed else (),
    )


def is_evenly_padded(module: Convolution) -> bool:
    """Whether the padding is zeros, as many before as behind."""
    if module.padding_mode != "zeros":
        return False
    return module.padding != "same" or all(
        dilation * (kernel - 1) % 2 == 0 for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True)
    )


def even_padding(module: Convolution) -> tuple[int, ...]:
    """Zeros on each side of each axis."""
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    if module.padding == "same":
        return tuple(d * (k - 1) // 2 for k, d in zip(module.kernel_size, module.dilation, strict=True))
    return tuple(int(padding) for padding in module.padding)
