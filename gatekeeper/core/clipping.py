"""How a unit's gradient is clipped, and what the adaptive rule costs: a noisy count beside the noisy sum.

Both come from one Gaussian mechanism. In multiples of their noise, a unit moves the sum by 1/σ_Δ and the centred count
by ½/σ_b, together by √(σ_Δ⁻² + (2σ_b)⁻²). That is 1/σ if

    σ⁻² = σ_Δ⁻² + (2σ_b)⁻²

(Andrew, Thakkar, McMahan and Ramaswamy 2021, "Differentially private learning with adaptive clipping", theorem 1). So σ
is what is planned and accounted for, and the sum's own noise is a little larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_integer, check_non_negative, check_positive
from gatekeeper.errors import InvalidValueError

# By what a gradient g is scaled. flat: min(1, C/‖g‖), C fixed · adaptive: the same, C following a private median of the
# norms · automatic: C/(‖g‖ + γ).
Clipping = Literal["flat", "adaptive", "automatic"]

CLIPPINGS: tuple[Clipping, ...] = get_args(Clipping)

# C of the rules that take no number from the candidate: fixed for automatic, to begin with for adaptive.
INITIAL_NORM = 1.0

# The adaptive C stays within this factor of its beginning, either way.
LARGEST_CHANGE = 2.0**10

# Of the count, Andrew et al. 2021, section 3.1, as a share of the expected batch.
_COUNT_NOISE = 1 / 20

# More than the roundings of `split_noise` together.
_ROUNDING = 2.0**-50


def check_clipping(clipping: object, *, norm: float) -> None:
    """Refuse an unknown rule, or a C that the rule doesn't take.

    Args:
        clipping: the rule.
        norm: C.
    """
    check_choice(clipping=clipping, choices=CLIPPINGS)
    check_positive(clipping_norm=norm)
    if clipping != "flat" and norm != INITIAL_NORM:
        raise InvalidValueError(f"{clipping} clipping begins with the clipping norm {INITIAL_NORM}, got {norm!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseSplit:
    """The noise of adaptive clipping's two outputs.

    Attributes:
        sum: σ_Δ, of the sum, in multiples of C.
        count: σ_b, of the count of units within C.
    """

    sum: float
    count: float


def split_noise(noise_multiplier: float, *, expected_batch: int) -> NoiseSplit:
    """The noise of sum and count which together are one mechanism of noise multiplier σ.

    σ_b is a twentieth of the expected batch, but at least 2σ, so that the sum's noise grows by a thirtieth at most.

    Args:
        noise_multiplier: σ, above 0.
        expected_batch: units a step on average, at least 1.

    Returns:
        With σ_Δ rounded up.

    >>> split_noise(1.0, expected_batch=20).count
    2.0
    >>> 1.0327 < split_noise(1.0, expected_batch=20).sum < 1.0328
    True
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_integer(expected_batch=expected_batch, at_least=1)
    count = max(expected_batch * _COUNT_NOISE, 2 * noise_multiplier)
    share = noise_multiplier / (2 * count)
    return NoiseSplit(sum=noise_multiplier / math.sqrt(1 - share * share) * (1 + _ROUNDING), count=count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adaptation:
    """What adaptive clipping did; it follows from the noisy counts, and so costs nothing beyond them.

    Attributes:
        last_norm: C after the last step.
        clipped_share: share of gradients longer than C, by the mean of the noisy counts over the steps.
    """

    last_norm: float
    clipped_share: float

    def __post_init__(self) -> None:
        check_positive(last_norm=self.last_norm)
        if not 1 / LARGEST_CHANGE <= self.last_norm / INITIAL_NORM <= LARGEST_CHANGE:
            raise InvalidValueError(f"an adaptive clipping norm can't become {self.last_norm!r}")
        check_non_negative(clipped_share=self.clipped_share)
        if self.clipped_share > 1:
            raise InvalidValueError(f"clipped_share must be at most 1, got {self.clipped_share!r}")
