"""The mechanism: what is necessary and sufficient to account for a training run, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_non_negative,
    check_positive,
    check_probability,
    check_text,
)
from gatekeeper.errors import InvalidValueError

Sampling = Literal["poisson", "balls-and-bins"]
# The views of a unit and the sampling rate depend on the number of units, so that number is public: a unit is blanked
# out, not removed. Add-or-remove-one would be another mechanism.
Adjacency = Literal["zero-out"]

# What the accountants are tested for; nobody trains outside it.
_SMALLEST, _LARGEST, _MOST_STEPS = 1e-12, 1e12, 10**9

_SAMPLINGS: tuple[str, ...] = get_args(Sampling)
_ADJACENCIES: tuple[str, ...] = get_args(Adjacency)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mechanism:
    """A sequence of noisy sums of clipped per-unit gradients (DP-SGD).

    Each step releases Σ clip(gᵢ, C) + N(0, (σC)² I) over the units that the step sampled. With adaptive clipping it
    releases a count too: σ is that of both together, and the sum's own noise is larger (`core.clipping`).

    Attributes:
        sampling: `poisson`: every step takes each unit independently with probability q;
            `balls-and-bins`: each epoch puts each unit, uniformly, into exactly one of its 1/q batches
            (Chua et al. 2024, "Balls-and-Bins Sampling for DP-SGD").
        sampling_rate: q in (0, 1]; for balls and bins the reciprocal of the number of batches an epoch.
        noise_multiplier: σ, the noise's standard deviation in multiples of the clipping norm C, above 0.
        steps: T, the number of noisy sums, at least 0.
        adjacency: `zero-out`: a unit's record becomes nothing, and the number of units is public; accounted
            like add-or-remove-one.
        unit: whose privacy is protected: a column of the data set, such as `patient`.
        sensitivity_slack: η ≥ 0: one unit changes the released sum by at most C(1 + η) in norm, rounding included.
    """

    sampling: Sampling
    sampling_rate: float
    noise_multiplier: float
    steps: int
    adjacency: Adjacency
    unit: str
    sensitivity_slack: float = 0.0

    def __post_init__(self) -> None:
        check_choice(sampling=self.sampling, choices=_SAMPLINGS)
        check_probability(sampling_rate=self.sampling_rate)
        check_positive(sampling_rate=self.sampling_rate)
        check_positive(noise_multiplier=self.noise_multiplier)
        check_integer(steps=self.steps, at_least=0)
        if not _SMALLEST <= self.noise_multiplier <= _LARGEST or self.sampling_rate < _SMALLEST:
            raise InvalidValueError(
                f"noise_multiplier and sampling_rate can be accounted from {_SMALLEST:g} to {_LARGEST:g}, got "
                f"{self.noise_multiplier!r} and {self.sampling_rate!r}"
            )
        if self.steps > _MOST_STEPS:
            raise InvalidValueError(f"steps must be at most {_MOST_STEPS}, got {self.steps!r}")
        check_choice(adjacency=self.adjacency, choices=_ADJACENCIES)
        check_text(unit=self.unit)
        check_non_negative(sensitivity_slack=self.sensitivity_slack)
        check_finite(sensitivity_slack=self.sensitivity_slack)
        if self.sampling == "balls-and-bins" and 1 / self.batches_per_epoch != self.sampling_rate:
            raise InvalidValueError(f"sampling_rate must be 1/batches for balls and bins, got {self.sampling_rate!r}")

    @property
    def relative_noise(self) -> float:
        """σ/(1 + η), the noise in multiples of what one unit can change: what accountants and bounds read."""
        return self.noise_multiplier / (1 + self.sensitivity_slack)

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches that an epoch of balls and bins deals its units into."""
        return round(1 / self.sampling_rate)

    @property
    def epochs_begun(self) -> int:
        """How many epochs the steps reach into: the most often that balls and bins can use one unit."""
        return -(-self.steps // self.batches_per_epoch)
