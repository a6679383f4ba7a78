"""The power of adversaries who are told the participation pattern: closed forms, and the optimal test played out."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy.pattern_power import signed_power, unsigned_power
from gatekeeper.privacy.patterns import Patterns, patterns
from tests.reference.pattern_optimal_test import power_by_simulation

BOTH = pytest.mark.parametrize("bound", [signed_power, unsigned_power])


def told(counts, probabilities, sigma: float, *, tail: float = 0.0) -> Patterns:
    pairs = [(count, mass) for count, mass in zip(counts, probabilities, strict=True) if count and mass]
    return Patterns(
        weights=np.array([mass for _, mass in pairs], dtype=float),
        shifts=np.sqrt(np.array([count for count, _ in pairs], dtype=float)) / sigma,
        absent=float(probabilities[0]) if counts[0] == 0 else 0.0,
        tail=tail,
    )


def fixed(count: int, sigma: float) -> Patterns:
    return told((count,), (1.0,), sigma)


def binomial(steps: int, rate: float, sigma: float) -> Patterns:
    counts = np.arange(steps + 1)
    return told(counts, binom.pmf(counts, steps, rate), sigma, tail=1e-15)


@given(sigma=st.floats(0.05, 1e3), count=st.integers(1, 500), kappa=st.floats(1e-9, 0.5))
def test_fixed_participation_has_the_gaussian_closed_forms(sigma: float, count: int, kappa: float) -> None:
    mu = math.sqrt(count) / sigma
    exact = norm.cdf(norm.ppf(kappa) + mu)
    cut = norm.isf(kappa / 2)
    two_sided = norm.sf(cut - mu) + norm.sf(cut + mu)
    for bound, truth in ((signed_power, exact), (unsigned_power, two_sided)):
        value = bound(fixed(count, sigma), prior_success=kappa)
        assert truth * (1 - 1e-12) <= value <= truth * (1 + 1e-6) + 1e-14


@given(sigma=st.floats(1e-9, 1e3), steps=st.integers(1, 60), rate=st.floats(0.01, 1), kappa=st.floats(1e-6, 0.5))
def test_knowing_less_never_helps_and_both_lie_between_the_guess_and_certainty(
    sigma: float, steps: int, rate: float, kappa: float
) -> None:
    law = binomial(steps, rate, sigma)
    worst, unsigned = signed_power(law, prior_success=kappa), unsigned_power(law, prior_success=kappa)
    assert kappa <= unsigned <= worst * (1 + 1e-8) <= 1 + 1e-8
    assert worst <= (1 - law.absent * (1 - kappa)) * (1 + 1e-8)


@BOTH
def test_more_noise_never_raises_a_bound_over_twelve_orders_of_magnitude(bound) -> None:
    values = [bound(binomial(30, 0.1, sigma), prior_success=0.01) for sigma in np.geomspace(1e-9, 1e3, 97)]
    assert all(later <= earlier * (1 + 1e-7) for earlier, later in pairwise(values))
    assert values[0] == pytest.approx(1 - 0.9**30 * 0.99, rel=1e-8)
    assert values[-1] == pytest.approx(0.01, rel=0.02)


MIXTURES = [
    # (counts, probabilities, σ, κ): threshold above, at and below the atom K = 0.
    ((0, 1, 2, 5), (0.4, 0.3, 0.2, 0.1), 1.0, 0.05),
    ((0, 1, 4), (0.6, 0.2, 0.2), 1.0, 0.3),
    ((0, 1, 4), (0.1, 0.5, 0.4), 1.5, 0.45),
    ((1, 3, 9), (0.5, 0.3, 0.2), 2.0, 0.1),
]


@pytest.mark.parametrize(("counts", "probabilities", "sigma", "kappa"), MIXTURES)
@pytest.mark.parametrize("signed", [True, False])
def test_mixture_agrees_with_the_optimal_test_played_out(counts, probabilities, sigma, kappa, signed) -> None:
    bound = signed_power if signed else unsigned_power
    value = bound(told(counts, probabilities, sigma), prior_success=kappa)
    played = power_by_simulation(
        counts=counts, probabilities=probabilities, sigma=sigma, level=kappa, signed=signed, draws=40_000
    )
    capped = min(played, 1 - (probabilities[0] if counts[0] == 0 else 0.0) * (1 - kappa))
    assert value == pytest.approx(capped, abs=0.012)
    # The comparison can fail: three tenths more noise are told apart.
    other = bound(told(counts, probabilities, sigma * 1.3), prior_success=kappa)
    assert abs(other - value) > 0.012


@BOTH
def test_a_unit_that_never_takes_part_can_only_be_guessed(bound) -> None:
    assert bound(told((0,), (1.0,), 1e-6), prior_success=0.01) == pytest.approx(0.01)


@BOTH
def test_what_was_cut_off_counts_as_lost(bound) -> None:
    whole, cut = told((1, 2), (0.9, 0.1), 2.0), told((1,), (0.9,), 2.0, tail=0.1)
    complete, shorter = bound(whole, prior_success=0.01), bound(cut, prior_success=0.01)
    assert shorter > complete
    assert shorter > 0.1
    assert bound(cut, prior_success=0.95) == 1.0


@pytest.mark.parametrize(("steps", "rate"), [(1, 0.3), (1000, 0.01), (50, 1), (0, 0.5), (200_000, 0.5)])
def test_patterns_are_binomial_over_noise_relative_to_sensitivity(steps: int, rate: float) -> None:
    mechanism = Mechanism(
        sampling="poisson",
        sampling_rate=rate,
        noise_multiplier=3.0,
        steps=steps,
        adjacency="zero-out",
        unit="unit",
        sensitivity_slack=0.5,
    )
    found = patterns(mechanism)
    counts = np.rint((found.shifts * 2.0) ** 2)
    np.testing.assert_allclose(found.weights, binom.pmf(counts, steps, rate), rtol=1e-7, atol=1e-30)
    assert found.absent == pytest.approx(binom.pmf(0, steps, rate), rel=1e-9, abs=1e-40)
    assert found.tail < 1e-10
