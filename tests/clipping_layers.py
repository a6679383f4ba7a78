"""Layers of every kind that the clipping engine takes apart, and a way to run one of them alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gatekeeper.training.clipping.choice import Problem, Way, ways
from gatekeeper.training.clipping.layers.base import Contribution, Layer
from gatekeeper.training.clipping.layers.table import layer_for
from gatekeeper.training.networks.standardised import StandardisedConv2d


class Scale(nn.Module):
    """A user's own layer: a trained factor for each channel, and one for all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.gain = nn.Parameter(torch.rand(channels, 1)), nn.Parameter(torch.rand(()))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.scale * self.gain.exp()
        return scaled


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer, and the shape of a view that it takes; integers below `tokens` if there are any."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    tokens: int = 0


CASES: dict[str, Case] = {
    "linear": Case(make=lambda: nn.Linear(6, 5), shape=(6,)),
    "linear, 4 rows": Case(make=lambda: nn.Linear(6, 5), shape=(2, 2, 6)),
    "linear, 40 rows": Case(make=lambda: nn.Linear(6, 5, bias=False), shape=(40, 6)),
    "conv1d": Case(make=lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2), shape=(3, 11)),
    "conv1d, same": Case(make=lambda: nn.Conv1d(2, 3, 3, padding="same"), shape=(2, 7)),
    "conv1d, same, even": Case(make=lambda: nn.Conv1d(2, 3, 4, padding="same", dilation=3), shape=(2, 12)),
    "conv2d": Case(make=lambda: nn.Conv2d(3, 4, 3, padding=1), shape=(3, 5, 6)),
    "conv2d, one pixel": Case(make=lambda: nn.Conv2d(3, 4, 3), shape=(3, 3, 3)),
    "conv2d, valid": Case(make=lambda: nn.Conv2d(2, 3, (2, 3), padding="valid", bias=False), shape=(2, 5, 5)),
    "conv2d, same": Case(make=lambda: nn.Conv2d(2, 3, (3, 5), padding="same", dilation=(2, 1)), shape=(2, 6, 6)),
    "conv2d, wide stride": Case(make=lambda: nn.Conv2d(2, 3, 2, stride=3, padding=1), shape=(2, 8, 7)),
    "conv2d, groups": Case(make=lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), shape=(4, 5, 5)),
    "conv2d, depthwise": Case(make=lambda: nn.Conv2d(4, 4, 3, groups=4, stride=2, dilation=2), shape=(4, 8, 8)),
    "conv2d, 1×1": Case(make=lambda: nn.Conv2d(5, 4, 1), shape=(5, 4, 4)),
    "conv2d, 1×1, stride": Case(make=lambda: nn.Conv2d(5, 4, 1, stride=2), shape=(5, 5, 5)),
    "conv2d, 1×1, padding": Case(make=lambda: nn.Conv2d(5, 4, 1, padding=1), shape=(5, 2, 2)),
    "conv2d, reflect": Case(make=lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), shape=(2, 5, 5)),
    "conv3d": Case(make=lambda: nn.Conv3d(2, 3, 3, stride=(1, 2, 1), padding=1), shape=(2, 3, 4, 4)),
    "conv3d, groups": Case(make=lambda: nn.Conv3d(2, 4, 2, groups=2, dilation=2), shape=(2, 3, 4, 3)),
    "transposed 1d": Case(make=lambda: nn.ConvTranspose1d(3, 2, 3, stride=2, output_padding=1), shape=(3, 4)),
    "transposed 2d": Case(make=lambda: nn.ConvTranspose2d(3, 2, 2, stride=2), shape=(3, 3, 4)),
    "transposed 2d, groups": Case(
        make=lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
        shape=(4, 3, 3),
    ),
    "transposed 3d": Case(make=lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, output_padding=1), shape=(2, 2, 2, 3)),
    "standardised": Case(make=lambda: StandardisedConv2d(3, 4, 3, padding=1, bias=False), shape=(3, 5, 5)),
    "standardised, bias": Case(make=lambda: StandardisedConv2d(4, 3, 2, stride=2), shape=(4, 4, 4)),
    "standardised, 1×1": Case(make=lambda: StandardisedConv2d(6, 3, 1), shape=(6, 3, 3)),
    "standardised, groups": Case(make=lambda: StandardisedConv2d(4, 4, 3, groups=2), shape=(4, 5, 5)),
    "groupnorm": Case(make=lambda: nn.GroupNorm(2, 6), shape=(6, 4, 4)),
    "groupnorm, rows": Case(make=lambda: nn.GroupNorm(3, 6), shape=(6, 9)),
    "layernorm": Case(make=lambda: nn.LayerNorm(7), shape=(7,)),
    "layernorm, rows": Case(make=lambda: nn.LayerNorm((3, 4)), shape=(5, 3, 4)),
    "instancenorm1d": Case(make=lambda: nn.InstanceNorm1d(3, affine=True), shape=(3, 8)),
    "instancenorm2d": Case(make=lambda: nn.InstanceNorm2d(3, affine=True), shape=(3, 4, 5)),
    "instancenorm3d": Case(make=lambda: nn.InstanceNorm3d(2, affine=True), shape=(2, 3, 3, 2)),
    "embedding": Case(make=lambda: nn.Embedding(7, 4), shape=(5,), tokens=7),
    "embedding, padding": Case(make=lambda: nn.Embedding(7, 4, padding_idx=2), shape=(3, 4), tokens=7),
    "scale": Case(make=lambda: Scale(4), shape=(4, 6)),
    "prelu": Case(make=lambda: nn.PReLU(4), shape=(4, 5)),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One layer's forward and backward pass under the engine."""

    module: nn.Module
    layer: Layer
    inputs: Tensor
    gradients: Tensor
    output: Tensor
    input_gradient: Tensor | None
    contributions: tuple[Contribution, ...]


def made(case: Case, *, seed: int = 0) -> nn.Module:
    """The layer, with parameters that are all of them random."""
    torch.manual_seed(seed)
    module = case.make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5)
    return module


def drawn(case: Case, *, samples: int, seed: int = 0) -> Tensor:
    """Inputs with a mean, as after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    if case.tokens:
        return torch.randint(0, case.tokens, (samples, *case.shape), generator=generator)
    return torch.randn((samples, *case.shape), generator=generator) + 0.5


def ways_of(module: nn.Module, inputs: Tensor, *, views: int) -> tuple[Way | None, ...]:
    """Every way in which the layer's share can be formed; None alone for layers that have no choice."""
    asked: list[Problem] = []

    def noted(problem: Problem) -> Way:
        asked.append(problem)
        return "few"

    run(module, inputs, views=views, chooser=noted)
    return ways(asked[0]) if asked else (None,)


def run(
    module: nn.Module,
    inputs: Tensor,
    *,
    views: int,
    way: Way | None = None,
    chooser: Callable[[Problem], Way] | None = None,
) -> Run:
    """Run one layer under the engine, with random gradients of its output."""
    layer = layer_for("layer", module, views=views, chooser=chooser or (lambda problem: way or "grouped"))
    with torch.no_grad():
        forward = layer.forward(inputs)
        gradients = torch.randn(forward.output.shape, generator=torch.Generator().manual_seed(1))
        gradients = gradients.to(forward.output)
        found = layer.backward(gradients, inputs, forward.kept, wanted=inputs.is_floating_point())
    return Run(
        module=module,
        layer=layer,
        inputs=inputs,
        gradients=gradients,
        output=forward.output,
        input_gradient=found.input_gradient,
        contributions=found.contributions,
    )
