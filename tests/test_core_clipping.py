"""Adaptive clipping's sum and count are one Gaussian mechanism, of the noise multiplier that is accounted for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from gatekeeper.core.clipping import Adaptation, check_clipping, split_noise
from gatekeeper.errors import InvalidValueError

multipliers = st.floats(-6, 4).map(lambda exponent: 10.0**exponent)


def joint_delta(epsilon: float, *, sum_noise: float, count_noise: float) -> float:
    """δ of the pair by summing over a plane: the densities where one unit moves the sum by 1 and the count by ½."""
    sides = [np.linspace(-9 * deviation, 9 * deviation + 1, 3001) for deviation in (sum_noise, count_noise)]

    def log_density(*, sum_shift: float, count_shift: float) -> np.ndarray:
        return (
            norm.logpdf(sides[0], sum_shift, sum_noise)[:, None]
            + norm.logpdf(sides[1], count_shift, count_noise)[None, :]
        )

    one, other = log_density(sum_shift=1, count_shift=0.5), log_density(sum_shift=0, count_shift=0)
    excess = np.clip(np.exp(one) - math.exp(epsilon) * np.exp(other), 0, None)
    return float(excess.sum() * (sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0]))


def gaussian_delta(epsilon: float, sigma: float) -> float:
    """Balle and Wang 2018, theorem 8."""
    mu = 1 / sigma
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
def test_the_pair_spends_what_one_gaussian_sum_of_sigma_spends(sigma: float, epsilon: float) -> None:
    noise = split_noise(sigma, expected_batch=4)
    joint = joint_delta(epsilon, sum_noise=noise.sum, count_noise=noise.count)
    assert joint == pytest.approx(gaussian_delta(epsilon, sigma), rel=2e-3, abs=1e-7)


def test_a_count_that_is_not_paid_for_is_noticed() -> None:
    noise = split_noise(1.0, expected_batch=4)
    unpaid = joint_delta(0.5, sum_noise=1.0, count_noise=noise.count)
    assert unpaid > 1.02 * gaussian_delta(0.5, 1.0)


@given(sigma=multipliers, batch=st.integers(1, 10**5))
def test_the_split_never_spends_more_and_costs_little(sigma: float, batch: int) -> None:
    noise = split_noise(sigma, expected_batch=batch)
    spent = math.hypot(1 / noise.sum, 1 / (2 * noise.count))
    assert spent <= 1 / sigma * (1 + 1e-15)
    assert spent >= 1 / sigma * (1 - 1e-14)
    assert sigma < noise.sum < 1.033 * sigma
    assert noise.count >= batch / 20.0000001


@pytest.mark.parametrize(("rule", "norm"), [("flat", 0.0), ("flat", math.nan), ("adaptive", 2.0), ("automatic", 0.5)])
def test_a_norm_that_the_rule_does_not_take_is_refused(rule: str, norm: float) -> None:
    with pytest.raises(InvalidValueError, match="norm"):
        check_clipping(rule, norm=norm)
    check_clipping(rule, norm=1.0)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="clipping must be one of flat, adaptive, automatic"):
        check_clipping("ghost", norm=1.0)


@pytest.mark.parametrize(("norm", "share"), [(0.0, 0.5), (2000.0, 0.5), (1e-4, 0.5), (1.0, 1.1), (1.0, math.nan)])
def test_an_adaptation_that_cannot_be_is_refused(norm: float, share: float) -> None:
    with pytest.raises(InvalidValueError):
        Adaptation(last_norm=norm, clipped_share=share)
