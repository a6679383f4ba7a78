"""The clip: by how much each unit's gradient is scaled before it is summed.

Besides the norm, a unit's *exposure* is clipped: how much its products can disturb the float32 sum that they are part
of (`rounding`). Both conditions read the unit alone, so the sum's sensitivity, rounding included, is at most r(1 + η)
whatever the data are. The second one binds only where a gradient is far smaller than the products that make it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gatekeeper.core.checks import check_positive

Rule = Literal["flat", "automatic"]

# Keeps the factor of a vanishing gradient finite: 1/(‖g‖ + γ) in Bu et al. 2023, "Automatic clipping", equation 4.
STABILITY = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """What gradients are clipped to.

    Attributes:
        radius: r, the largest norm of a scaled gradient, above 0.
        exposure: the largest exposure of a scaled gradient: ηr.
        rule: `flat`: min(1, r/‖g‖) (Abadi et al. 2016); `automatic`: r/(‖g‖ + γ), every gradient has about norm r
            (Bu et al. 2023, "Automatic clipping: differentially private deep learning made easier and stronger").
    """

    radius: float
    exposure: float
    rule: Rule = "flat"

    def __post_init__(self) -> None:
        check_positive(radius=self.radius)
        check_positive(exposure=self.exposure)

    def factors(self, norms: Tensor, exposures: Tensor) -> Tensor:
        """The factor of each unit, float32, rounded towards zero.

        Args:
            norms: an upper limit of each ‖gᵢ‖, float64, shape (units,), at least 0.
            exposures: of each unit, float64, shape (units,), at least 0.
        """
        return round_down(torch.minimum(self._wanted(norms), self.exposure / exposures))

    def _wanted(self, norms: Tensor) -> Tensor:
        if self.rule == "flat":
            return (self.radius / norms).clamp(max=1.0)
        return self.radius / (norms + STABILITY)


def round_down(values: Tensor) -> Tensor:
    """float64 values as the largest float32 ones that don't exceed them; values of at least 0."""
    nearest = values.clamp(max=torch.finfo(torch.float32).max).to(torch.float32)
    below = torch.nextafter(nearest, torch.zeros_like(nearest))
    return torch.where(nearest.double() > values, below, nearest)
