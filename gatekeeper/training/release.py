"""What a step releases: the noisy mean of clipped per-unit gradients, and what the clipping norm learns from."""

from __future__ import annotations

from torch import Tensor

from gatekeeper.core.clipping import Adaptation
from gatekeeper.core.record import TrainingPlan
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping_norm import clipping_norm
from gatekeeper.training.distributed import LoneRank
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
        self._norm = clipping_norm(plan, units=units, parameters=parameters)

    def of(self, batch: Views) -> list[Tensor]:
        """(Σ cᵢgᵢ + N(0, (σC)²))/divisor, float64, one tensor for each trainable parameter.

        Args:
            batch: the views of the units whose sum this process forms; may be empty.

        Raises:
            DivergedError: a unit's gradient is not finite.
        """
        grid = self._norm.grid
        sums = self._engine.clipped_sum(batch, grid=grid, rule=self._norm.rule)
        self._norm.observe(tally=self._engine.tally, stream=self._noise)
        noisy = add_noise(sums, grid=grid, stream=self._noise)
        return [sum_.div_(self._divisor) for sum_ in from_grid(noisy, grid=grid)]

    def assist(self, batch: Views) -> None:
        """Form the sum over this process's units for the first process, whose `of` adds it to its own."""
        self._engine.clipped_sum(batch, grid=self._norm.grid, rule=self._norm.rule)

    def follow_first(self, ranks: LoneRank) -> None:
        """Clip to what the first process clips to."""
        state = self._norm.state()
        if state:
            ranks.copy_first(list(state.values()))
            self._norm.load_state(state)

    @property
    def spacing(self) -> str:
        """The step of the grid that sums and noise are on, in words."""
        return self._norm.spacing()

    def adaptation(self) -> Adaptation | None:
        """What became of an adaptive clipping norm; None where it is fixed."""
        return self._norm.adaptation()

    def state(self) -> dict[str, Tensor]:
        """What later steps depend on: it follows from what was released."""
        return self._norm.state()

    def load_state(self, state: dict[str, Tensor], *, step: int) -> None:
        """Go on from what `state` returned after `step` steps, bit for bit.

        Raises:
            RunDirectoryError: it is the state of another clipping.
        """
        self._norm.load_state(state)
