"""Laws, slow twins, and Monte Carlo."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError, PrivacyError
from gatekeeper.privacy import account, calibrate, gaussian, participation, participations, pld
from tests.reference import gaussian_mpmath, pld_slow, privacy_monte_carlo

mp = pytest.importorskip("mpmath")


def _mechanism(**changes: Any) -> Mechanism:
    fields = {
        "sampling": "poisson",
        "sampling_rate": 0.02,
        "noise_multiplier": 1.0,
        "steps": 50,
        "adjacency": "zero-out",
        "unit": "image",
    }
    return Mechanism(**{**fields, **changes})


# --- the Gaussian


@pytest.mark.parametrize("mu", [1e-6, 1e-3, 0.3, 1.0, 7.0, 1e3, 4.5e7])
@pytest.mark.parametrize("delta", [0.1, 1e-5, 1e-12, 1e-100])
def test_gaussian_epsilon_encloses_60_digit_arithmetic(mu: float, delta: float) -> None:
    exact = gaussian_mpmath.epsilon(mu=mu, delta=delta)
    found = gaussian.epsilon(mu=mu, delta=delta)
    assert found.low <= exact <= found.high
    assert found.high - exact <= 1e-10 * exact + 1e-11


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 8.0, 1e3, 1e9])
@pytest.mark.parametrize("mu", [1e-3, 0.1, 1.0, 50.0])
def test_gaussian_delta_agrees_with_60_digit_arithmetic(epsilon: float, mu: float) -> None:
    exact = gaussian_mpmath.delta(epsilon=epsilon, mu=mu)
    if exact > 1e-290:
        tolerance = 1e-10 + 4e-15 * epsilon / mu * max(1.0, epsilon / mu)  # of ε/μ itself, in its last digit
        assert abs(float(gaussian.log_delta(epsilon, mu)) - float(mp.log(exact))) < tolerance


@given(st.floats(1e-3, 1e15), st.floats(1e-12, 0.1))
def test_mu_and_epsilon_are_inverse_on_the_safe_side(epsilon: float, delta: float) -> None:
    mu = gaussian.mu(epsilon=epsilon, delta=delta)
    back = gaussian.epsilon(mu=mu, delta=delta)
    assert back.low <= epsilon
    assert back.estimate == pytest.approx(epsilon, rel=1e-9, abs=1e-9)


# --- participation


@pytest.mark.parametrize(("steps", "rate"), [(1, 0.3), (10, 0.5), (200, 0.01), (1000, 1e-6), (50, 0.99)])
def test_participations_are_binomial(steps: int, rate: float) -> None:
    found = participations(_mechanism(steps=steps, sampling_rate=rate))
    exact = {k: math.comb(steps, k) * rate**k * (1 - rate) ** (steps - k) for k in range(steps + 1)}
    for count, probability in zip(found.counts, found.probabilities, strict=True):
        assert probability == pytest.approx(exact[count], rel=1e-11)
    left_out = sum(p for k, p in exact.items() if k not in found.counts)
    assert left_out <= found.tail + 1e-15


def test_balls_and_bins_take_part_once_an_epoch_begun() -> None:
    mechanism = _mechanism(sampling="balls-and-bins", sampling_rate=0.1, steps=31)
    found = participations(mechanism)
    assert found.counts == (4,)
    assert found.probabilities == (1.0,)


def test_the_participation_bound_is_the_mixture_it_says_it_is() -> None:
    mechanism, delta = _mechanism(noise_multiplier=0.05, steps=40, sampling_rate=0.1), 1e-5
    high = participation.epsilon(mechanism, delta=delta).high
    mixture = sum(
        math.comb(40, k) * 0.1**k * 0.9 ** (40 - k) * gaussian_mpmath.delta(epsilon=high, mu=math.sqrt(k) / 0.05)
        for k in range(1, 41)
    )
    assert float(mixture) <= delta
    assert float(mixture) == pytest.approx(delta, rel=1e-6)


# --- privacy loss distributions


@pytest.mark.parametrize(
    ("rate", "sigma", "steps"), [(0.1, 1.0, 8), (0.3, 0.7, 4), pytest.param(0.02, 0.6, 12, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("delta", [1e-2, 1e-5])
def test_losses_lie_between_the_slow_twins_bounds(rate: float, sigma: float, steps: int, delta: float) -> None:
    mechanism = _mechanism(sampling_rate=rate, noise_multiplier=sigma, steps=steps)
    scale = participation.epsilon(mechanism, delta=delta).high
    found = pld.epsilon(mechanism, delta=delta, scale=scale)

    def slow(epsilon: float, *, up: bool) -> float:
        sides = [
            pld_slow.delta(epsilon=epsilon, rate=rate, sigma=sigma, steps=steps, remove=remove, up=up, width=2e-3)
            for remove in (True, False)
        ]
        return max(sides)

    # A proven ε satisfies the lower bound on δ, and a proven lower bound on ε violates the upper one.
    assert slow(found.high, up=False) <= delta
    assert found.low == 0 or slow(found.low, up=True) >= delta
    assert found.high - found.low <= 0.02 * found.high + 1e-3


def test_the_slow_twin_would_see_a_sigma_that_is_one_percent_off() -> None:
    mechanism = _mechanism(sampling_rate=0.1, noise_multiplier=1.01, steps=8)
    wrong = pld.epsilon(mechanism, delta=1e-5, scale=participation.epsilon(mechanism, delta=1e-5).high).high
    assert pld_slow.delta(epsilon=wrong, rate=0.1, sigma=1.0, steps=8, remove=True, up=False, width=1e-3) > 1e-5


POINTS = [  # q, σ, T, δ, from ε 0.5 to 1e6
    (0.02, 1.0, 20, 1e-3),
    (0.1, 2.0, 30, 0.01),
    (0.1, 1.0, 20, 0.02),
    (0.3, 2.0, 40, 0.03),
    (0.05, 0.5, 30, 0.05),
    (0.02, 0.3, 50, 0.05),
    (0.1, 0.3, 20, 0.1),
    (0.5, 0.5, 10, 0.01),
    (0.01, 0.1, 40, 0.1),
    (0.1, 0.1, 20, 0.02),
    (0.3, 0.1, 20, 0.1),
    (0.1, 0.05, 20, 0.05),
    (0.5, 0.05, 10, 0.02),
    (0.1, 0.02, 20, 0.05),
    (0.02, 0.01, 60, 0.1),
    (0.1, 0.01, 20, 0.03),
    (0.3, 0.005, 10, 0.05),
    (0.1, 0.003, 20, 0.05),
    (0.5, 0.003, 10, 0.1),
    (0.1, 0.001, 20, 0.05),
]


@pytest.mark.parametrize(
    ("draws", "point"),
    [(40_000, point) for point in POINTS] + [pytest.param(10**6, p, marks=pytest.mark.slow) for p in POINTS],
)
def test_epsilon_agrees_with_monte_carlo(draws: int, point: tuple[float, float, int, float]) -> None:
    rate, sigma, steps, delta = point
    found = account(_mechanism(sampling_rate=rate, noise_multiplier=sigma, steps=steps), delta).epsilon
    drawn = privacy_monte_carlo.losses([(rate, sigma, steps)], draws=draws, seed=1)
    hits = privacy_monte_carlo.hits(drawn, found.high, seed=2)
    assert lower_limit(successes=hits, trials=draws, confidence=0.9999) <= delta, "the upper end is an upper bound"
    hits = privacy_monte_carlo.hits(drawn, found.low, seed=3)
    assert upper_limit(successes=hits, trials=draws, confidence=0.9999) >= delta, "the lower end is a lower bound"
    hits = privacy_monte_carlo.hits(drawn, found.low * 0.5, seed=4)
    assert lower_limit(successes=hits, trials=draws, confidence=0.9999) > delta, "and the check can fail"


# --- laws


mechanisms = st.builds(
    _mechanism,
    sampling_rate=st.sampled_from([0.001, 0.01, 0.1, 0.5]),
    noise_multiplier=st.floats(1e-6, 5),
    steps=st.sampled_from([1, 20, 300]),
)


@settings(max_examples=8, deadline=None)
@given(mechanisms, st.sampled_from([1e-3, 1e-5, 1e-8]))
def test_epsilon_grows_with_steps_rate_and_delta_and_falls_with_noise(mechanism: Mechanism, delta: float) -> None:
    def high(**changes: Any) -> float:
        return account(dataclasses.replace(mechanism, **changes), delta).epsilon.high

    # A finer grid may be better by the width of its interval, so the law holds to that width.
    slack = 1.005
    here = high()
    assert here <= high(steps=2 * mechanism.steps) * slack
    assert here <= high(sampling_rate=min(1.0, 1.5 * mechanism.sampling_rate)) * slack
    assert here * slack >= high(noise_multiplier=1.5 * mechanism.noise_multiplier)
    assert here * slack >= account(mechanism, delta * 10).epsilon.high


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    st.floats(-1, 15).map(lambda exponent: 10.0**exponent),
    st.sampled_from([1e-3, 1e-5, 1e-9]),
    st.sampled_from(["poisson", "balls-and-bins", "best"]),
    st.sampled_from([(1 / 3, 7), (0.01, 500), (1.0, 3)]),
)
def test_what_is_calibrated_keeps_the_budget_and_wastes_little(
    epsilon: float, delta: float, sampling: str, run: tuple[float, int]
) -> None:
    rate, steps = run
    budget = Budget(epsilon=epsilon, delta=delta)
    mechanism = calibrate(
        budget, sampling=sampling, sampling_rate=rate, steps=steps, adjacency="zero-out", unit="image"
    )
    assert account(mechanism, delta).epsilon.high <= epsilon
    less = dataclasses.replace(mechanism, noise_multiplier=mechanism.noise_multiplier * 0.99)
    assert account(less, delta).epsilon.high > epsilon


@pytest.mark.parametrize("rate", [1e-9, 1e-4, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 1000, pytest.param(10**7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sigma", [1e-9, 1e-2, 0.3, 1.0, 1e3])
@pytest.mark.parametrize("delta", [1e-300, 1e-5, 0.1])
def test_extreme_mechanisms_give_a_number_with_ordered_ends(
    rate: float, steps: int, sigma: float, delta: float
) -> None:
    found = account(_mechanism(sampling_rate=rate, steps=steps, noise_multiplier=sigma), delta).epsilon
    assert 0 <= found.low <= found.estimate <= found.high < math.inf


@pytest.mark.parametrize("batches", [2, 1000, 10**6])
@pytest.mark.parametrize("sigma", [1e-9, 0.13, 1.0, 1e3])
@pytest.mark.parametrize("delta", [1e-300, 1e-5, 0.1])
def test_extreme_balls_and_bins_give_a_number_with_ordered_ends(batches: int, sigma: float, delta: float) -> None:
    run = _mechanism(sampling="balls-and-bins", sampling_rate=1 / batches, steps=3 * batches, noise_multiplier=sigma)
    found = account(run, delta).epsilon
    assert 0 <= found.low <= found.estimate <= found.high < math.inf


@pytest.mark.parametrize(("sampling", "rate"), [("poisson", 0.02), ("poisson", 1.0), ("balls-and-bins", 0.02)])
@pytest.mark.parametrize("sigma", [1e-4, 0.6, 3.0])
def test_slack_of_the_sensitivity_acts_like_less_noise(sampling: str, rate: float, sigma: float) -> None:
    plain = _mechanism(sampling=sampling, sampling_rate=rate, noise_multiplier=sigma)
    slack = dataclasses.replace(plain, noise_multiplier=sigma * 1.25, sensitivity_slack=0.25)
    assert account(slack, 1e-5).epsilon.high == pytest.approx(account(plain, 1e-5).epsilon.high, rel=1e-9)
    budget = Budget(epsilon=account(plain, 1e-5).epsilon.high, delta=1e-5)
    arguments = {"sampling": sampling, "sampling_rate": rate, "steps": 50, "adjacency": "zero-out", "unit": "image"}
    found = calibrate(budget, sensitivity_slack=0.25, **arguments)
    assert found.sensitivity_slack == 0.25
    assert account(found, 1e-5).epsilon.high <= budget.epsilon
    assert found.noise_multiplier == pytest.approx(1.25 * sigma, rel=2e-3)


def test_no_steps_spend_nothing() -> None:
    assert account(_mechanism(steps=0), 1e-5).epsilon.high == 0


def test_a_delta_that_needs_no_noise_is_refused_with_the_reason() -> None:
    with pytest.raises(PrivacyError, match="without any noise"):
        calibrate(
            Budget(epsilon=1.0, delta=0.1),
            sampling="poisson",
            sampling_rate=1e-4,
            steps=10,
            adjacency="zero-out",
            unit="image",
        )


def test_delta_outside_its_range_is_refused() -> None:
    for delta in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(InvalidValueError):
            account(_mechanism(), delta)


def test_the_accountant_and_its_theorem_are_named() -> None:
    named = {
        account(_mechanism(noise_multiplier=sigma, sampling=sampling, sampling_rate=rate), 1e-5).accountant
        for sigma, sampling, rate in [
            (1.0, "poisson", 0.02),
            (1e-6, "poisson", 0.02),
            (1e-6, "balls-and-bins", 0.02),
            (1.0, "balls-and-bins", 0.02),
            (1.0, "poisson", 1.0),
        ]
    }
    assert named == {
        "privacy-loss-distribution",
        "participation-bound",
        "balls-and-bins",
        "balls-and-bins-amplified",
        "gaussian",
    }
