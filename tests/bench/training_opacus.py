"""Opacus as an arm of the training bench: per-sample gradients by hooks, and fast gradient (ghost) clipping."""

from __future__ import annotations

import warnings

import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping, register_grad_sampler
from opacus.grad_sample.conv import compute_conv_grad_sample
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import Tensor, nn

from gatekeeper.training.networks.standardised import StandardisedConv2d, standardise
from gatekeeper.training.views import Views
from tests.bench.training_arms import materialising_batch
from tests.bench.training_cases import Case, pieces

# Without a sampler of its own, Opacus would run standardised convolutions through functorch, far slower.
_SAMPLED = "with the bench's own sampler for standardised convolutions"


@register_grad_sampler(StandardisedConv2d)
def _standardised(layer: StandardisedConv2d, activations: list[Tensor], backprops: Tensor) -> dict[Tensor, Tensor]:
    """Opacus' own per-sample gradients of the standardised filters, pulled back to the raw ones."""
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=False,
        device="meta",
    )
    found = compute_conv_grad_sample(plain, activations, backprops)[plain.weight]
    _, pullback = torch.func.vjp(standardise, layer.weight.detach())
    (raw,) = torch.func.vmap(pullback)(found)
    return {layer.weight: raw} if layer.bias is None else {layer.weight: raw, layer.bias: backprops.sum((2, 3))}


def _remark(network: nn.Module) -> str:
    return _SAMPLED if any(isinstance(module, StandardisedConv2d) for module in network.modules()) else ""


class Hooks:
    """`GradSampleModule` and `DPOptimizer`."""

    def __init__(self, case: Case, network: nn.Module) -> None:
        self.network, self.physical = network, materialising_batch(case, network)
        self.remark = _remark(network)
        self._loss = case.loss
        self._module = GradSampleModule(network)
        self._optimizer = DPOptimizer(
            case.optimizer(network),
            noise_multiplier=case.noise_multiplier,
            max_grad_norm=case.clipping_norm,
            expected_batch_size=case.batch,
        )

    def step(self, batch: Views) -> None:
        parts = pieces(batch, self.physical)
        for number, piece in enumerate(parts, start=1):
            self._optimizer.zero_grad()
            self._backward(piece)
            self._optimizer.signal_skip_step(do_skip=number < len(parts))
            self._optimizer.step()

    def _backward(self, piece: Views) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # images need no gradient, of which torch's hooks warn
            self._loss(self._module(piece.images), piece.targets).mean().backward()


class _Criterion:
    """A loss as Opacus wants it: one for each unit when `reduction` is `none`."""

    def __init__(self, case: Case) -> None:
        self._loss, self.reduction = case.loss, "mean"

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = self._loss(logits, targets)
        return losses if self.reduction == "none" else losses.mean()


class Ghost(Hooks):
    """`GradSampleModuleFastGradientClipping` and `DPOptimizerFastGradientClipping`: two backward passes."""

    def __init__(self, case: Case, network: nn.Module) -> None:
        self.network, self.physical = network, materialising_batch(case, network)
        self.remark = _remark(network)
        self._module = GradSampleModuleFastGradientClipping(network, max_grad_norm=case.clipping_norm)
        self._optimizer = DPOptimizerFastGradientClipping(
            case.optimizer(network),
            noise_multiplier=case.noise_multiplier,
            max_grad_norm=case.clipping_norm,
            expected_batch_size=case.batch,
        )
        self._criterion = DPLossFastGradientClipping(self._module, self._optimizer, _Criterion(case))

    def _backward(self, piece: Views) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above
            self._criterion(self._module(piece.images), piece.targets).backward()
