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
from torch.nn import functional

from gatekeeper.core.candidate import ModelSpec
from gatekeeper.training.clipping.per_unit import PerUnitGradients
from gatekeeper.training.networks import build
from gatekeeper.training.views import Views

ROUNDS = 7
BATCH = 64
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
    """Median over rounds of (forward, backward, clip, sum) over (forward, backward)."""
    plain = build(spec, image_shape=shape, classes=10, seed=0)
    private = PerUnitGradients(build(spec, image_shape=shape, classes=10, seed=0), views=1, physical_batch=BATCH)
    batch = Views(images=torch.rand((BATCH, *shape)), labels=torch.randint(10, (BATCH,)))

    def plain_step() -> None:
        plain.zero_grad()
        functional.cross_entropy(plain(batch.images), batch.labels).backward()

    def private_step() -> None:
        private.clipped_sum(batch, clipping_norm=1.0)

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
