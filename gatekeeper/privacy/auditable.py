"""At which noise an audit can tell: where the bound on identification is neither chance nor certainty."""

from __future__ import annotations

import math

from scipy.special import ndtri

from gatekeeper.core.checks import check_integer, check_open_probability
from gatekeeper.errors import InvalidValueError


def noise_for_power(power: float, *, prior_success: float, steps: int) -> float:
    """The noise multiplier at which T steps with every unit have γ(κ) = `power`: σ = √T/(Φ⁻¹(γ) − Φ⁻¹(κ)).

    The inverse of γ = Φ(Φ⁻¹(κ) + √T/σ), which `identification_power` bounds for the mechanism with that noise. An audit
    at a noise where γ is 1 could not contradict anything.

    Args:
        power: γ, above κ and below 1.
        prior_success: κ, strictly between 0 and 1.
        steps: T, at least 1.

    Raises:
        InvalidValueError: an argument is out of its range.

    >>> round(noise_for_power(0.6, prior_success=1 / 16, steps=1), 4)
    0.5595
    """
    check_open_probability(power=power)
    check_open_probability(prior_success=prior_success)
    check_integer(steps=steps, at_least=1)
    if power <= prior_success:
        raise InvalidValueError(f"power must be above prior_success {prior_success!r}, got {power!r}")
    return math.sqrt(steps) / float(ndtri(power) - ndtri(prior_success))
