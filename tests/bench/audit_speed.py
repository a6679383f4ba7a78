"""Attacks A, E and B beside a loop over single images, on the same images, one after the other in each round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.audit.attacks.analytic import Analytic, plant
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.inversion import Search, invert
from gatekeeper.audit.attacks.trials import SimulatedAttack
from gatekeeper.audit.prior import linear_prior
from gatekeeper.audit.rows import rows_of
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import NormalisedInput, build
from tests.bench import audit_loops as loops
from tests.bench.audit_results import SpeedRow
from tests.bench.rounds import Clock, Run, seconds
from tests.bench.training_results import spread
from tests.reference import audit_inversion as reference
from tests.tiny import TinyUnits, tiny_units

SIGMA = 0.01
HELD_OUT = 48

# Channels and side of an image, and how many images a round takes.
SHAPES = ((1, 28, 512), (3, 64, 128), (3, 224, 32))
QUICK_SHAPES = ((1, 8, 8), (3, 8, 8))

# Network, width, channels and side of an image.
NETWORKS = (("mlp", 64, 1, 8), ("mlp", 64, 1, 16), ("lenet", 8, 1, 8), ("lenet", 8, 1, 16))
INVERTED = 16


def speed(*, rounds: int, quick: bool, clock: Clock) -> Iterator[SpeedRow]:
    """A row for each attack and setting."""
    for channels, side, images in QUICK_SHAPES if quick else SHAPES:
        for attack, arms in simulated(channels=channels, side=side, images=images).items():
            yield _row(attack, f"{channels}×{side}×{side}", arms, images=images, rounds=rounds, clock=clock)
    search = Search(iterations=2 if quick else 50, starts=1)
    for name, width, channels, side in NETWORKS[:1] if quick else NETWORKS:
        images = 2 if quick else INVERTED
        given = victims(name, width=width, channels=channels, side=side, images=images)
        arms = inverting(given, search=search)
        setting = f"{name} of width {width}, {channels}×{side}×{side}"
        yield _row("B", setting, arms, images=images, rounds=rounds, clock=clock, iterations=search.iterations)


def _row(
    attack: str, setting: str, arms: dict[str, Run], *, images: int, rounds: int, clock: Clock, **more: Any
) -> SpeedRow:
    took = seconds(arms, rounds=rounds, clock=clock)
    return SpeedRow(
        attack=attack,
        setting=setting,
        images=images,
        rounds=rounds,
        images_per_second=spread([images / own for own in took["ours"]]),
        over_loop=spread([loop / own for loop, own in zip(took["loop"], took["ours"], strict=True)]),
        **more,
    )


def attacked(*, channels: int, side: int, images: int) -> TinyUnits:
    """Units of one image each."""
    return tiny_units(units=images, most_images=1, side=side, channels=channels)


def strangers(*, channels: int, side: int) -> TinyUnits:
    """Held-out units, whose mean attackers know."""
    return tiny_units(units=HELD_OUT, most_images=1, side=side, channels=channels, seed=1)


def simulated(
    *, channels: int, side: int, images: int, seed: int = 0, sigma: float = SIGMA
) -> dict[str, dict[str, Run]]:
    """Attacks A and E, each by the product and by the loop, with the same noise."""
    data = attacked(channels=channels, side=side, images=images)
    held_out = strangers(channels=channels, side=side)
    row, prior, norm = plant(held_out, clipping_norm=loops.CLIPPING_NORM), linear_prior(held_out), loops.CLIPPING_NORM

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def analytic() -> object:
        return loops.analytic(data.images, mean=prior.mean, sigma=sigma, generator=generator())

    def denoised() -> object:
        return loops.denoised(data.images, prior=prior, read_out="shaped", sigma=sigma, generator=generator())

    return {
        "A": {"ours": _ours(Analytic(row=row, clipping_norm=norm), data, generator, sigma=sigma), "loop": analytic},
        "E": {
            "ours": _ours(Denoised(prior=prior, read_out="shaped", clipping_norm=norm), data, generator, sigma=sigma),
            "loop": denoised,
        },
    }


def _ours(attack: SimulatedAttack, data: TinyUnits, generator: Callable[[], torch.Generator], *, sigma: float) -> Run:
    units = np.arange(data.units)

    def run() -> object:
        return attack.reconstruct(
            data,
            rows=rows_of(data, units=units),
            measure="ncc",
            noise_multiplier=sigma,
            participations=np.ones(data.units, dtype=np.int64),
            generator=generator(),
        )

    return run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Victims:
    """What attack B is given.

    Attributes:
        images: the truth.
        network: whose weights the attacker knows.
        gradients: of each image, without noise, flat.
        targets: the images' classes.
        starts: of the search.
    """

    images: NDArray[np.uint8]
    network: NormalisedInput
    gradients: Tensor
    targets: Tensor
    starts: Tensor


def victims(network: Any, *, width: int, channels: int, side: int, images: int) -> Victims:
    """Images and the gradients that a network of random weights has of them."""
    data = attacked(channels=channels, side=side, images=images)
    model = build(ModelSpec(network=network, width=width), image_shape=data.images.shape[1:], classes=2, seed=0)
    pictures, targets = torch.from_numpy(data.images / 255).float(), torch.from_numpy(data.labels)
    pairs = zip(pictures, targets, strict=True)
    return Victims(
        images=data.images,
        network=model,
        gradients=torch.stack([reference.gradient(model, cross_entropy, *pair) for pair in pairs]),
        targets=targets,
        starts=torch.rand(pictures.shape, generator=torch.Generator().manual_seed(0)),
    )


def inverting(given: Victims, *, search: Search) -> dict[str, Run]:
    """Attack B by the product and by the loop, from the same starts."""

    def ours() -> Tensor:
        return invert(
            given.network,
            loss=cross_entropy,
            gradients=given.gradients,
            targets=given.targets,
            image_shape=given.images.shape[1:],
            search=search,
            generator=torch.Generator().manual_seed(0),
        )

    def loop() -> Tensor:
        return loops.inversion(
            given.network, gradients=given.gradients, targets=given.targets, starts=given.starts, search=search
        )

    return {"ours": ours, "loop": loop}
