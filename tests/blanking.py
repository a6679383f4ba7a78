"""What one unit changes in a clipped sum: random cases, measured exactly.

The neighbour of a set of units is the same set with one of them blank *in its place*: its factor is zero.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gatekeeper.core.precision import Precision
from gatekeeper.training.clipping.choice import Problem, Way, ways
from gatekeeper.training.clipping.clip import Rule
from gatekeeper.training.clipping.engine import ClippingEngine, UnitShares
from gatekeeper.training.clipping.layers.standardised import _PulledBack
from gatekeeper.training.clipping.rounding import BLOCK
from gatekeeper.training.clipping.rows import FactoredRows
from gatekeeper.training.clipping.shares import Share
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.networks.standardised import StandardisedConv2d
from gatekeeper.training.views import Views


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One random case.

    Attributes:
        network: a layer, or two side by side.
        batch: the targets are the gradients of the outputs.
        views: of each unit.
        units: in the batch.
        clipping_norm: C.
        rule: of clipping.
        chooser: picks convolutions' ways, at random.
        blanked: the units whose contributions are measured.
    """

    network: nn.Module
    batch: Views
    views: int
    units: int
    clipping_norm: float
    rule: Rule
    chooser: Callable[[Problem], Way]
    blanked: list[int]


class Beside(nn.Module):
    """Layers side by side, of the same input, their outputs flat."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x).flatten(1) for layer in self.layers], dim=1)


def product_with_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss whose gradient is the targets."""
    return (outputs * targets).sum(1)


def setting(seed: int) -> Setting:
    """A random case: layers, shapes, units, views, ways, C; in a half of them most of each gradient cancels."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    views, units = draw.choice([1, 1, 2, 3]), draw.choice([1, 2, 3, 5, 17, BLOCK // 2, BLOCK, BLOCK + 1, BLOCK + 7])
    layers, shape = _layers(draw)
    network = Beside(layers)
    images = torch.randn((units * views, *shape)) * 10.0 ** draw.randint(-3, 2) + draw.choice([0, 1])
    with torch.no_grad():
        gradients = torch.randn(network(images).shape) * 10.0 ** draw.uniform(-2, 2)
    left = 10.0 ** draw.uniform(-6, -2) if views > 1 and draw.random() < 0.7 else 1.0
    if left < 1:
        _cancel(images, gradients, views=views, left=left)
    if len(layers) > 1 and draw.random() < 0.5:
        _share_out(network, images[:1], gradients)
    typical = left * float(gradients.norm() * images.norm()) / units
    return Setting(
        network=network,
        batch=Views(images=images, targets=gradients),
        views=views,
        units=units,
        clipping_norm=min(1e6, max(1e-6, typical * 10.0 ** draw.uniform(-2, 1))),
        rule=draw.choice(["flat", "flat", "automatic"]),
        chooser=lambda problem: draw.choice(ways(problem)),
        blanked=draw.sample(range(units), min(units, 3)),
    )


def _cancel(images: Tensor, gradients: Tensor, *, views: int, left: float) -> None:
    """Make each unit's second view undo its first, but for a small part: products far larger than the gradient."""
    if views > 1:
        images[1::views] = images[0::views]
        gradients[1::views] = -gradients[0::views] * (1 - left)
    if views > 2:
        gradients[2::views] *= left


def _share_out(network: Beside, image: Tensor, gradients: Tensor) -> None:
    """Let every second unit disturb the first layer alone, and the others the second."""
    with torch.no_grad():
        length = network.layers[0](image).numel()
    half = torch.arange(len(gradients)) % 4 < 2
    gradients[half, :length] *= 1e-3
    gradients[~half, length:] *= 1e-3


def _layers(draw: random.Random) -> tuple[list[nn.Module], tuple[int, ...]]:
    axes = draw.randint(0, 3)
    kinds = [_over_rows] if axes == 0 else [_convolutional]
    channels, sides = draw.choice([1, 2, 4, 6]), [draw.randint(3, (0, 20, 7, 4)[axes]) for _ in range(axes)]
    shape = (draw.choice([1, 3, 9, 20]), channels) if axes == 0 else (channels, *sides)
    return [kinds[0](draw, channels, axes) for _ in range(draw.choice([1, 2]))], shape


def _over_rows(draw: random.Random, channels: int, axes: int) -> nn.Module:
    return draw.choice([nn.Linear(channels, draw.randint(1, 7)), nn.LayerNorm(channels), nn.Linear(channels, 3, False)])


def _convolutional(draw: random.Random, channels: int, axes: int) -> nn.Module:
    kind = draw.choice(["plain", "plain", "plain", "transposed", "norm", "standardised"])
    if kind == "norm":
        return nn.GroupNorm(draw.choice([1, channels]), channels)
    groups = draw.choice([1, 1, channels])
    kernel, outputs = draw.randint(1, 3), channels * draw.randint(1, 3)
    if kind == "standardised" and axes == 2 and channels * kernel > 1:
        return StandardisedConv2d(channels, outputs, kernel, padding=draw.randint(0, 1), bias=draw.random() < 0.5)
    options = {"stride": draw.randint(1, 2), "padding": draw.randint(0, kernel - 1), "groups": groups}
    if kind == "transposed":
        made: nn.Module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[axes - 1](
            channels, outputs, kernel, **options
        )
        return made
    dilation = draw.randint(1, 2) if kernel < 3 else 1
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](channels, outputs, kernel, dilation=dilation, **options)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What blanking one unit changes.

    Attributes:
        steps_squared: the squared norm of the change, in steps of the grid: an exact whole number.
        limit_squared: (C/h)².
        excess: the norm of the change beyond the unit's own clipped gradient, as a share of r.
        scaled: the norm of the unit's own clipped gradient, as a share of r.
    """

    steps_squared: int
    limit_squared: float
    excess: float
    scaled: float


def changes(case: Setting, *, precision: Precision = "float32") -> Iterator[Change]:
    """Measure what each of the case's blanked units changes."""
    numbers = sum(parameter.numel() for parameter in case.network.parameters())
    grid = choose_grid(
        noise_multiplier=1e-4, clipping_norm=case.clipping_norm, units=1000, block=BLOCK, parameters=numbers
    )
    engine = ClippingEngine(
        case.network,
        views=case.views,
        units_at_once=case.units,
        loss=product_with_targets,
        chooser=case.chooser,
        precision=precision,
    )
    shares = engine.shares(case.batch)
    factors = engine._factors(shares, grid=grid, rule=case.rule, units=case.units)
    together = total(engine, shares, factors, grid=grid)
    for unit in case.blanked:
        without = factors.clone()
        without[unit] = 0
        difference = together - total(engine, shares, without, grid=grid)
        own = float(factors[unit]) * _gradient(engine, shares, unit)
        yield Change(
            steps_squared=sum(int(value) ** 2 for value in difference),
            limit_squared=(case.clipping_norm / grid.step) ** 2,
            excess=float((difference.double() * grid.step - own).norm()) / grid.radius,
            scaled=float(own.norm()) / grid.radius,
        )
    engine.close()


def total(engine: ClippingEngine, shares: UnitShares, factors: Tensor, *, grid: Grid) -> Tensor:
    """The sum of one physical batch's units on the grid, with any factors."""
    engine._totals.clear()
    for start in range(0, len(factors), BLOCK):
        engine._add(shares, factors, slice(start, min(start + BLOCK, len(factors))), grid=grid)
    return torch.cat([sum_.flatten() for sum_ in engine._finished(grid)])


def _gradient(engine: ClippingEngine, shares: UnitShares, unit: int) -> Tensor:
    """A unit's gradient, of what its shares are made of, in float64, parameters in the engine's order."""
    found = {}
    for contribution in shares.contributions:
        layer = next(layer for module, layer in engine._layers.values() if _holds(module, contribution.parameters[0]))
        (parameter,) = contribution.parameters
        part, finish = _exact(contribution.share, parameter, unit), layer.finish(parameter)
        found[id(parameter)] = part if finish is None else finish(part)
    return torch.cat([found[id(parameter)].flatten() for parameter in engine._parameters])


def _holds(module: nn.Module, parameter: Tensor) -> bool:
    return any(parameter is own for own in module.parameters(recurse=False))


def _exact(share: Share, parameter: Tensor, unit: int) -> Tensor:
    """The sum of a unit's products in float64: of inputs and output gradients where a share is factored."""
    inner = share._share if isinstance(share, _PulledBack) else share
    first = inner.witnesses()[0]
    if isinstance(inner, FactoredRows):
        inputs, gradients = (
            part[0].double() for part in (inner._opened(first[unit : unit + 1]), inner._gradients[unit : unit + 1])
        )
        return inner._shaped(gradients.t() @ inputs)
    return first[unit].double().view(parameter.shape)
