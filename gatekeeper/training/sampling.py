"""Which units take part in which step: Poisson sampling, and balls and bins.

The accountant assumes exactly these distributions, and that the adversary can't see the draws. So the
generator is seeded by the operating system for each run, apart from the noise's, and its seed is never
stored. Participation is decided in float64: a float32 uniform has a grid of 2⁻²⁴, which raises a rate of
1e-6 by 1.3 %.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.mechanism import Mechanism

GENERATOR_NAME = (
    "NumPy PCG64DXSM, one for noise and one for sampling, each seeded with 256 bits by the operating system for "
    "this run; seeds not stored; not a cryptographic generator"
)


def secret_generator() -> np.random.Generator:
    """A generator seeded by the operating system; nobody, this program included, can seed it again."""
    return np.random.Generator(np.random.PCG64DXSM(secrets.randbits(256)))


def batches(mechanism: Mechanism, *, units: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """The units of each step, as sorted indices in 0 … units − 1; a step may be empty.

    Args:
        mechanism: its sampling, sampling rate and steps.
        units: how many units there are, at least 1.
        generator: source of the draws.

    Yields:
        One int64 array for each of the mechanism's steps.
    """
    if mechanism.sampling == "poisson":
        yield from _poisson(mechanism, units=units, generator=generator)
    else:
        yield from _balls_and_bins(mechanism, units=units, generator=generator)


def _poisson(mechanism: Mechanism, *, units: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Each unit independently with probability q in every step."""
    for _ in range(mechanism.steps):
        yield np.flatnonzero(generator.random(units) < mechanism.sampling_rate)


def _balls_and_bins(mechanism: Mechanism, *, units: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Each epoch drops every unit into one of its batches, uniformly and independently (Chua et al. 2024)."""
    for step in range(mechanism.steps):
        bin_index = step % mechanism.batches_per_epoch
        if bin_index == 0:
            bins = generator.integers(mechanism.batches_per_epoch, size=units)
        yield np.flatnonzero(bins == bin_index)
