"""Which units take part in which step: Poisson sampling, and balls and bins.

The accountant assumes exactly these distributions, and that the adversary can't see the draws. So they are made from
whole words of a secret stream, without a float in between: a float32 uniform has a grid of 2⁻²⁴, which raises a rate
of 1e-6 by 1.3 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.training.secret_stream import SecretStream

_WORDS = 1 << 64

Bins = NDArray[np.uint64]
Deal = Callable[[int, Callable[[], Bins]], Bins]


def deal_anew(epoch: int, draw: Callable[[], Bins]) -> Bins:
    """The deal of an epoch that nobody keeps."""
    return draw()


def batches(
    mechanism: Mechanism, *, units: int, stream: SecretStream, start: int = 0, deal: Deal = deal_anew
) -> Iterator[NDArray[np.int64]]:
    """The units of each step, as sorted indices in 0 … units − 1; a step may be empty.

    Args:
        mechanism: its sampling, sampling rate and steps.
        units: how many units there are, at least 1.
        stream: this run's, and only for sampling.
        start: the step to begin with, from 0; those before it were drawn by another process of the run.
        deal: hands out the bins of an epoch, and asks for fresh ones where nobody has dealt it yet: an epoch that is
            begun goes on as it was dealt, or its units would be used twice.

    Yields:
        One int64 array for each of the mechanism's steps from `start` on.
    """
    if mechanism.sampling == "poisson":
        yield from _poisson(mechanism, units=units, stream=stream, start=start)
    else:
        yield from _balls_and_bins(mechanism, units=units, stream=stream, start=start, deal=deal)


def _poisson(mechanism: Mechanism, *, units: int, stream: SecretStream, start: int) -> Iterator[NDArray[np.int64]]:
    """Each unit independently in every step, with the largest multiple of 2⁻⁶⁴ up to q as probability.

    From q = 2⁻¹¹ on that is q itself; below, it is less by under 2⁻⁶⁴, which costs no privacy: a rarer participation
    is q's mechanism with some participations replaced by none.
    """
    threshold = int(Fraction(mechanism.sampling_rate) * _WORDS)
    for _ in range(start, mechanism.steps):
        # threshold itself may be 2⁶⁴, which no word holds.
        yield np.flatnonzero(stream.words(units) <= np.uint64(threshold - 1))


def _balls_and_bins(
    mechanism: Mechanism, *, units: int, stream: SecretStream, start: int, deal: Deal
) -> Iterator[NDArray[np.int64]]:
    """Each epoch drops every unit into one of its batches, uniformly and independently (Chua et al. 2024)."""
    below = mechanism.batches_per_epoch
    for step in range(start, mechanism.steps):
        epoch, bin_index = divmod(step, below)
        if step == start or bin_index == 0:
            bins = deal(epoch, lambda: uniform_integers(units, below=below, stream=stream))
        yield np.flatnonzero(bins == np.uint64(bin_index))


def uniform_integers(count: int, *, below: int, stream: SecretStream) -> Bins:
    """Independent and exactly uniform whole numbers in 0 … below − 1.

    Words at or above the last multiple of `below` are drawn again: their remainders would favour small numbers.

    Args:
        count: how many, at least 0.
        below: in 1 … 2⁶³.
        stream: source of the bits.
    """
    words = stream.words(count)
    last = np.uint64(_WORDS - _WORDS % below - 1)
    while len(refused := np.flatnonzero(words > last)):
        words[refused] = stream.words(len(refused))
    return words % np.uint64(below)
