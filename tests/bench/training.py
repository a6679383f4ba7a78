"""The price of a private step: its time over that of a plain step, interleaved in one run (`make bench`).

Absolute times mean nothing on shared machines; the ratio of two steps that ran side by side does.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gatekeeper.training.clipping.per_unit import PerUnitGradients
from torch.nn import functional

from gatekeeper.core.candidate import ModelSpec
from gatekeeper.training.clipping.isolation import units_at_once
from gatekeeper.training.grid import choose_grid
from gatekeeper.training.networks import build
from gatekeeper.training.noise import add_noise
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.views import Views

ROUNDS = 7
BATCH = 64
SAMPLED = 72
CASES = (
    ("resnet9 w16, 3×32×32", ModelSpec(network="resnet9", width=16), (3, 32, 32)),
    ("resnet9 w8, 3×64×64", ModelSpec(network="resnet9", width=8), (3, 64, 64)),
    ("mlp w128, 1×28×28", ModelSpec(network="mlp", width=128), (1, 28, 28)),
)


def _seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def ratio(spec: ModelSpec, shape: tuple[int, int, int]) -> float:
    """Median over rounds of (forward, backward, clip, round, sum, noise) over (forward, backward).

    The step has a deviation more units than expected, so that the private one's last physical batch is half filled.
    """
    plain, network = (build(spec, image_shape=shape, classes=10, seed=0) for _ in range(2))
    at_once = units_at_once(views=1, physical_batch=BATCH, expected_batch=BATCH)
    private, stream = PerUnitGradients(network, views=1, units_at_once=at_once), SecretStream()
    parameters = sum(p.numel() for p in network.parameters())
    grid = choose_grid(noise_multiplier=1.0, clipping_norm=1.0, units=1000, parameters=parameters)
    batch = Views(images=torch.rand((SAMPLED, *shape)), targets=torch.randint(10, (SAMPLED,)))

    def plain_step() -> None:
        plain.zero_grad()
        functional.cross_entropy(plain(batch.images), batch.targets).backward()

    def private_step() -> None:
        add_noise(private.clipped_sum(batch, grid=grid), grid=grid, stream=stream)

    plain_step(), private_step()  # the first steps allocate
    return statistics.median(_seconds(private_step) / _seconds(plain_step) for _ in range(ROUNDS))


def main() -> None:
    ratios = {name: round(ratio(spec, shape), 2) for name, spec, shape in CASES}
    for name, value in ratios.items():
        print(f"{name:24s} {value:6.2f}")
    path = Path("build/bench/training.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ratios, indent=2) + "\n")


if __name__ == "__main__":
    main()
