"""What a step releases: the noisy mean of clipped per-unit gradients, and nothing else."""

from __future__ import annotations

from torch import Tensor

from gatekeeper.core.record import TrainingPlan
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping.rounding import BLOCK
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.noise import add_noise, from_grid
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.views import Views


class NoisyMean:
    """Forms a step's noisy sum, and divides it by a public constant.

    Args:
        plan: noise multiplier, clipping norm and divisor.
        engine: forms the clipped sums.
        units: how many units there are.
        parameters: how many numbers are trained.

    Raises:
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """

    def __init__(self, plan: TrainingPlan, *, engine: ClippingEngine, units: int, parameters: int) -> None:
        self._divisor, self._engine = plan.divisor, engine
        self._noise = SecretStream()
        self.grid = grid_of(plan, units=units, parameters=parameters)

    def of(self, batch: Views) -> list[Tensor]:
        """(Σ cᵢgᵢ + N(0, (σC)²))/divisor, float64, one tensor for each trainable parameter.

        Args:
            batch: the views of the units whose sum this process forms; may be empty.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        sums = self._engine.clipped_sum(batch, grid=self.grid)
        noisy = add_noise(sums, grid=self.grid, stream=self._noise)
        return [sum_.div_(self._divisor) for sum_ in from_grid(noisy, grid=self.grid)]

    def assist(self, batch: Views) -> None:
        """Form the sum over this process's units for the first process, whose `of` adds it to its own."""
        self._engine.clipped_sum(batch, grid=self.grid)


def grid_of(plan: TrainingPlan, *, units: int, parameters: int) -> Grid:
    """The grid of a plan's sums: see `choose_grid`, whose errors it raises."""
    return choose_grid(
        noise_multiplier=plan.mechanism.noise_multiplier,
        clipping_norm=plan.clipping_norm,
        units=units,
        block=BLOCK,
        parameters=parameters,
    )
