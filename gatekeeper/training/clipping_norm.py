"""The clipping norm C from step to step: fixed, or following a private median of the gradients' norms.

*Adaptive* (Andrew, Thakkar, McMahan and Ramaswamy 2021, "Differentially private learning with adaptive clipping",
algorithm 1): besides the sum, a step releases the count Σ(bᵢ − ½) + N(0, σ_b²), bᵢ being 1 where unit i's gradient
needs no clipping. A unit moves it by ½, and σ_b is that of `core.clipping.split_noise`. Where more than half of the
units need no clipping C falls, else it rises. All that follows from the count is post-processing.

C takes one of a few hundred public values, a sixteenth of an octave apart. The grids of all of them are chosen before
the first step: whether noise and sums can be carried exactly is known then, and no step fails for it.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from gatekeeper.core.clipping import INITIAL_NORM, LARGEST_CHANGE, Adaptation, split_noise
from gatekeeper.core.record import TrainingPlan
from gatekeeper.errors import RunDirectoryError
from gatekeeper.training.clipping.clip import Rule
from gatekeeper.training.clipping.rounding import BLOCK
from gatekeeper.training.exact_normal import rounded_normals
from gatekeeper.training.grid import Grid, choose_grid
from gatekeeper.training.secret_stream import SecretStream

# γ: the share of gradients that should need no clipping.
TARGET = 0.5

# By how much log C changes where all gradients are on the wrong side (Andrew et al. 2021, section 3.1).
_RATE = 0.2

# Values of C in a doubling.
_PER_OCTAVE = 16

# The count's grid is at most this share of its noise, as that of the sums.
_NOISE_STEPS = 2.0**20


class ClippingNorm(Protocol):
    """What a step's gradients are clipped to."""

    @property
    def rule(self) -> Rule:
        """How a gradient is scaled."""

    @property
    def grid(self) -> Grid:
        """The grid of the next step's sum and noise, and the norm that it is clipped to."""

    def observe(self, *, tally: int, stream: SecretStream) -> None:
        """Learn of a step, through noise only.

        Args:
            tally: how many more of its units needed no clipping than did need it: secret.
            stream: of the noise.
        """

    def state(self) -> dict[str, Tensor]:
        """What later steps depend on; it follows from what was released."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned, bit for bit.

        Raises:
            RunDirectoryError: it is the state of another clipping.
        """

    def adaptation(self) -> Adaptation | None:
        """What became of C so far; None where it is fixed."""

    def spacing(self) -> str:
        """The grids' steps, in words."""


def clipping_norm(plan: TrainingPlan, *, units: int, parameters: int) -> ClippingNorm:
    """The clipping norm of a plan.

    Args:
        plan: rule, C, noise multiplier and divisor.
        units: how many units there are.
        parameters: how many numbers are trained.

    Raises:
        PrivacyError: the noise is too small beside the sums to be added exactly.
    """
    if plan.clipping == "adaptive":
        return AdaptiveNorm(plan, units=units, parameters=parameters)
    sigma = plan.mechanism.noise_multiplier
    grid = _grid(sigma, norm=plan.clipping_norm, units=units, parameters=parameters)
    return FixedNorm(grid, rule=plan.clipping)


class FixedNorm:
    """C is a constant."""

    def __init__(self, grid: Grid, *, rule: Rule) -> None:
        self.grid, self.rule = grid, rule

    def observe(self, *, tally: int, stream: SecretStream) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing is kept."""

    def adaptation(self) -> None:
        """C is fixed."""
        return

    def spacing(self) -> str:
        """The grid's step."""
        return f"2^{self.grid.exponent}"


class AdaptiveNorm:
    """C follows the median. The arguments and errors are those of `clipping_norm`."""

    rule: Rule = "flat"

    def __init__(self, plan: TrainingPlan, *, units: int, parameters: int) -> None:
        noise = split_noise(plan.mechanism.noise_multiplier, expected_batch=plan.divisor)
        self._grids = [_grid(noise.sum, norm=norm, units=units, parameters=parameters) for norm in _norms()]
        self._expected, self._count = plan.divisor, NoisyCount(noise.count)
        self._height = 0.0  # log₂ of C over its beginning, not rounded to a public value
        self._unclipped, self._steps = 0.0, 0

    @property
    def norm(self) -> float:
        """C."""
        return _norms()[self._index]

    @property
    def grid(self) -> Grid:
        """That of C as it is now."""
        return self._grids[self._index]

    def observe(self, *, tally: int, stream: SecretStream) -> None:
        """C ← C·exp(−0.2(b̃ − γ)), b̃ being ½ and the noisy centred count over the expected batch."""
        share = 0.5 + self._count.of(tally, stream=stream) / self._expected
        highest = math.log2(LARGEST_CHANGE)
        self._height = min(highest, max(-highest, self._height - _RATE * (share - TARGET) / math.log(2)))
        self._unclipped, self._steps = self._unclipped + share, self._steps + 1

    def state(self) -> dict[str, Tensor]:
        """C, and the sum of the shares that the noisy counts gave."""
        return {
            "clipping.height": torch.tensor(self._height, dtype=torch.float64),
            "clipping.unclipped": torch.tensor(self._unclipped, dtype=torch.float64),
            "clipping.steps": torch.tensor(self._steps, dtype=torch.float64),
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned, bit for bit."""
        if not self.state().keys() <= state.keys():
            raise RunDirectoryError("the checkpoint is of another clipping", hint="certify anew")
        self._height, self._unclipped = float(state["clipping.height"]), float(state["clipping.unclipped"])
        self._steps = int(state["clipping.steps"])

    def adaptation(self) -> Adaptation:
        """C, and the clipped share by the noisy counts, of at least one step."""
        clipped = 1 - self._unclipped / self._steps
        return Adaptation(last_norm=self.norm, clipped_share=min(1.0, max(0.0, clipped)))

    def spacing(self) -> str:
        """The finest and the coarsest step."""
        finest, coarsest = (grid.exponent for grid in (self._grids[0], self._grids[-1]))
        return f"a power of two that follows the clipping norm, from 2^{finest} to 2^{coarsest}"

    @property
    def _index(self) -> int:
        return round(self._height * _PER_OCTAVE) + len(self._grids) // 2


class NoisyCount:
    """A centred count of units as it is released, distributed exactly as a rounded Gaussian around it.

    The count is a whole number of halves, and so is on the grid 2⁻ᵏ of its noise.

    Args:
        deviation: σ_b, the noise's standard deviation, above 0.
    """

    def __init__(self, deviation: float) -> None:
        self._step = min(0.5, math.ldexp(1.0, math.frexp(deviation / _NOISE_STEPS)[1] - 1))
        self._scale = deviation / self._step

    def of(self, doubled: int, *, stream: SecretStream) -> float:
        """A count with its noise.

        Args:
            doubled: twice the exact count: units within less units beyond.
            stream: of the noise.
        """
        noise = int(rounded_normals(1, scale=self._scale, stream=stream)[0])
        return (doubled * round(0.5 / self._step) + noise) * self._step


def _norms() -> list[float]:
    """Every C that adaptive clipping may take, rising."""
    reach = round(math.log2(LARGEST_CHANGE) * _PER_OCTAVE)
    return [INITIAL_NORM * 2.0 ** (index / _PER_OCTAVE) for index in range(-reach, reach + 1)]


def _grid(noise_multiplier: float, *, norm: float, units: int, parameters: int) -> Grid:
    """The grid of sums that are clipped to `norm`."""
    return choose_grid(
        noise_multiplier=noise_multiplier, clipping_norm=norm, units=units, block=BLOCK, parameters=parameters
    )
