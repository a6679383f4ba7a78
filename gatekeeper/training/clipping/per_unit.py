"""Sums of per-unit gradients, each clipped once and rounded to the grid, summed exactly as whole numbers.

A unit's gradient is the mean over its views; it is clipped to norm C whatever the number of its views or
images, so the sensitivity of the sum to one unit is C (Abadi et al. 2016, algorithm 1, with the unit in
place of the example). Per-sample gradients come from Opacus' hooks in float32; norms and clipping are
float64, rounding to the grid is part of the clip (see `grid`), and whole numbers add up alike in any order.

What is left is float32's own rounding of a unit's gradient, which must not depend on the other units: kernels
choose the order of their operations by the shape of what they are given. So every physical batch has the same
shape, the last one of a step being filled up with blank images whose gradients are dropped; `isolation` checks
that this is enough.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.grid import Grid
from gatekeeper.training.networks.standardised import StandardisedConv2d, standardise_vjp
from gatekeeper.training.views import Views

# float64 copies of at most so many numbers at once, so that they stay in the cache.
_CACHED = 1 << 16


@register_grad_sampler(StandardisedConv2d)  # type: ignore[untyped-decorator]
def _standardised_conv_grad_sample(
    layer: StandardisedConv2d, activations: list[Tensor], backprops: Tensor
) -> dict[Tensor, Tensor]:
    """Per-sample gradients of a weight-standardised convolution: an ordinary one's, pulled back to the raw filters."""
    gradients: dict[Tensor, Tensor] = {}
    if layer.weight.requires_grad:
        ordinary = conv2d_weight_gradients(layer, inputs=activations[0], output_gradients=backprops)
        gradients[layer.weight] = standardise_vjp(layer.weight.detach(), ordinary)
    if layer.bias is not None and layer.bias.requires_grad:
        gradients[layer.bias] = backprops.sum((2, 3))
    return gradients


def conv2d_weight_gradients(layer: nn.Conv2d, *, inputs: Tensor, output_gradients: Tensor) -> Tensor:
    """Each sample's gradient of a convolution's filters, by one backward pass with a group for each sample.

    Args:
        layer: the convolution, with one group and zero padding given in pixels.
        inputs: shape (samples, in, height, width).
        output_gradients: shape (samples, out, height, width).

    Returns:
        Shape (samples, out, in, kernel height, kernel width).
    """
    samples = len(inputs)
    filters = layer.weight.detach().repeat(samples, 1, 1, 1)
    _, gradients, _ = torch.ops.aten.convolution_backward(
        output_gradients.reshape(1, -1, *output_gradients.shape[2:]),
        inputs.reshape(1, -1, *inputs.shape[2:]),
        filters,
        None,
        layer.stride,
        layer.padding,
        layer.dilation,
        False,
        (0, 0),
        samples,
        (False, True, False),
    )
    per_sample: Tensor = gradients.view(samples, *layer.weight.shape)
    return per_sample


def clip_factors(norms: Tensor, *, radius: float) -> Tensor:
    """min(1, r/‖g‖) for each norm, float64, shape of `norms`.

    Args:
        norms: ‖g‖ of each unit, float64, at least 0.
        radius: r, above 0.
    """
    return (radius / norms).clamp(max=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitGradients:
    """The gradients of some units, not yet clipped.

    Attributes:
        parts: for each trainable parameter float32, shape (units, *parameter).
        norms: over all parameters, float64, shape (units,).
    """

    parts: list[Tensor]
    norms: Tensor

    def first(self, units: int) -> UnitGradients:
        """Those of the first `units`."""
        return UnitGradients(parts=[part[:units] for part in self.parts], norms=self.norms[:units])


class PerUnitGradients:
    """Clipped sums of a network's per-unit gradients.

    Args:
        network: the network; checked for layers that mix units.
        views: views of each unit, at least 1.
        units_at_once: units that are processed at once, always so many, which bounds memory; at least 1.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """

    def __init__(self, network: nn.Module, *, views: int, units_at_once: int) -> None:
        check_network(network)
        self._hooked = GradSampleModule(network, batch_first=True, loss_reduction="sum", strict=True)
        self._parameters = [p for p in self._hooked.parameters() if p.requires_grad]
        self.views = views
        self.units_at_once = units_at_once

    def clipped_sum(self, batch: Views, *, grid: Grid) -> list[Tensor]:
        """Σ over units of round(min(1, C'/‖gᵢ‖)·gᵢ / h), h and C' the grid's step and radius.

        Args:
            batch: the views of the sampled units, unit by unit; may be empty.
            grid: where sums live.

        Returns:
            One int64 tensor for each trainable parameter, of its shape, in steps of the grid.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        total = [torch.zeros(p.shape, dtype=torch.int64, device=p.device) for p in self._parameters]
        for gradients in self._chunks(batch):
            if not bool(torch.isfinite(gradients.norms).all()):
                raise DivergedError(
                    "a unit's gradient is not finite", hint="lower the learning rate, or raise warmup or epsilon"
                )
            factors = clip_factors(gradients.norms, radius=grid.radius)
            for sum_, part in zip(total, gradients.parts, strict=True):
                sum_ += _rounded_sum(part, factors, step=grid.step)
        return total

    def physical_batch(self, images: Tensor, labels: Tensor) -> UnitGradients:
        """The gradients of exactly `units_at_once` units.

        Args:
            images: their views, unit by unit, shape (units · views, channels, height, width).
            labels: class of each view, shape (units · views,).
        """
        loss = functional.cross_entropy(self._hooked(images), labels, reduction="sum")
        with warnings.catch_warnings():
            # The first layer's hook fires on its output's gradient: images need none.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss.backward()  # type: ignore[no-untyped-call]
        parts = [self._per_unit(parameter) for parameter in self._parameters]
        self._hooked.zero_grad(set_to_none=True)
        return UnitGradients(parts=parts, norms=torch.stack([_norms(part) for part in parts]).norm(dim=0))

    def close(self) -> None:
        """Take the hooks off the network, which is then an ordinary one again."""
        self._hooked.to_standard_module()

    def _chunks(self, batch: Views) -> Iterator[UnitGradients]:
        """Per-unit gradients, a physical batch at a time, blank images added and dropped again."""
        rows = self.units_at_once * self.views
        for start in range(0, len(batch.targets), rows):
            images, labels = batch.images[start : start + rows], batch.targets[start : start + rows]
            filled = self.physical_batch(_filled(images, rows), _filled(labels, rows))
            yield filled.first(len(labels) // self.views)

    def _per_unit(self, parameter: nn.Parameter) -> Tensor:
        """The mean over each unit's views of one parameter's per-sample gradients."""
        per_view: Tensor = parameter.grad_sample  # type: ignore[attr-defined]
        return per_view.view(-1, self.views, *parameter.shape).mean(1) if self.views > 1 else per_view


def _filled(part: Tensor, rows: int) -> Tensor:
    """A fresh tensor of `rows` rows, zeros after those of `part`: fresh, so that its alignment is always the same."""
    filled = part.new_zeros((rows, *part.shape[1:]))
    filled[: len(part)] = part
    return filled


def _norms(gradient: Tensor) -> Tensor:
    """The norm of each unit's gradient of one parameter, accumulated in float64, shape (units,)."""
    norms = [torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in _columns(gradient)]
    combined: Tensor = torch.stack(norms).norm(dim=0)
    return combined


def _rounded_sum(gradient: Tensor, factors: Tensor, *, step: float) -> Tensor:
    """Σ round(factorᵢ·gᵢ/h), exactly: a product beyond 2⁵³ steps is a whole number already, and int64 adds those."""
    scaled = (factors / step)[:, None]  # exact: h is a power of two
    sums = [part.double().mul_(scaled).round_().to(torch.int64).sum(0) for part in _columns(gradient)]
    return torch.cat(sums).view(gradient.shape[1:])


def _columns(gradient: Tensor) -> tuple[Tensor, ...]:
    """Each unit's coordinates in a row, cut into pieces that fit the cache in float64."""
    width = max(1, _CACHED // len(gradient))
    return torch.split(gradient.flatten(1), width, dim=1)
