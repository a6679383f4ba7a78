"""How many steps, and how much noise for a likeness."""

from __future__ import annotations

import dataclasses
import math

import pytest

from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError
from gatekeeper.privacy import account, most_steps, noise_for_ncc


@pytest.mark.parametrize(
    ("sampling", "rate", "sigma", "epsilon"),
    [
        ("poisson", 0.01, 1.0, 2.0),
        ("poisson", 0.001, 0.7, 1.0),
        ("poisson", 0.01, 0.01, 1e6),
        ("poisson", 1.0, 10.0, 5.0),
        ("balls-and-bins", 0.01, 0.6, 8.0),
        ("balls-and-bins", 0.1, 1e-3, 1e8),
    ],
)
def test_the_last_step_fits_and_one_more_does_not(sampling: str, rate: float, sigma: float, epsilon: float) -> None:
    found = most_steps(
        Budget(epsilon=epsilon, delta=1e-5),
        sampling=sampling,
        sampling_rate=rate,
        noise_multiplier=sigma,
        adjacency="zero-out",
        unit="image",
    )
    run = Mechanism(
        sampling=sampling,
        sampling_rate=rate,
        noise_multiplier=sigma,
        steps=found,
        adjacency="zero-out",
        unit="image",
    )
    more = run.batches_per_epoch if sampling == "balls-and-bins" else 1
    assert found > 0
    assert found % more == 0
    assert account(run, 1e-5).epsilon.high <= epsilon
    assert account(dataclasses.replace(run, steps=found + more), 1e-5).epsilon.high > epsilon


def test_no_step_fits_into_a_tiny_budget() -> None:
    budget = Budget(epsilon=1.0, delta=1e-5)
    arguments = {"noise_multiplier": 0.01, "adjacency": "zero-out", "unit": "image"}
    assert most_steps(budget, sampling="poisson", sampling_rate=0.1, **arguments) == 0
    assert most_steps(budget, sampling="balls-and-bins", sampling_rate=0.1, **arguments) == 0


def test_the_slack_of_the_sensitivity_costs_steps() -> None:
    budget = Budget(epsilon=5.0, delta=1e-5)
    arguments = {"sampling": "poisson", "sampling_rate": 1.0, "adjacency": "zero-out", "unit": "image"}
    slack = most_steps(budget, noise_multiplier=15.0, sensitivity_slack=0.5, **arguments)
    assert slack == most_steps(budget, noise_multiplier=10.0, **arguments)


@pytest.mark.parametrize(
    ("pixels", "sees", "sigma"), [(784, 1, 0.175), (784, 50, 1.24), (12_288, 1, 0.044), (150_528, 50, 0.089)]
)
def test_noise_for_a_likeness_matches_the_published_table(pixels: int, sees: int, sigma: float) -> None:
    found = noise_for_ncc(0.2, pixels=pixels, participations=sees)
    assert found == pytest.approx(sigma, rel=0.01)
    assert 1 / math.sqrt(1 + pixels * found**2 / sees) <= 0.2


@pytest.mark.parametrize("target", [0.0, 1.0, -0.5, math.nan])
def test_a_likeness_outside_its_range_is_refused(target: float) -> None:
    with pytest.raises(InvalidValueError):
        noise_for_ncc(target, pixels=784, participations=1)
