"""What a sum of losses is made of: independent losses, each of which can be put on a grid from above and from below."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from gatekeeper.privacy.intervals import SLACK
from gatekeeper.privacy.losses import OneStep, Subsampled, grid_loss
from gatekeeper.privacy.minorant import minorant
from gatekeeper.privacy.tilting import Repeated


class Source(Protocol):
    """Independent copies of one loss."""

    @property
    def times(self) -> int:
        """How many copies are added."""

    def extent(self, tail: float) -> tuple[float, float]:
        """Losses (low, high) outside which one copy has at most `tail` on each side."""

    def above(self, width: float, tail: float) -> Repeated:
        """Losses on multiples of `width` that dominate the copies, with about `tail` of each cut off at each end."""

    def below(self, width: float, tail: float, precision: float) -> Repeated:
        """Losses on multiples of `width` from an origin that the copies dominate.

        `precision` is what one copy may lose in the mean, in nats, without another origin being looked for.
        """


def _edge_error(step: OneStep) -> float:
    """How far the losses at a cell's computed edges may be from its grid points, beyond what its grid reports, in nats.

    The output at a loss, x = σ²E + ½, is rounded relative to its size, and the loss moves at most as fast as E.
    """
    if not isinstance(step, Subsampled):
        return 0.0
    return SLACK * (1 + 1 / step.sigma**2 - math.log(step.rate))


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """Steps with the same noise and sampling rate, in one direction.

    Attributes:
        step: one of them.
        times: how many there are.
    """

    step: OneStep
    times: int

    def extent(self, tail: float) -> tuple[float, float]:
        """See `Source`."""
        return self.step.extent(tail)

    def above(self, width: float, tail: float) -> Repeated:
        """See `Source`."""
        loss = grid_loss(self.step, width=width, tail=tail)
        return Repeated(loss=replace(loss, error=loss.error + _edge_error(self.step)), times=self.times)

    def below(self, width: float, tail: float, precision: float) -> Repeated:
        """See `Source`."""
        found = minorant(self.step, width=width, tail=tail, precision=precision)
        loss = replace(found.loss, error=found.loss.error + _edge_error(self.step))
        return Repeated(loss=loss, times=self.times, origin=found.origin)
