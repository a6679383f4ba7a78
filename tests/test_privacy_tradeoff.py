"""The trade-off function: exact where it can be, tight to the best test played out, and never below any attack."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.errors import InvalidValueError
from gatekeeper.privacy import identification_power
from gatekeeper.privacy.pattern_power import signed_power, unsigned_power
from gatekeeper.privacy.patterns import patterns
from tests.reference.tradeoff_monte_carlo import Bins, Steps, power_limits
from tests.reference.tradeoff_slow import largest_output_power, power, sum_of_outputs_power

GRID = 1 + 1e-4  # what the grid may lose


def poisson(sigma: float, rate: float, steps: int) -> Mechanism:
    return Mechanism(
        sampling="poisson", sampling_rate=rate, noise_multiplier=sigma, steps=steps, adjacency="zero-out", unit="unit"
    )


def dealt(sigma: float, batches: int, steps: int) -> Mechanism:
    return replace(poisson(sigma, 1 / batches, steps), sampling="balls-and-bins")


def success(mechanism: Mechanism, kappa: float, *, folded: bool) -> float:
    found = identification_power(mechanism, prior_success=kappa)
    return found.relaxed if folded else found.worst_case


# Published Monte Carlo figures, good to 1–2 % at κ = 0.1 and to about 10 % at κ = 0.01.
@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "kappa", "gamma", "tolerance"),
    [
        (1, 0.01, 1000, 0.1, 0.194, 0.02),
        (1, 0.01, 1000, 0.01, 0.0283, 0.1),
        (0.6, 0.01, 1000, 0.1, 0.419, 0.02),
        (0.6, 0.01, 1000, 0.01, 0.122, 0.1),
        (2, 0.1, 500, 0.1, 0.463, 0.02),
        (0.649, 0.00307, 16250, 0.01, 0.133, 0.1),
        (3.19, 0.253, 300, 0.01, 0.176, 0.1),
    ],
)
def test_worst_case_has_the_reference_values(sigma, rate, steps, kappa, gamma, tolerance) -> None:
    assert success(poisson(sigma, rate, steps), kappa, folded=False) == pytest.approx(gamma, rel=tolerance)


@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "kappa", "gamma", "tolerance"),
    [
        (1, 0.01, 1000, 0.1, 0.147, 0.02),
        (1, 0.01, 1000, 0.01, 0.019, 0.1),
        (0.649, 0.00307, 16250, 0.01, 0.063, 0.1),
    ],
)
def test_relaxed_has_the_reference_values(sigma, rate, steps, kappa, gamma, tolerance) -> None:
    assert success(poisson(sigma, rate, steps), kappa, folded=True) == pytest.approx(gamma, rel=tolerance)


# To six digits: Φ(Φ⁻¹(κ) + μ), the Gaussian trade-off function of Dong, Roth and Su (2022).
@pytest.mark.parametrize(
    ("mu", "kappa", "gamma"),
    [
        (0.5, 0.1, 0.217239),
        (1, 0.1, 0.389144),
        (2, 0.1, 0.763760),
        (1, 0.01, 0.092362),
        (3, 0.001, 0.464051),
        (4, 0.001, 0.818527),
    ],
)
@pytest.mark.parametrize("steps", [1, 400])
def test_at_full_batch_the_worst_case_is_exact(mu: float, kappa: float, gamma: float, steps: int) -> None:
    found = identification_power(poisson(math.sqrt(steps) / mu, 1, steps), prior_success=kappa)
    assert found.worst_case == pytest.approx(gamma, abs=1e-6)
    assert found.worst_case_method == "gaussian"


@pytest.mark.parametrize(("mu", "kappa"), [(0.5, 0.1), (2, 0.01), (4, 0.001)])
def test_one_full_step_up_to_its_sign_is_exact(mu: float, kappa: float) -> None:
    cut = norm.isf(kappa / 2)
    found = identification_power(poisson(1 / mu, 1, 1), prior_success=kappa)
    assert found.relaxed == pytest.approx(norm.sf(cut - mu) + norm.sf(cut + mu), rel=1e-6)


@pytest.mark.parametrize(
    ("sigma", "rate", "kappa"), [(1, 0.1, 0.1), (0.3, 0.5, 0.01), (0.05, 0.2, 1e-3), (5, 0.9, 0.3)]
)
def test_one_subsampled_step_is_exact(sigma: float, rate: float, kappa: float) -> None:
    found = identification_power(poisson(sigma, rate, 1), prior_success=kappa)
    worst = rate * norm.cdf(norm.ppf(kappa) + 1 / sigma) + (1 - rate) * kappa
    cut = norm.isf(kappa / 2)
    unsigned = rate * (norm.sf(cut - 1 / sigma) + norm.sf(cut + 1 / sigma)) + (1 - rate) * kappa
    for value, exact in ((found.worst_case, worst), (found.relaxed, unsigned)):
        assert exact * (1 - 1e-9) <= value <= exact * GRID


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("sigma", "rate", "kappa"), [(1.0, 0.2, 0.05), (0.6, 0.05, 0.01), (2.0, 0.7, 0.3)])
def test_the_value_lies_between_the_slow_twins_bounds(sigma: float, rate: float, kappa: float, folded: bool) -> None:
    value = success(poisson(sigma, rate, 5), kappa, folded=folded)

    def holds(sigma: float) -> bool:
        ends = [
            power(rate=rate, sigma=sigma, steps=5, kappa=kappa, folded=folded, up=up, width=2e-3)
            for up in (False, True)
        ]
        return ends[0] <= value <= ends[1]

    assert holds(sigma)
    # The comparison can fail: a tenth more noise, or less, is told apart.
    assert not holds(1.1 * sigma)
    assert not holds(0.9 * sigma)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("sigma", "rate", "steps", "kappa"), [(0.8, 0.05, 60, 0.1), (0.5, 0.02, 60, 0.02)])
def test_the_value_agrees_with_the_best_test_played_out(sigma, rate, steps, kappa, folded) -> None:
    played = Steps(rate=rate, sigma=sigma, steps=steps, folded=folded)
    limits = power_limits(played, kappa=kappa, draws=200_000, confidence=1 - 1e-6, seed=3)
    value = success(poisson(sigma, rate, steps), kappa, folded=folded)
    assert limits.low <= value <= limits.high * GRID
    assert value == pytest.approx(limits.estimate, rel=0.03)
    # The comparison can fail, on either side.
    assert success(poisson(1.25 * sigma, rate, steps), kappa, folded=folded) < limits.low
    assert success(poisson(0.8 * sigma, rate, steps), kappa, folded=folded) > limits.high


@settings(max_examples=12, deadline=None)
@given(
    sigma=st.floats(0.03, 30),
    rate=st.floats(1e-3, 0.99),
    steps=st.integers(2, 300),
    kappa=st.floats(1e-4, 0.5),
)
def test_no_attack_does_better(sigma: float, rate: float, steps: int, kappa: float) -> None:
    found = identification_power(poisson(sigma, rate, steps), prior_success=kappa)
    for value, folded in ((found.worst_case, False), (found.relaxed, True)):
        for attack in (largest_output_power, sum_of_outputs_power):
            achieved = attack(rate=rate, sigma=sigma, steps=steps, kappa=kappa, folded=folded)
            assert value >= achieved * (1 - 1e-9)


@settings(max_examples=10, deadline=None)
@given(
    sigma=st.floats(-6, 6).map(lambda x: 10**x),
    rate=st.floats(-6, 0).map(lambda x: 10**x),
    steps=st.floats(0, 6).map(lambda x: int(10**x)),
    kappa=st.floats(-6, -0.31).map(lambda x: 10**x),
)
def test_knowing_less_never_helps_and_the_pattern_bound_is_never_exceeded(sigma, rate, steps, kappa) -> None:
    mechanism = poisson(sigma, rate, steps)
    found, told = identification_power(mechanism, prior_success=kappa), patterns(mechanism)
    assert kappa <= found.relaxed <= found.worst_case <= signed_power(told, prior_success=kappa) <= 1
    assert found.relaxed <= unsigned_power(told, prior_success=kappa)


BASE = (0.8, 0.02, 300)


@pytest.mark.parametrize(
    "row",
    [
        [(poisson(sigma, *BASE[1:]), 0.05) for sigma in (8, 3, 1, 0.3, 0.05, 1e-4)],
        [(poisson(BASE[0], rate, BASE[2]), 0.05) for rate in (1e-5, 1e-3, 0.03, 0.3, 0.999)],
        [(poisson(*BASE[:2], steps), 0.05) for steps in (1, 30, 1000, 100_000)],
        [(poisson(*BASE), kappa) for kappa in (1e-9, 1e-5, 1e-2, 0.5, 1 - 1e-6, 1.0)],
    ],
    ids=["less noise", "larger rate", "more steps", "better guess"],
)
def test_the_risk_grows_with(row) -> None:
    found = [identification_power(mechanism, prior_success=kappa) for mechanism, kappa in row]
    for values in ([one.worst_case for one in found], [one.relaxed for one in found]):
        assert all(later * GRID >= earlier for earlier, later in pairwise(values))
        assert values[-1] > 2 * values[0]


@pytest.mark.parametrize("folded", [False, True])
def test_without_noise_only_a_unit_that_never_took_part_is_safe(folded: bool) -> None:
    assert success(poisson(1e-9, 0.01, 100), 0.1, folded=folded) == pytest.approx(1 - 0.99**100 * 0.9, rel=1e-8)
    assert success(dealt(1e-9, 100, 1000), 0.1, folded=folded) == 1.0


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("kappa", [1e-6, 0.1])
def test_with_boundless_noise_the_adversary_guesses(folded: bool, kappa: float) -> None:
    for mechanism in (poisson(1e9, 0.5, 1000), dealt(1e9, 10, 1000), poisson(1.0, 0.5, 0)):
        assert success(mechanism, kappa, folded=folded) == pytest.approx(kappa, rel=1e-5)


def test_a_certain_guess_stays_certain() -> None:
    found = identification_power(poisson(1.0, 0.1, 10), prior_success=1)
    assert (found.worst_case, found.relaxed) == (1.0, 1.0)


@pytest.mark.parametrize("folded", [False, True])
def test_where_the_pattern_can_be_read_off_both_methods_agree(folded: bool) -> None:
    """Just above the noise at which the losses are no longer computed they are equal to the pattern bound."""
    near, beyond = (success(poisson(sigma, 0.01, 50), 0.01, folded=folded) for sigma in (0.0251, 0.0249))
    assert near == pytest.approx(beyond, rel=1e-4)


@pytest.mark.parametrize(("batches", "sigma", "epochs", "kappa"), [(10, 1.0, 5, 0.1), (20, 0.6, 3, 0.02)])
def test_secret_bins_agree_with_the_best_test_played_out(batches, sigma, epochs, kappa) -> None:
    limits = power_limits(
        Bins(batches=batches, sigma=sigma, epochs=epochs), kappa=kappa, draws=150_000, confidence=1 - 1e-6, seed=4
    )
    found = identification_power(dealt(sigma, batches, epochs * batches), prior_success=kappa)
    assert found.worst_case_method == "privacy-loss-distribution"
    assert limits.low <= found.worst_case <= 1.02 * limits.high
    assert found.worst_case == pytest.approx(limits.estimate, rel=0.04)
    # The comparison can fail.
    noisier = identification_power(dealt(1.25 * sigma, batches, epochs * batches), prior_success=kappa)
    assert noisier.worst_case < limits.low


def test_bins_under_little_noise_are_as_good_as_revealed() -> None:
    found = identification_power(dealt(0.19, 20, 200), prior_success=1e-60)
    assert found.worst_case == pytest.approx(norm.cdf(norm.ppf(1e-60) + math.sqrt(10) / 0.19), rel=1e-6)
    assert found.worst_case_method == "balls-and-bins"


def test_an_epoch_that_was_begun_counts_whole() -> None:
    begun, whole = (identification_power(dealt(1.0, 20, steps), prior_success=0.05) for steps in (181, 200))
    assert begun == whole


def test_revealed_bins_are_folded_like_full_batches() -> None:
    """No epoch of so many batches is computed with its bins secret."""
    found = identification_power(dealt(4.0, 200_000, 2_000_000), prior_success=0.05)
    full = identification_power(poisson(4.0, 1, 10), prior_success=0.05)
    assert (found.relaxed, found.relaxed_method) == (full.relaxed, "privacy-loss-distribution")
    assert (found.worst_case, found.worst_case_method) == (full.worst_case, "balls-and-bins")


def test_signs_unknown_in_each_step_say_less_than_one_unknown_sign() -> None:
    mechanism = poisson(5.0, 1, 25)
    found = identification_power(mechanism, prior_success=0.05)
    one_sign = unsigned_power(patterns(mechanism), prior_success=0.05)
    assert 0.05 < found.relaxed < 0.7 * one_sign < one_sign < found.worst_case


def test_sensitivity_slack_counts_as_less_noise() -> None:
    slack = replace(poisson(1.1, 0.05, 100), sensitivity_slack=0.1)
    assert slack.relative_noise == pytest.approx(1.0)
    found, same = (identification_power(run, prior_success=0.1) for run in (slack, poisson(1.0, 0.05, 100)))
    assert found.worst_case == pytest.approx(same.worst_case, rel=1e-9)
    assert found.relaxed == pytest.approx(same.relaxed, rel=1e-9)


@pytest.mark.parametrize("kappa", [0, -0.1, 1.5, math.nan])
def test_an_impossible_guess_is_refused(kappa: float) -> None:
    with pytest.raises(InvalidValueError, match="prior_success"):
        identification_power(poisson(1.0, 0.1, 10), prior_success=kappa)


@pytest.mark.parametrize(("worst", "relaxed"), [(0.05, 0.05), (0.5, 0.6), (1.1, 0.5), (0.5, 0.05)])
def test_powers_out_of_order_are_refused(worst: float, relaxed: float) -> None:
    with pytest.raises(InvalidValueError):
        IdentificationPower(
            prior_success=0.1, worst_case=worst, worst_case_method="m", relaxed=relaxed, relaxed_method="m"
        )
