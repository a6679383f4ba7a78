"""The grid dominates, the convolution keeps to its own error bound, and grids agree."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy.special import ndtr

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import account, participation, pld
from gatekeeper.privacy.convolution import convolve
from gatekeeper.privacy.folded import Folded
from gatekeeper.privacy.losses import Direction, OneStep, Subsampled, grid_loss
from gatekeeper.privacy.tilting import Repeated, tilt

PARAMETERS = ((0.1, 1.0), (0.5, 0.3), (1e-3, 0.7))
STEPS = [
    Subsampled(rate=rate, sigma=sigma, direction=direction)
    for rate, sigma in PARAMETERS
    for direction in ("remove", "add")
] + [Folded(rate=rate, sigma=sigma) for rate, sigma in (*PARAMETERS, (1.0, 0.9))]


def _exact_delta(step: OneStep, epsilon: float) -> float:
    """P(A) − e^ε Q(A) on the outputs A whose loss exceeds ε."""
    edge = float(step.output(np.array([epsilon]))[0])
    if isinstance(step, Folded):
        without = 2 * ndtr(-edge / step.sigma)
        moved = ndtr((1 - edge) / step.sigma) + ndtr((-1 - edge) / step.sigma)
        return (1 - step.rate) * without + step.rate * moved - math.exp(epsilon) * without
    base, moved = ndtr(-edge / step.sigma), ndtr((1 - edge) / step.sigma)
    if step.direction == "add":
        base, moved = ndtr(edge / step.sigma), ndtr((edge - 1) / step.sigma)
    mixed = (1 - step.rate) * base + step.rate * moved
    return mixed - math.exp(epsilon) * base if step.direction == "remove" else base - math.exp(epsilon) * mixed


def _grid_delta(step: OneStep, epsilon: float, width: float) -> float:
    loss = grid_loss(step, width=width, tail=1e-20)
    beyond = loss.losses > epsilon
    return float((np.exp(loss.log_masses[beyond]) * -np.expm1(epsilon - loss.losses[beyond])).sum()) + loss.infinite


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("width", [1e-4, 0.01, 0.3])
def test_the_grid_dominates_the_loss_and_touches_it_at_grid_points(step: OneStep, width: float) -> None:
    for index in (0, 1, 3, 10):
        exact = max(0.0, _exact_delta(step, index * width))
        assert _grid_delta(step, index * width, width) == pytest.approx(exact, rel=1e-7, abs=1e-11)
        between = max(0.0, _exact_delta(step, (index + 0.5) * width))
        assert _grid_delta(step, (index + 0.5) * width, width) >= between * (1 - 1e-9) - 1e-15


@pytest.mark.parametrize("step", STEPS)
def test_the_grid_keeps_the_mass_under_both_distributions(step: OneStep) -> None:
    loss = grid_loss(step, width=0.01, tail=1e-20)
    masses = np.exp(loss.log_masses)
    assert masses.sum() + loss.infinite == pytest.approx(1, abs=1e-9)
    assert (masses * np.exp(-loss.losses)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("direction", ["remove", "add"])
@pytest.mark.parametrize("delta", [1e-3, 1e-12])
def test_the_transform_errs_by_less_than_it_says(direction: Direction, delta: float) -> None:
    steps = 9
    loss = grid_loss(Subsampled(rate=0.2, sigma=0.8, direction=direction), width=0.02, tail=1e-20)
    tilted = tilt([Repeated(loss=loss, times=steps)], delta=delta)
    direct = np.ones(1)
    for _ in range(steps):
        direct = np.convolve(direct, tilted.masses[0])
    low = steps * int(loss.indices[0])
    found = convolve(tilted, low, 1 << len(direct).bit_length())
    assert np.linalg.norm(found.masses[: len(direct)] - direct) <= found.error
    assert found.error < 1e-11


@pytest.mark.parametrize("delta", [1e-3, 1e-9, 1e-40, 1e-200])
@pytest.mark.parametrize("mechanism", [(0.01, 0.8, 400), (0.3, 3.0, 50), (1e-3, 0.5, 3000)])
def test_the_ends_of_different_grids_never_contradict_each_other(
    mechanism: tuple[float, float, int], delta: float
) -> None:
    rate, sigma, steps = mechanism
    run = Mechanism(
        sampling="poisson", sampling_rate=rate, noise_multiplier=sigma, steps=steps, adjacency="zero-out", unit="image"
    )
    pattern = participation.epsilon(run, delta=delta)
    results = [pattern, *(pld.epsilon(run, delta=delta, scale=pattern.high * factor) for factor in (1, 7, 300))]
    assert max(found.low for found in results) <= min(found.high for found in results)


def test_a_delta_of_exactly_the_chance_to_take_part_gives_a_number() -> None:
    run = Mechanism(
        sampling="poisson", sampling_rate=0.1, noise_multiplier=1e-9, steps=1, adjacency="zero-out", unit="image"
    )
    found = account(run, 0.1).epsilon
    assert 0 <= found.low <= found.high < math.inf


@pytest.mark.parametrize("rate", [1e-9, 0.01, 1.0])
@pytest.mark.parametrize("sigma", [0.03, 0.5, 3.0, 1e4, 1e9])
def test_the_folded_loss_is_inverted_and_never_cancels(rate: float, sigma: float) -> None:
    step = Folded(rate=rate, sigma=sigma)
    points = sigma * np.geomspace(1e-3, 30, 60) + np.linspace(0, 1, 60)
    losses = np.array([step.loss(x) for x in points])
    with mp.workdps(60):
        ratios = [mp.exp(-1 / (2 * mp.mpf(sigma) ** 2)) * mp.cosh(mp.mpf(x) / mp.mpf(sigma) ** 2) for x in points]
        exact = [float(mp.log(1 - mp.mpf(rate) + mp.mpf(rate) * ratio)) for ratio in ratios]
    np.testing.assert_allclose(losses, exact, rtol=1e-9, atol=4e-16 * rate / sigma**2)
    back = np.array([step.loss(x) for x in step.output(losses)])
    np.testing.assert_allclose(back, losses, rtol=1e-9, atol=4e-16 * rate / sigma**2)
    assert step.output(np.array([step.loss(0.0) - 1]))[0] == 0
    assert all(step.loss(-x) == step.loss(x) for x in points)
