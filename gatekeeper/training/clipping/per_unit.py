"""Sums of per-unit gradients, each clipped once, accumulated exactly in float64.

A unit's gradient is the mean over its views; it is clipped to norm C whatever the number of its views or
images, so the sensitivity of the sum to one unit is C (Abadi et al. 2016, algorithm 1, with the unit in
place of the example). Per-sample gradients come from Opacus' hooks in float32; norms, clipping and the sum
are float64, and each gradient is clipped to C(1 − 1e-6), so that rounding can't carry one beyond C.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from torch import Tensor, nn
from torch.nn import functional

from gatekeeper.errors import DivergedError
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.networks.standardised import StandardisedConv2d, standardise_vjp
from gatekeeper.training.views import Views

# Far above the rounding of a float64 norm (1e-12 even for 10⁸ parameters), far below anything that matters.
_MARGIN = 1e-6

_COLUMNS = 4096


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


def clip_factors(norms: Tensor, *, clipping_norm: float) -> Tensor:
    """min(1, C/‖g‖) for each norm, float64, shape of `norms`; C is held back by the margin.

    Args:
        norms: ‖g‖ of each unit, float64, at least 0.
        clipping_norm: C, above 0; infinity clips nothing.
    """
    return (clipping_norm * (1 - _MARGIN) / norms).clamp(max=1.0)


class PerUnitGradients:
    """Clipped sums of a network's per-unit gradients.

    Args:
        network: the network; checked for layers that mix units.
        views: views of each unit, at least 1.
        physical_batch: views that are processed at once, which bounds memory.

    Raises:
        UnsupportedModelError: the network can't be trained with per-unit clipping.
    """

    def __init__(self, network: nn.Module, *, views: int, physical_batch: int) -> None:
        check_network(network)
        self._hooked = GradSampleModule(network, batch_first=True, loss_reduction="sum", strict=True)
        self._parameters = [p for p in self._hooked.parameters() if p.requires_grad]
        self._views = views
        self._units_at_once = max(1, physical_batch // views)

    def clipped_sum(self, batch: Views, *, clipping_norm: float) -> list[Tensor]:
        """Σ over units of min(1, C/‖gᵢ‖)·gᵢ.

        Args:
            batch: the views of the sampled units, unit by unit; may be empty.
            clipping_norm: C, above 0.

        Returns:
            One float64 tensor for each trainable parameter, of its shape.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        total = [torch.zeros(p.shape, dtype=torch.float64, device=p.device) for p in self._parameters]
        for gradients in self._chunks(batch):
            norms = torch.stack([_norms(gradient) for gradient in gradients]).norm(dim=0)
            if not bool(torch.isfinite(norms).all()):
                raise DivergedError(
                    "a unit's gradient is not finite", hint="lower the learning rate, or raise warmup or epsilon"
                )
            factors = clip_factors(norms, clipping_norm=clipping_norm)
            for sum_, gradient in zip(total, gradients, strict=True):
                sum_ += _weighted_sum(gradient, factors)
        return total

    def close(self) -> None:
        """Take the hooks off the network, which is then an ordinary one again."""
        self._hooked.to_standard_module()

    def _chunks(self, batch: Views) -> Iterator[list[Tensor]]:
        """Per-unit gradients, a physical batch at a time: for each parameter float32, shape (units, *parameter)."""
        at_once = self._units_at_once * self._views
        for start in range(0, len(batch.labels), at_once):
            images, labels = batch.images[start : start + at_once], batch.labels[start : start + at_once]
            loss = functional.cross_entropy(self._hooked(images), labels, reduction="sum")
            with warnings.catch_warnings():
                # The first layer's hook fires on its output's gradient: images need none.
                warnings.filterwarnings("ignore", message="Full backward hook is firing")
                loss.backward()  # type: ignore[no-untyped-call]
            yield [self._per_unit(parameter) for parameter in self._parameters]
            self._hooked.zero_grad(set_to_none=True)

    def _per_unit(self, parameter: nn.Parameter) -> Tensor:
        """The mean over each unit's views of one parameter's per-sample gradients."""
        per_view: Tensor = parameter.grad_sample  # type: ignore[attr-defined]
        return per_view.view(-1, self._views, *parameter.shape).mean(1) if self._views > 1 else per_view


def _norms(gradient: Tensor) -> Tensor:
    """The norm of each unit's gradient of one parameter, accumulated in float64, shape (units,)."""
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1, dtype=torch.float64)
    return norms


def _weighted_sum(gradient: Tensor, factors: Tensor) -> Tensor:
    """Σ factorᵢ·gᵢ in float64, a few columns at a time so that the float64 copy stays in the cache."""
    columns = torch.split(gradient.flatten(1), _COLUMNS, dim=1)
    return torch.cat([factors @ part.double() for part in columns]).view(gradient.shape[1:])
