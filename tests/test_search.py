"""Searches on an interval, against scipy.optimize's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from gatekeeper.privacy.search import crossing, least

CURVES = {
    "straight": lambda x: x,
    "flat there": lambda x: x**9,
    "steep": lambda x: math.expm1(40 * x),
    "a kink": lambda x: max(x, 1e-3 * x),
    "a jump": lambda x: 1.0 if x > 0 else -1.0,
    "infinite": lambda x: math.tan(math.pi * x) if abs(x) < 0.5 else math.copysign(math.inf, x),
}


@pytest.mark.parametrize("name", CURVES)
@given(at=st.floats(-3, 3), low=st.floats(0.01, 5), high=st.floats(0.01, 5), down=st.booleans())
def test_the_change_of_sign_is_bracketed_from_both_ends(
    name: str, at: float, low: float, high: float, down: bool
) -> None:
    curve, sign = CURVES[name], -1 if down else 1
    found = crossing(lambda x: sign * curve(x - at), at - low, at + high, absolute=1e-12)
    # x⁹ is nothing in float64 before x is.
    assert abs(found - at) <= (1e-2 if name == "flat there" else 5e-12)


@given(mean=st.floats(-5, 5), level=st.floats(0.02, 0.98))
def test_it_finds_what_brents_method_finds(mean: float, level: float) -> None:
    def curve(x: float) -> float:
        return 0.5 * math.erfc(x - mean) - level

    ours, theirs = crossing(curve, -20, 20), brentq(curve, -20, 20, xtol=1e-15, rtol=1e-14)
    assert math.isclose(ours, theirs, rel_tol=1e-13, abs_tol=1e-15)


@pytest.mark.parametrize("name", CURVES)
@given(at=st.floats(-3, 3), low=st.floats(0.01, 5), high=st.floats(0.01, 5))
def test_it_looks_where_brents_method_looks(name: str, at: float, low: float, high: float) -> None:
    """What has been evaluated decides how a grid is laid, and with it what older certificates say."""
    seen: list[float] = []

    def curve(x: float) -> float:
        seen.append(x)
        return CURVES[name](x - at)

    crossing(curve, at - low, at + high, absolute=1e-6, at_most=20)
    ours = seen.copy()
    seen.clear()
    brentq(curve, at - low, at + high, xtol=1e-6, rtol=1e-14, maxiter=20, disp=False)
    assert len(ours) == len(seen)
    assert all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) for one, other in zip(ours, seen, strict=True))


def test_smooth_curves_cost_few_evaluations_and_a_cap_is_kept() -> None:
    seen: list[float] = []

    def curve(x: float) -> float:
        seen.append(x)
        return math.exp(x) - 3

    crossing(curve, -10, 10)
    assert len(seen) < 20
    seen.clear()
    crossing(curve, -10, 10, at_most=3)
    assert len(seen) == 5


def test_ends_that_are_the_root_are_returned() -> None:
    assert crossing(lambda x: x, 0.0, 4.0) == 0
    assert crossing(lambda x: x - 4, 0.0, 4.0) == 4


@pytest.mark.parametrize("curve", [lambda x: x * x + 1, lambda x: -1.0, lambda x: math.nan])
def test_without_a_change_of_sign_there_is_no_answer(curve) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ArithmeticError, match="no change of sign"):
        crossing(curve, -1.0, 1.0)


def test_what_is_not_found_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArithmeticError, match="no number"):
        crossing(lambda x: math.nan if abs(x) < 1 else x, -3.0, 4.0)
    monkeypatch.setattr("gatekeeper.privacy.search._MOST", 3)
    with pytest.raises(ArithmeticError, match="no change of sign found"):
        crossing(lambda x: math.exp(x) - 3, -10.0, 10.0)


@given(at=st.floats(-2, 2), tilt=st.floats(0.1, 10))
def test_the_least_value_is_where_brents_method_finds_it(at: float, tilt: float) -> None:
    """Step by step the same: what older certificates say comes out again."""

    def valley(x: float) -> float:
        return math.exp(x - at) + math.exp(tilt * (at - x))

    ours = least(valley, -4.0, 5.0, tolerance=1e-3)
    theirs = minimize_scalar(valley, bounds=(-4.0, 5.0), method="bounded", options={"xatol": 1e-3})
    assert ours.value == valley(ours.at)
    assert math.isclose(ours.at, float(theirs.x), rel_tol=1e-9, abs_tol=1e-9)


@given(at=st.floats(-2, 2), power=st.sampled_from([1.0, 1.5, 2.0]), tilt=st.floats(0.1, 10))
def test_a_valley_with_a_kink_is_found_too(at: float, power: float, tilt: float) -> None:
    found = least(lambda x: (tilt if x > at else 1.0) * abs(x - at) ** power + 3, -4.0, 5.0, tolerance=1e-3)
    assert abs(found.at - at) <= 1e-3


@pytest.mark.parametrize("falls", [False, True])
def test_a_valley_at_an_end_is_found(falls: bool) -> None:
    found = least(lambda x: -x if falls else x, 1.0, 2.0, tolerance=1e-9)
    assert math.isclose(found.at, 2.0 if falls else 1.0, rel_tol=1e-7)


def test_infinite_values_are_walked_away_from() -> None:
    found = least(lambda x: math.inf if x > 1 else (x + 1) ** 2, -4.0, 5.0, tolerance=1e-6)
    assert abs(found.at + 1) < 1e-5
