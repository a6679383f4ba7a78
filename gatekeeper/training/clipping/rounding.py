"""How far blanking one unit can change a float32 sum beyond the unit's own gradient, bounded beforehand.

A layer's clipped sum Σ cᵢgᵢ over a block of M units is formed in float32: sub-batches of b units are summed by one
matrix product or convolution, and the sub-batches' sums are added up in pairs. Every product of a gradient undergoes at
most d roundings in its sub-batch, in whatever order a kernel adds. So a sub-batch errs by at most γ_d Σ cᵢmᵢ over its
units, where mᵢ ≥ ‖Σ|products of unit i|‖ (Higham 2002, "Accuracy and Stability of Numerical Algorithms", lemma 3.1 and
equation 3.5); and an addition of partial sums by at most γ₁(1 + γ_{d+a}) Σ cᵢmᵢ over the units that it brings together.

If one unit is blanked, its sub-batch and the a additions that its sum goes through may round differently; all others
are the same to the last bit. With cⱼmⱼ at most K for every unit, the sum changes beyond the unit's own share by at most
ωK, the *influence* ω = (2b − 1)γ_d + 2(2b + 4b + … + M)γ₁(1 + γ_{d+a}): b units are in the sub-batch in one world, and
b − 1 in the other. That holds for all layers that are summed alike together, mᵢ being the norm over them: their change
is a sum of the units' vectors, weighted alike in each layer.

Layers that are summed differently may each be disturbed most by another unit, so each has its own K. They hold
different parameters, so what they change adds up as squares: with every K at most ηr/‖ω‖, ‖ω‖² the sum of their ω²,
all of them change the sum by at most ηr. Clipping makes sure of that (`exposures`, `clip`). From block to block sums
are whole numbers, and exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gatekeeper.core.checks import check_integer

# float32 rounds to 24 bits (IEEE 754).
UNIT_ROUNDOFF = 2.0**-24

# η: what rounding may add to a unit's contribution, as a share of the clipping radius. The radius leaves room for it.
SLACK = 2.0**-10

# η/ω is below this for every way of summation: m of a scaled gradient is at most so many times r. What is summed of a
# weight-standardised layer is the gradient before its pull-back, which can be as long.
LENGTHENED = 33

# M: units whose gradients are added up in float32.
BLOCK = 128

# A sub-batch of b units with t products each disturbs by about 2b·bt·2⁻²⁴: b²t is at most this, and b at most that.
_STRUCK_TOGETHER, _MOST_AT_ONCE = 1024, 16


def gamma(roundings: int) -> float:
    """γ_n = nu/(1 − nu), the relative error of n roundings in float32 (Higham 2002, lemma 3.1).

    Args:
        roundings: n, at least 0 and below 2²³.

    Raises:
        ValueError: so many roundings leave nothing to rely on.

    >>> gamma(0), gamma(1000) < 6e-5
    (0.0, True)
    """
    check_integer(roundings=roundings, at_least=0)
    error = roundings * UNIT_ROUNDOFF
    if error >= 0.5:
        raise ValueError(f"{roundings} roundings in float32 leave nothing to rely on")
    return error / (1 - error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summation:
    """How a layer's clipped sum over a block is formed.

    Attributes:
        units: b, how many units a sub-batch has, at most M.
        terms: products that are added up for each of them.
    """

    units: int
    terms: int

    def __post_init__(self) -> None:
        check_integer(units=self.units, at_least=1)
        check_integer(terms=self.terms, at_least=1)

    @property
    def roundings(self) -> int:
        """d: the factor c, the product, and one addition for each term of the sub-batch but the first."""
        return self.units * self.terms + 1

    @property
    def additions(self) -> int:
        """a: levels of the tree in which a block's sub-batches are added up."""
        return (-(-BLOCK // self.units) - 1).bit_length()

    @property
    def influence(self) -> float:
        """ω: by how much the units' products, at most 1 each in norm, can disturb what one unit changes.

        >>> Summation(units=16, terms=1).influence < 7e-5
        True
        """
        levels = sum(self.units << level for level in range(1, self.additions + 1))
        addition = gamma(1) * (1 + gamma(self.roundings + self.additions))
        return (2 * self.units - 1) * gamma(self.roundings) + 2 * levels * addition


def exposures(products: Mapping[Summation, Tensor]) -> Tensor:
    """How much each unit's products can disturb the sum over its block: at most as far as the largest exposure.

    Args:
        products: m of each unit, over all layers that are summed in one way, shape (units,).
    """
    influence = math.hypot(*(way.influence for way in products))
    return influence * torch.stack(list(products.values())).amax(0)


def summation(*, terms: int) -> Summation:
    """Sub-batches of a power of two of units, as large as keeps b²·terms, and so the influence, small.

    Args:
        terms: products of one unit.

    >>> [summation(terms=terms).units for terms in (1, 4, 9, 49, 64, 196, 2000)]
    [16, 16, 8, 4, 4, 2, 1]
    """
    units = min(_MOST_AT_ONCE, max(1, math.isqrt(_STRUCK_TOGETHER // terms)))
    return Summation(units=1 << (units.bit_length() - 1), terms=terms)
