"""Secret bins: the bound is a bound, is tight, and is the account's."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import account, calibrate, gaussian
from gatekeeper.privacy.balls_and_bins import LARGEST_MU, Epochs
from tests.reference import privacy_balls_and_bins, privacy_monte_carlo


def _run(*, sigma: float, batches: int, epochs: int) -> Mechanism:
    return Mechanism(
        sampling="balls-and-bins",
        sampling_rate=1 / batches,
        noise_multiplier=sigma,
        steps=batches * epochs,
        adjacency="zero-out",
        unit="image",
    )


def _one_epoch(epochs: Epochs, epsilon: float) -> float:
    loss = epochs.above(1e-3, 1e-13).loss
    beyond = loss.losses > epsilon
    inside = np.exp(loss.log_masses[beyond]) * -np.expm1(epsilon - loss.losses[beyond])
    return float(inside.sum()) + loss.infinite


@pytest.mark.parametrize("batches", [2, 3])
@pytest.mark.parametrize("mu", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("remove", [True, False])
def test_one_epoch_is_just_above_plain_quadrature(batches: int, mu: float, remove: bool) -> None:
    direction = "remove" if remove else "add"
    epochs = Epochs(batches=batches, mu=mu, times=1, direction=direction)
    for epsilon in (0.0, 0.05, 0.3, 1.0):
        exact = privacy_balls_and_bins.delta(epsilon=epsilon, batches=batches, mu=mu, remove=remove)
        found = _one_epoch(epochs, epsilon)
        assert found >= exact * (1 - 1e-6) - 1e-12
        assert found <= exact * 1.03 + 1e-4


def test_quadrature_would_see_a_mu_that_is_three_percent_off() -> None:
    epochs = Epochs(batches=3, mu=0.97, times=1, direction="remove")
    assert _one_epoch(epochs, 1.0) < privacy_balls_and_bins.delta(epsilon=1.0, batches=3, mu=1.0, remove=True)


@pytest.mark.parametrize("direction", ["remove", "add"])
@pytest.mark.parametrize("batches", [2, 7, 100])
@pytest.mark.parametrize("mu", [0.05, 1.0, 4.0, LARGEST_MU])
def test_an_epoch_keeps_the_mass_under_both_distributions(batches: int, mu: float, direction: str) -> None:
    loss = Epochs(batches=batches, mu=mu, times=1, direction=direction).above(1e-2, 1e-12).loss
    masses = np.exp(loss.log_masses)
    assert masses.sum() == pytest.approx(1, abs=1e-8)
    assert (masses * np.exp(-loss.losses)).sum() == pytest.approx(1, abs=1e-8)
    assert loss.infinite <= 1e-12


@pytest.mark.parametrize(
    ("sigma", "batches", "epochs", "delta"),
    [(0.7, 20, 3, 0.02), (1.0, 50, 5, 0.01), (0.4, 10, 2, 0.05), (2.0, 5, 8, 0.02)],
)
def test_epsilon_agrees_with_monte_carlo(sigma: float, batches: int, epochs: int, delta: float) -> None:
    found = account(_run(sigma=sigma, batches=batches, epochs=epochs), delta)
    assert found.accountant == "balls-and-bins-amplified"
    drawn = privacy_balls_and_bins.losses(batches=batches, mu=1 / sigma, epochs=epochs, draws=40_000, seed=1)
    hits = privacy_monte_carlo.hits(drawn, found.epsilon.high, seed=2)
    assert lower_limit(successes=hits, trials=len(drawn), confidence=0.9999) <= delta, "an upper bound"
    hits = privacy_monte_carlo.hits(drawn, found.epsilon.high * 0.8, seed=3)
    assert lower_limit(successes=hits, trials=len(drawn), confidence=0.9999) > delta, (
        "not a loose one; the check can fail"
    )
    hits = privacy_monte_carlo.hits(drawn, found.epsilon.high, seed=4)
    assert upper_limit(successes=hits, trials=len(drawn), confidence=0.9999) >= delta * 0.95


def test_secret_bins_never_cost_more_than_revealed_ones() -> None:
    for sigma in (0.1, 0.2, 0.5, 1.0, 10.0):
        found = account(_run(sigma=sigma, batches=10, epochs=4), 1e-6).epsilon
        assert found.high <= gaussian.epsilon(mu=math.sqrt(4) / sigma, delta=1e-6).high
        assert 0 <= found.low <= found.high


def test_an_epoch_that_is_broken_off_counts_in_full() -> None:
    whole = _run(sigma=1.0, batches=10, epochs=3)
    broken = dataclasses.replace(whole, steps=21)
    assert account(broken, 1e-5).epsilon.high == account(whole, 1e-5).epsilon.high


@pytest.mark.slow
def test_calibrated_noise_is_within_one_percent_of_poissons_or_less() -> None:
    for epsilon in (1.0, 8.0, 150.0):
        budget, sigma = Budget(epsilon=epsilon, delta=1e-5), {}
        for sampling in ("poisson", "balls-and-bins"):
            run = calibrate(
                budget, sampling=sampling, sampling_rate=0.01, steps=1000, adjacency="zero-out", unit="image"
            )
            assert account(run, 1e-5).epsilon.high <= epsilon
            sigma[sampling] = run.noise_multiplier
        assert sigma["balls-and-bins"] < 1.01 * sigma["poisson"]
