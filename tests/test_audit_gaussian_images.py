"""The draws of Gaussian images, and the polynomial that stands for an inverse distribution function."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaincinv, ndtri

from gatekeeper.audit.gaussian_images import chi_squared_quantile, draw

# The ends of what the generator gives, and what lies between them.
UNIFORM = np.concatenate([2.0 ** -np.arange(1.0, 54), 1 - 2.0 ** -np.arange(2.0, 54), np.linspace(0.001, 0.999, 999)])


@pytest.mark.parametrize("freedom", [2, 3, 4, 7, 16, 100, 3_071, 100_000])
def test_the_polynomial_is_the_inverse_distribution_function(freedom: int) -> None:
    found, exact = chi_squared_quantile(freedom)(ndtri(UNIFORM)), 2 * gammaincinv(freedom / 2, UNIFORM)
    assert np.abs(found - exact).max() < 1e-12 * freedom
    assert abs(float(chi_squared_quantile(freedom)(ndtri(0.5))) - 2 * gammaincinv(freedom / 2, 0.5)) < 1e-12 * freedom


@pytest.mark.parametrize("freedom", [2, 3, 50, 100_000, 10**7])
def test_draws_have_the_moments_of_their_distributions(freedom: int) -> None:
    """Six deviations of each mean: Σx² and Σz² are χ² of n, and Σxz has mean 0 and variance n."""
    drawn = draw((freedom, 1))
    for index, n in enumerate((freedom, 1)):
        error = 6 * np.sqrt(2 * n / len(drawn.image))
        assert abs(drawn.image[:, index].mean() - n) < error
        assert abs(drawn.noise[:, index].mean() - n) < error
        assert abs(drawn.cross[:, index].mean()) < error
        assert abs(drawn.image[:, index].var() / (2 * n) - 1) < 0.25
        assert drawn.image[:, index].min() >= 0
        # Cauchy and Schwarz: ⟨x, z⟩² ≤ ‖x‖²‖z‖².
        assert (drawn.cross[:, index] ** 2 <= drawn.image[:, index] * drawn.noise[:, index] * (1 + 1e-9)).all()


def test_draws_are_the_same_in_every_call_and_cannot_be_written() -> None:
    first = draw((5, 2)).image.copy()
    draw.cache_clear()
    assert (draw((5, 2)).image == first).all()
    with pytest.raises(ValueError, match="read-only"):
        draw((5, 2)).image[0, 0] = 1.0
