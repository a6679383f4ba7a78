"""Several runs on the same units."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError
from gatekeeper.privacy import account, compose, gaussian
from tests.reference import privacy_monte_carlo


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


RUNS = {
    "low": [
        _mechanism(),
        _mechanism(noise_multiplier=0.6, sampling_rate=0.05, steps=20),
        _mechanism(noise_multiplier=4.0, sampling_rate=1.0, steps=3),
    ],
    "middle": [_mechanism(noise_multiplier=0.1), _mechanism(noise_multiplier=0.2, steps=90)],
    "high": [
        _mechanism(noise_multiplier=1e-4, steps=1000),
        _mechanism(noise_multiplier=3e-4, sampling_rate=0.1),
        _mechanism(noise_multiplier=1e-3, sampling_rate=1.0, steps=2),
    ],
    "dealt": [_mechanism(sampling="balls-and-bins", steps=100), _mechanism(noise_multiplier=0.8)],
    "dealt-high": [_mechanism(sampling="balls-and-bins", noise_multiplier=1e-3, steps=75), _mechanism()],
}


@pytest.mark.parametrize(
    "run",
    [
        _mechanism(),
        _mechanism(noise_multiplier=1e-5),
        _mechanism(sampling_rate=1.0),
        _mechanism(sampling="balls-and-bins"),
        _mechanism(noise_multiplier=1e-5, sampling="balls-and-bins", steps=77),
        _mechanism(steps=0),
    ],
)
def test_one_run_is_accounted_as_ever(run: Mechanism) -> None:
    assert compose([run], 1e-6).epsilon == account(run, 1e-6).epsilon
    assert compose([_mechanism(steps=0), run], 1e-6).epsilon == account(run, 1e-6).epsilon


def test_equal_runs_are_one_longer_run() -> None:
    for changes in ({}, {"noise_multiplier": 1e-5}, {"sampling": "balls-and-bins"}, {"sampling_rate": 1.0}):
        run = _mechanism(**changes)
        assert compose([run] * 3, 1e-6) == account(dataclasses.replace(run, steps=150), 1e-6)


@pytest.mark.parametrize("name", sorted(RUNS))
@pytest.mark.parametrize("delta", [1e-3, 1e-7])
def test_a_composition_is_at_least_its_largest_part_and_at_most_the_sum_of_all(name: str, delta: float) -> None:
    runs = RUNS[name]
    found = compose(runs, delta)
    apart = [account(run, delta).epsilon for run in runs]
    summed = sum(account(run, delta / len(runs)).epsilon.high for run in runs)
    assert found.epsilon.high >= max(one.low for one in apart)
    assert found.epsilon.low >= max(one.low for one in apart) * 0.99
    assert found.epsilon.high <= summed * (1 + 1e-9)
    assert found.epsilon.low <= found.epsilon.estimate <= found.epsilon.high


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_order_of_runs_does_not_matter(name: str) -> None:
    runs = RUNS[name]
    forward, backward = compose(runs, 1e-5).epsilon, compose(runs[::-1], 1e-5).epsilon
    assert forward.high == pytest.approx(backward.high, rel=1e-6)


@pytest.mark.parametrize("name", ["low", "middle", "high"])
def test_the_interval_is_narrow_without_balls_and_bins(name: str) -> None:
    found = compose(RUNS[name], 1e-5).epsilon
    assert found.high - found.low <= 0.01 * found.high


def test_a_hundredth_more_noise_in_one_run_splits_equal_runs_hardly() -> None:
    run = _mechanism(steps=500)
    together = compose([run, run], 1e-5).epsilon
    apart = compose([run, dataclasses.replace(run, noise_multiplier=1.0001)], 1e-5).epsilon
    assert apart.high == pytest.approx(together.high, rel=1e-3)


def test_certain_uses_are_one_gaussian() -> None:
    runs = [_mechanism(sampling_rate=1.0, noise_multiplier=sigma, steps=4) for sigma in (2.0, 5.0, 9.0)]
    mu = math.sqrt(sum(4 / run.noise_multiplier**2 for run in runs))
    found, exact = compose(runs, 1e-5), gaussian.epsilon(mu=mu, delta=1e-5)
    assert found.accountant == "gaussian"
    assert found.epsilon.high == pytest.approx(exact.high, rel=1e-9)
    assert found.epsilon.low <= exact.estimate <= found.epsilon.high


@pytest.mark.parametrize(
    ("runs", "delta"),
    [
        ([(0.1, 1.0, 10), (0.3, 2.0, 10)], 0.02),
        ([(0.1, 0.3, 10), (1.0, 2.0, 2), (0.05, 0.5, 10)], 0.05),
        ([(0.1, 0.01, 10), (0.2, 0.02, 10)], 0.05),
    ],
)
def test_epsilon_agrees_with_monte_carlo(runs: list[tuple[float, float, int]], delta: float) -> None:
    mechanisms = [_mechanism(sampling_rate=q, noise_multiplier=sigma, steps=steps) for q, sigma, steps in runs]
    found = compose(mechanisms, delta).epsilon
    drawn = privacy_monte_carlo.losses(runs, draws=40_000, seed=1)
    hits = privacy_monte_carlo.hits(drawn, found.high, seed=2)
    assert lower_limit(successes=hits, trials=len(drawn), confidence=0.9999) <= delta
    hits = privacy_monte_carlo.hits(drawn, found.low, seed=3)
    assert upper_limit(successes=hits, trials=len(drawn), confidence=0.9999) >= delta
    hits = privacy_monte_carlo.hits(drawn, found.low * 0.7, seed=4)
    assert lower_limit(successes=hits, trials=len(drawn), confidence=0.9999) > delta, "the check can fail"


def test_dp_accounting_agrees_on_different_runs() -> None:
    pytest.importorskip("dp_accounting")
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant

    runs = [(0.01, 1.0, 500), (0.1, 3.0, 100), (1.0, 10.0, 5)]
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-3)
    for rate, sigma, steps in runs:
        event = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(sigma))
        accountant.compose(dp_event.SelfComposedDpEvent(event, steps))
    ours = compose([_mechanism(sampling_rate=q, noise_multiplier=s, steps=t) for q, s, t in runs], 1e-5).epsilon
    theirs = accountant.get_epsilon(1e-5)
    assert ours.low * 0.999 <= theirs <= ours.high * 1.01
    assert ours.high <= theirs * 1.002


@pytest.mark.parametrize("scale", [3.0, 0.1, 1e-3])
@pytest.mark.parametrize("count", [20, 40])
def test_many_different_runs_answer_and_stay_below_their_sum(scale: float, count: int) -> None:
    generator = np.random.default_rng(0)
    runs = [
        _mechanism(
            noise_multiplier=scale * 10 ** generator.uniform(0, 1),
            sampling_rate=10 ** generator.uniform(-4, -1),
            steps=int(10 ** generator.uniform(1, 3)),
        )
        for _ in range(count)
    ]
    found = compose(runs, 1e-5).epsilon
    assert 0 < found.low <= found.high
    if count == 20:  # more than 32 different runs are merged, which costs width
        assert found.high - found.low <= 0.1 * found.high
    apart = sum(account(run, 1e-5 / count).epsilon.high for run in runs)
    assert found.low <= apart


def test_no_runs_spend_nothing_and_a_wrong_delta_is_refused() -> None:
    assert compose([], 1e-5).epsilon.high == 0
    assert compose([_mechanism(steps=0)], 1e-5).epsilon.high == 0
    with pytest.raises(InvalidValueError):
        compose([_mechanism()], 0.0)
