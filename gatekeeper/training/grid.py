"""The grid that sums and noise live on: whole multiples of a power of two, added exactly.

A float sum rounds by an amount that depends on all its terms, so that removing one unit changes it by more than that
unit; and float noise has holes. Whole numbers have neither fault. The step h is chosen so fine that rounding to it
costs nothing: at most 2⁻²⁰ of the noise's deviation, and at most 2⁻¹¹ of C in the norm of a unit's gradient.

*Sensitivity.* A unit's gradient is clipped to norm r; rounding in float32 can raise what the unit changes in its
block's sum to r(1 + η) (`clipping.rounding`). Rounding the block's sum to the grid, with the unit and without it, moves
either vector by at most h√d/2, d the number of coordinates; so does rounding once more what some layers do to their
sum. Hence r = (C(1 − 10⁻⁶) − 2h√d)/(1 + η): one unit changes the whole-number sum by at most C/h. The 10⁻⁶ pays for the
rounding of float64 (relative 2⁻⁵³ for each operation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.core.checks import check_integer, check_positive
from gatekeeper.errors import PrivacyError
from gatekeeper.training.clipping.rounding import LENGTHENED, SLACK

# Noise of fewer steps than this is refused.
FEWEST_STEPS = 2.0**10

_NOISE_STEPS = 2.0**20
_NORM_STEPS = 2.0**12
_FLOAT_MARGIN = 1e-6

# Sums of all units, and 16 standard deviations of noise, stay below this; int64 ends at 2⁶³.
_CEILING = 2.0**62
_DEVIATIONS = 16

# Sums of a block of units stay below this, where float64 rounds to whole steps: see `clipping.totals`.
_BLOCK_CEILING = 2.0**50

# Of C: outside it, squares of gradients could leave float32's normal numbers.
_SMALLEST, _LARGEST = 1e-9, 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A grid, and what is put onto it.

    Attributes:
        step: h, a power of two.
        radius: r, the norm that gradients are clipped to; below C.
        noise_scale: the noise's standard deviation in steps, at least σC/h.
    """

    step: float
    radius: float
    noise_scale: float

    @property
    def exponent(self) -> int:
        """log₂ h."""
        return math.frexp(self.step)[1] - 1

    @property
    def anchor(self) -> float:
        """1.5·2⁵²·h: a float64 near it is a whole multiple of h."""
        return 1.5 * 2.0**52 * self.step


def choose_grid(*, noise_multiplier: float, clipping_norm: float, units: int, block: int, parameters: int) -> Grid:
    """The grid for a sum of clipped gradients and its noise.

    h is the largest power of two up to min(σC·2⁻²⁰, C·2⁻¹²/√d), raised where the sum of all units and 16 standard
    deviations of noise would not stay below 2⁶² steps, or the sum of a block below 2⁵⁰. Either sum may be as long as
    gradients are before they are pulled back: see `LENGTHENED`.

    Args:
        noise_multiplier: σ, above 0.
        clipping_norm: C, above 0.
        units: the most units that a sum can have, at least 1.
        block: the most units that are added up before their sum is rounded to the grid, at least 1.
        parameters: d, trainable parameters, at least 1.

    Raises:
        PrivacyError: the noise would have fewer than 2¹⁰ steps: it is too small beside the sum to be carried exactly.

    >>> grid = choose_grid(noise_multiplier=1.0, clipping_norm=1.0, units=1000, block=32, parameters=10**6)
    >>> grid.exponent, grid.noise_scale
    (-22, 4194304.000000001)
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_positive(clipping_norm=clipping_norm)
    check_integer(units=units, at_least=1)
    check_integer(block=block, at_least=1)
    check_integer(parameters=parameters, at_least=1)
    # The product is rounded upwards, so that the noise is never less than was accounted for.
    deviation = math.nextafter(noise_multiplier * clipping_norm, math.inf)
    wanted = min(deviation / _NOISE_STEPS, clipping_norm / _NORM_STEPS / math.sqrt(parameters))
    needed = max(
        (LENGTHENED * units * clipping_norm + _DEVIATIONS * deviation) / _CEILING,
        2 * LENGTHENED * block * clipping_norm / _BLOCK_CEILING,
    )
    if not _SMALLEST <= clipping_norm <= _LARGEST:
        why = f"gradients are float32, which C = {clipping_norm:g} would leave"
        raise _refusal(noise_multiplier, clipping_norm, why, f"use a C between {_SMALLEST:g} and {_LARGEST:g}")
    step = max(_power_of_two_below(wanted), 2 * _power_of_two_below(needed))
    radius = (clipping_norm * (1 - _FLOAT_MARGIN) - 2 * step * math.sqrt(parameters)) / (1 + SLACK)
    if deviation / step < FEWEST_STEPS:
        least = 1.01 * FEWEST_STEPS * step / clipping_norm  # so that what is printed is enough
        raise _refusal(
            noise_multiplier,
            clipping_norm,
            f"a sum of up to {units} gradients needs a grid of {step:g}, of which the noise has only "
            f"{deviation / step:.3g} steps; at least {FEWEST_STEPS:g} are needed",
            f"lower epsilon until σ is at least {least:.3g}",
        )
    if radius <= clipping_norm / 2:
        raise _refusal(
            noise_multiplier,
            clipping_norm,
            f"a grid of {step:g} is too coarse for gradients of {parameters} coordinates",
            "raise epsilon, or use a smaller network",
        )
    return Grid(step=step, radius=radius, noise_scale=deviation / step)


def _power_of_two_below(value: float) -> float:
    """The largest power of two that is at most `value`, a normal number above 0."""
    return math.ldexp(1.0, math.frexp(value)[1] - 1)


def _refusal(noise_multiplier: float, clipping_norm: float, why: str, hint: str) -> PrivacyError:
    return PrivacyError(
        f"noise of σ = {noise_multiplier:g} at C = {clipping_norm:g} can't be added exactly: {why}", hint=hint
    )
