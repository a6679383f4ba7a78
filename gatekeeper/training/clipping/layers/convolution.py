"""Convolutions and transposed convolutions of one to three spatial axes, weight-standardised ones too."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.choice import Problem, Way, choose
from gatekeeper.training.clipping.convolved import FactoredConvolution
from gatekeeper.training.clipping.geometry import Geometry
from gatekeeper.training.clipping.layers.base import Backward, Contribution, Finish, Forward, detached, trainable
from gatekeeper.training.clipping.rows import FactoredRows
from gatekeeper.training.clipping.shares import Materialised, OneByOne, Share, by_unit

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Chooser = Callable[[Problem], Way]
Look = Callable[[Tensor], Tensor]


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
        return Forward(output=self.convolve(inputs, self._module.weight.detach(), detached(self._module.bias)))

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
        """The convolution with any filters."""
        geometry = self.geometry
        return torch.convolution(
            inputs,
            filters,
            bias,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.transposed,
            geometry.output_padding or (0,) * geometry.axes,
            geometry.groups,
        )

    def of_inputs(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Tensor:
        """The inputs' gradient."""
        return self.geometry.backward(gradients, inputs, filters, groups=self.geometry.groups, of_inputs=True)

    def share(self, gradients: Tensor, inputs: Tensor, filters: Tensor, *, look: Look | None = None) -> Share:
        """The filters' share, formed in the way that is chosen for these shapes.

        Args:
            gradients: of the output.
            inputs: of the layer.
            filters: that it convolves with.
            look: what else to find out of gradients that are formed one by one.
        """
        views, geometry = self._views, self.geometry
        problem = self._problem(gradients, inputs, filters)
        way = self._chooser(problem)
        if way == "convolved":
            return FactoredConvolution(geometry, inputs, gradients, filters, views=views, summation=problem.summation)
        if way == "rows":
            patches = geometry.patches(inputs, tuple(gradients.shape[2:]))
            return FactoredRows(
                patches.reshape(problem.units, problem.rows, -1),
                gradients.flatten(2).transpose(1, 2).reshape(problem.units, problem.rows, -1),
            )
        if way == "one-by-one":
            return OneByOne(geometry.one_by_one(gradients, inputs, filters, views=views), look=look)
        if way == "pointwise":
            each = torch.bmm(gradients.flatten(2), inputs.flatten(2).transpose(1, 2))
        else:
            each = geometry.in_groups(gradients, inputs, filters)
        return Materialised([by_unit(each, views).sum(1) if views > 1 else each])

    def _problem(self, gradients: Tensor, inputs: Tensor, filters: Tensor) -> Problem:
        geometry = self.geometry
        padded = 1
        for size, padding in zip(inputs.shape[2:], geometry.padding, strict=True):
            padded *= size + 2 * padding
        return Problem(
            units=len(inputs) // self._views,
            views=self._views,
            pixels=gradients[0, 0].numel(),
            padded_pixels=padded,
            channels_in=inputs.shape[1],
            channels_out=gradients.shape[1],
            taps=filters[0, 0].numel(),
            factors=geometry.groups == 1 and not geometry.transposed,
            pointwise=geometry.is_pointwise,
        )

    def of_bias(self, gradients: Tensor, bias: Tensor) -> Contribution:
        """The bias' share."""
        each = by_unit(gradients.flatten(2).sum(2), self._views).sum(1)
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
