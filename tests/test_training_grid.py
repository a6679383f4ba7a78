from __future__ import annotations

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import InvalidValueError, PrivacyError
from gatekeeper.training.clipping.rounding import BLOCK, LENGTHENED, SLACK
from gatekeeper.training.exact_normal import LARGEST_SCALE
from gatekeeper.training.grid import Grid, choose_grid


def _grid(sigma: float, norm: float = 1.0, *, units: int = 1000, parameters: int = 10**5) -> Grid:
    return choose_grid(noise_multiplier=sigma, clipping_norm=norm, units=units, block=BLOCK, parameters=parameters)


def _log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


@given(
    sigma=_log_uniform(-6, 12),
    norm=_log_uniform(-8.9, 8.9),
    units=st.integers(1, 10**6),
    parameters=st.integers(1, 10**8),
)
def test_a_grid_keeps_what_the_proof_needs(sigma: float, norm: float, units: int, parameters: int) -> None:
    grid = _grid(sigma, norm, units=units, parameters=parameters)
    step, scale = Fraction(grid.step), Fraction(grid.noise_scale)
    assert math.frexp(grid.step)[0] == 0.5, "a power of two"
    assert grid.step == 2.0**grid.exponent
    assert scale * step >= Fraction(sigma) * Fraction(norm), "never less noise than was accounted for"
    assert scale * step <= Fraction(sigma) * Fraction(norm) * Fraction(1 + 4 * sys.float_info.epsilon)
    assert 2**10 <= grid.noise_scale <= LARGEST_SCALE
    longest = LENGTHENED * Fraction(norm) / step
    assert units * longest + 16 * scale <= 2**62, "no sum overflows"
    assert BLOCK * longest <= 2**50, "no block leaves the numbers that float64 rounds to whole steps"
    assert Fraction(grid.anchor) == 3 * 2**51 * step
    # Two roundings, of a block and of what a layer does to its sum, with the unit and without it.
    moved = 4 * Fraction(math.sqrt(parameters)) * step / 2
    changed = Fraction(grid.radius) * (1 + Fraction(SLACK)) + moved
    assert changed <= Fraction(norm) * (1 - Fraction(9, 10**7)), "what one unit changes stays within C"


@given(sigma=_log_uniform(-4.5, 6), parameters=st.integers(1, 10**7))
def test_an_ordinary_grid_is_the_coarsest_that_costs_nothing(sigma: float, parameters: int) -> None:
    grid = _grid(sigma, 0.7, parameters=parameters)
    wanted = min(sigma * 0.7 / 2**20, 0.7 / 2**12 / math.sqrt(parameters))
    assert grid.step <= wanted * (1 + 1e-15)
    assert 2 * grid.step > wanted
    assert grid.radius > 0.7 * (1 - 2.0**-11 - 2e-6) / (1 + SLACK)


def test_the_slack_of_rounding_is_below_a_thousandth() -> None:
    assert 0 < SLACK < 1e-3


def test_small_noise_is_refused_with_the_least_that_can_be_carried() -> None:
    with pytest.raises(PrivacyError, match=r"σ = 1e-14 at C = 0\.5 .*1000 gradients needs a grid of") as caught:
        _grid(1e-14, 0.5)
    assert caught.value.hint is not None
    least = float(caught.value.hint.split()[-1])
    assert _grid(least, 0.5).noise_scale >= 2**10
    with pytest.raises(PrivacyError):
        _grid(0.97 * least, 0.5)


def test_more_units_need_more_noise() -> None:
    assert _grid(3e-8, units=100).noise_scale >= 2**10
    with pytest.raises(PrivacyError, match="1000000000 gradients"):
        _grid(3e-8, units=10**9)


def test_larger_blocks_need_more_noise() -> None:
    def grid(block: int) -> Grid:
        return choose_grid(noise_multiplier=3e-8, clipping_norm=1.0, units=block, block=block, parameters=10)

    assert grid(BLOCK).noise_scale >= 2**10
    with pytest.raises(PrivacyError):
        grid(BLOCK * 64)


def test_the_largest_noise_has_a_grid_that_still_resolves_c() -> None:
    grid = _grid(1e12, parameters=10**8)
    assert grid.noise_scale * 16 < 2**62
    assert grid.radius > 0.9


@pytest.mark.parametrize("norm", [5e-324, 1e-300, 0.99e-9, 1.01e9, 1e300, 1.7e308])
@pytest.mark.parametrize("sigma", [1e-6, 1.0, 1e12])
def test_a_clipping_norm_that_float32_would_not_bear_is_refused_with_a_reason(norm: float, sigma: float) -> None:
    with pytest.raises(PrivacyError, match="gradients are float32") as caught:
        _grid(sigma, norm)
    assert caught.value.hint == "use a C between 1e-09 and 1e+09"


@pytest.mark.parametrize("norm", [1e-9, 1e9])
def test_the_least_and_the_largest_clipping_norm_are_taken(norm: float) -> None:
    assert _grid(1.0, norm).radius > norm * (1 - 2 * SLACK)


def test_a_network_too_large_for_the_noises_grid_is_refused() -> None:
    with pytest.raises(PrivacyError, match="too coarse for gradients of"):
        _grid(1e12, parameters=10**13)


@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (1.0, math.inf)])
def test_senseless_values_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(InvalidValueError):
        _grid(*values)
