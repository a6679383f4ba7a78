"""The loss from below is below, is tight, and both ends enclose the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import account, gaussian, pld
from gatekeeper.privacy.gaussian_step import GaussianStep
from gatekeeper.privacy.losses import Subsampled
from gatekeeper.privacy.minorant import minorant
from gatekeeper.privacy.sources import Steps

STEPS = [
    Subsampled(rate=rate, sigma=sigma, direction=direction)
    for rate, sigma in ((0.1, 1.0), (0.5, 0.3), (1e-3, 0.7), (1e-5, 0.3), (0.9, 5.0))
    for direction in ("remove", "add")
]


def _exact_delta(step: Subsampled, epsilon: float) -> float:
    """P(A) − e^ε Q(A) on the outputs A whose loss exceeds ε."""
    edge = float(step.output(np.array([epsilon]))[0])
    base, moved = ndtr(-edge / step.sigma), ndtr((1 - edge) / step.sigma)
    if step.direction == "add":
        base, moved = ndtr(edge / step.sigma), ndtr((edge - 1) / step.sigma)
    mixed = (1 - step.rate) * base + step.rate * moved
    return mixed - math.exp(epsilon) * base if step.direction == "remove" else base - math.exp(epsilon) * mixed


def _below(step: Subsampled, epsilon: float, width: float, precision: float) -> float:
    found = minorant(step, width=width, tail=1e-20, precision=precision)
    losses = found.loss.losses + found.origin
    beyond = losses > epsilon
    return float((np.exp(found.loss.log_masses[beyond]) * -np.expm1(epsilon - losses[beyond])).sum())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("width", [1e-3, 0.02, 0.3])
@pytest.mark.parametrize("precision", [1e-12, 1.0])
def test_one_step_from_below_never_exceeds_the_truth(step: Subsampled, width: float, precision: float) -> None:
    for epsilon in (-0.05, 0.0, 0.3 * width, width, 1.7 * width, 0.1, 0.5, 1.0, 2.3):
        exact = max(0.0, _exact_delta(step, epsilon), -math.expm1(epsilon))
        assert _below(step, epsilon, width, precision) <= exact * (1 + 1e-9) + 1e-13


@pytest.mark.parametrize("step", STEPS[:4])
def test_one_step_from_below_is_tight_to_second_order(step: Subsampled) -> None:
    gaps = []
    for width in (0.04, 0.02, 0.01):
        gaps.append(max(_exact_delta(step, epsilon) - _below(step, epsilon, width, 1e-12) for epsilon in (0.015, 0.05)))
    assert gaps[2] < gaps[0] / 6, "halving the width twice divides the gap by about 16"


def test_the_check_can_fail_for_a_loss_from_above() -> None:
    step, width = STEPS[0], 0.3
    above = Steps(step=step, times=1).above(width, 1e-20).loss
    beyond = above.losses > 0.15
    found = float((np.exp(above.log_masses[beyond]) * -np.expm1(0.15 - above.losses[beyond])).sum())
    assert found > _exact_delta(step, 0.15) * (1 + 1e-3)


@pytest.mark.parametrize("mu", [0.05, 0.7, 3.0])
@pytest.mark.parametrize("times", [1, 4, 900])
@pytest.mark.parametrize("delta", [1e-2, 1e-6, 1e-11])
def test_gaussian_steps_added_enclose_the_closed_form(mu: float, times: int, delta: float) -> None:
    exact = gaussian.epsilon(mu=mu * math.sqrt(times), delta=delta)
    found = pld.interval(
        lambda _: [Steps(step=GaussianStep(mu=mu), times=times)], delta=delta, scale=1.3 * exact.high + 0.1
    )
    assert found.low <= exact.high
    assert found.high >= exact.low
    assert found.high - found.low <= 0.004 * found.high + 1e-3


@pytest.mark.parametrize(
    ("rate", "sigma", "steps", "delta"),
    [
        (0.01, 1.0, 1000, 1e-5),
        (0.01, 0.3828, 1000, 1e-5),
        (1e-3, 1.0, 10**5, 1e-5),
        (1e-4, 0.5, 10**6, 1e-8),
        (1e-6, 0.3, 10**6, 1e-8),
        (0.01, 5.0, 10**6, 1e-5),
        pytest.param(1e-4, 1.0, 10**7, 1e-5, marks=pytest.mark.slow),
        pytest.param(0.5, 1000.0, 10**7, 1e-5, marks=pytest.mark.slow),
    ],
)
def test_intervals_are_narrow_however_many_the_steps(rate: float, sigma: float, steps: int, delta: float) -> None:
    run = Mechanism(
        sampling="poisson", sampling_rate=rate, noise_multiplier=sigma, steps=steps, adjacency="zero-out", unit="image"
    )
    found = account(run, delta).epsilon
    assert found.high - found.low <= 0.005 * found.high
