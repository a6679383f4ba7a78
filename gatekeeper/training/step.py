"""One noisy step on some units. The training takes it, and an audit of the training takes the same one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.core.record import TrainingPlan
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.subject import Source


class NoisyStep:
    """From a step's units to what it releases: views, clipped sum, noise, division by a public constant.

    Args:
        plan: noise multiplier, clipping norm and divisor.
        engine: forms the clipped sums.
        source: draws the views.
        units: how many units there are.
        parameters: how many numbers are trained.

    Attributes:
        release: adds the noise, and keeps the clipping norm.

    Raises:
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """

    def __init__(
        self, plan: TrainingPlan, *, engine: ClippingEngine, source: Source, units: int, parameters: int
    ) -> None:
        self.release = NoisyMean(plan, engine=engine, units=units, parameters=parameters)
        self._engine, self._source = engine, source

    def of(self, step: int, units: NDArray[np.int64]) -> list[Tensor]:
        """The noisy mean, float64, one tensor for each trainable parameter; see `NoisyMean.of`.

        Args:
            step: index of the step, from 0: it decides on the views.
            units: all that were sampled; this process forms the sum of its own.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        return self.release.of(self._source.draw(step, self._engine.own(units)))
