"""An engine and its views that go over the same units again without the work: only the noise is drawn anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.training.clipping.clip import Rule
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.grid import Grid
from gatekeeper.training.subject import Source
from gatekeeper.training.views import Views


class Remembered:
    """Has all of an engine and of a source that a step asks for; keeps the last views, and their last sum.

    Args:
        engine: forms the sums; the network's weights must stay as they are.
        source: draws the views.
    """

    def __init__(self, engine: ClippingEngine, source: Source) -> None:
        self._engine, self._source = engine, source
        self._drawn: tuple[int, tuple[int, ...]] | None = None
        self._views: Views | None = None
        self._formed: tuple[Views, Grid, Rule] | None = None
        self._sums: list[Tensor] = []

    @property
    def tally(self) -> int:
        """See `ClippingEngine.tally`."""
        return self._engine.tally

    def own(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `ClippingEngine.own`."""
        return self._engine.own(units)

    def draw(self, step: int, units: NDArray[np.int64]) -> Views:
        """See `Source.draw`."""
        wanted = (step, tuple(units.tolist()))
        if self._views is None or self._drawn != wanted:
            self._drawn, self._views = wanted, self._source.draw(step, units)
        return self._views

    def clipped_sum(self, batch: Views, *, grid: Grid, rule: Rule = "flat") -> list[Tensor]:
        """See `ClippingEngine.clipped_sum`; what is returned may be overwritten."""
        if not self._is_formed(batch, grid, rule):
            self._sums = [sum_.clone() for sum_ in self._engine.clipped_sum(batch, grid=grid, rule=rule)]
            self._formed = (batch, grid, rule)
        return [sum_.clone() for sum_ in self._sums]

    def _is_formed(self, batch: Views, grid: Grid, rule: Rule) -> bool:
        return self._formed is not None and self._formed[0] is batch and self._formed[1:] == (grid, rule)
