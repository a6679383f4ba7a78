"""What the engine's bounds rest on: summation in pairs, γ, factors rounded down, limits of norms, totals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gatekeeper.errors import InvalidValueError
from gatekeeper.training.clipping.clip import Clip, Rule, round_down
from gatekeeper.training.clipping.norms import squared_norms
from gatekeeper.training.clipping.rounding import BLOCK, LENGTHENED, SLACK, Summation, exposures, gamma, summation
from gatekeeper.training.clipping.shares import in_pairs
from gatekeeper.training.clipping.totals import Totals
from gatekeeper.training.grid import Grid
from tests.reference import dp_sgd_step

U = Fraction(1, 2**24)
SIZES = [1 << power for power in range(BLOCK.bit_length())]

summations = st.builds(Summation, units=st.sampled_from(SIZES), terms=st.integers(1, 1000))


@given(st.integers(0, 2**20))
def test_gamma_bounds_n_roundings(roundings: int) -> None:
    error = roundings * U
    assert Fraction(gamma(roundings)) >= error
    assert Fraction(gamma(roundings)) == pytest.approx(float(error / (1 - error)), rel=1e-12)


@pytest.mark.parametrize("roundings", [-1, 2**23, 2**30])
def test_senseless_roundings_are_refused(roundings: int) -> None:
    with pytest.raises((ValueError, InvalidValueError)):
        gamma(roundings)


@pytest.mark.parametrize("units", range(1, BLOCK + 1))
@pytest.mark.parametrize("at_once", SIZES)
def test_pairs_are_as_deep_as_is_said_and_miss_nothing(units: int, at_once: int) -> None:
    """Each partial sum is a tensor with one entry a unit: how often that unit's products are added to others."""
    seen: list[slice] = []

    def partial(few: slice) -> Tensor:
        seen.append(few)
        return _Counted.of(few)

    found = in_pairs(units, at_once, partial)
    assert isinstance(found, _Counted)
    assert [slot for few in seen for slot in range(few.start, min(few.stop, units))] == list(range(units))
    assert all(few.start % at_once == 0 and few.stop - few.start <= at_once for few in seen)
    assert found.depth <= Summation(units=at_once, terms=1).additions
    if units == BLOCK:
        assert found.depth == Summation(units=at_once, terms=1).additions


class _Counted(Tensor):
    """Counts the additions on the longest way from a leaf."""

    depth: int

    @classmethod
    def of(cls, few: slice) -> _Counted:
        made = torch.zeros(1).as_subclass(cls)
        made.depth = 0
        return made

    def add_(self, other: _Counted) -> _Counted:  # type: ignore[override]
        self.depth = 1 + max(self.depth, other.depth)
        return self


@given(summations)
def test_the_influence_is_what_was_proven(way: Summation) -> None:
    """(2b − 1)γ_d, and for each addition on the way up both worlds' rounding of what it brings together."""
    b, d, a = way.units, way.units * way.terms + 1, int(math.log2(BLOCK // way.units))
    assert (way.roundings, way.additions) == (d, a)
    nodes = sum(b * 2**level for level in range(1, a + 1))
    expected = (2 * b - 1) * gamma(d) + 2 * nodes * gamma(1) * (1 + gamma(d + a))
    assert way.influence == pytest.approx(expected, rel=1e-12)
    assert SLACK / way.influence < LENGTHENED


@given(terms=st.integers(1, 10**6))
def test_sub_batches_hold_a_power_of_two_of_units_and_disturb_little(terms: int) -> None:
    way = summation(terms=terms)
    assert way.units in SIZES
    assert way.units == 1 or way.units**2 * terms <= 1024
    assert 4 * way.units**2 * terms > 1024 or way.units == 16
    assert way.units == 1 or way.influence < SLACK / 6


@pytest.mark.parametrize(("units", "terms"), [(16, 1), (4, 49), (1, 200), (64, 1), (8, 8)])
def test_no_order_of_additions_disturbs_a_sum_by_more_than_its_influence(units: int, terms: int) -> None:
    """Products of norm 1 that nearly cancel, blanked one after the other, against sums in float64."""
    way = Summation(units=units, terms=terms)
    generator = torch.Generator().manual_seed(0)
    products = torch.randn((BLOCK, terms), generator=generator)
    products[:, 1::2] = -products[:, : terms // 2 * 2 : 2] if terms > 1 else products[:, 1::2]
    products = (products / products.abs().sum(1, keepdim=True)).float()

    def total(rows: Tensor) -> float:
        def partial(few: slice) -> Tensor:
            added = np.float32(0)
            for value in rows[few].flatten().numpy():
                added = np.float32(added + value)
            return torch.tensor(added)

        return float(in_pairs(BLOCK, units, partial))

    together = total(products)
    for unit in range(0, BLOCK, 7):
        without = products.clone()
        without[unit] = 0
        excess = together - total(without) - float(products[unit].double().sum())
        assert abs(excess) <= way.influence


@given(st.lists(st.tuples(summations, st.floats(0, 1e6)), min_size=1, max_size=5, unique_by=lambda pair: pair[0]))
def test_exposures_bound_ways_that_different_units_disturb_most(pairs: list[tuple[Summation, float]]) -> None:
    """Each unit has products in one way only: what can be disturbed in all ways together is their root of squares."""
    ways = [way for way, _ in pairs]
    products = torch.diag(torch.tensor([size for _, size in pairs], dtype=torch.float64))
    found = exposures(dict(zip(ways, products, strict=True)))
    worst = math.hypot(*(way.influence * size for way, size in pairs))
    assert worst <= float(found.max()) * (1 + 1e-12)


positive = st.floats(0, allow_infinity=False, allow_nan=False)


@given(st.lists(positive, min_size=1, max_size=5))
def test_rounding_down_never_exceeds_and_is_the_nearest_below(values: list[float]) -> None:
    exact = torch.tensor(values, dtype=torch.float64)
    found = round_down(exact)
    assert found.dtype == torch.float32
    assert (found.double() <= exact).all()
    above = torch.nextafter(found, torch.full_like(found, math.inf)).double()
    assert (above > exact).all()


@given(norm=st.floats(2.0**-54, 1e30), exposure=st.floats(1e-30, 1e30), radius=st.floats(1e-9, 1e9))
@pytest.mark.parametrize("rule", ["flat", "automatic"])
def test_factors_keep_norm_and_exposure_within_their_limits(
    rule: Rule, norm: float, exposure: float, radius: float
) -> None:
    clip = Clip(radius=radius, exposure=SLACK * radius, rule=rule)
    norms, exposed = torch.tensor([[norm], [exposure]], dtype=torch.float64)
    (factor,) = clip.factors(norms, exposed).tolist()
    assert Fraction(factor) * Fraction(norm) <= Fraction(radius) * (1 + Fraction(1, 2**50))
    assert Fraction(factor) * Fraction(exposure) <= Fraction(SLACK * radius) * (1 + Fraction(1, 2**50))
    assert factor <= 1 or rule == "automatic"


def test_a_zero_gradient_is_left_alone() -> None:
    clip = Clip(radius=1.0, exposure=1.0)
    norms = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    assert clip.factors(norms, torch.zeros(3, dtype=torch.float64)).tolist() == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("entries", [1, 127, 128, 129, 1000, 4096])
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e15])
def test_limits_of_norms_are_never_below_nor_far_above(entries: int, scale: float) -> None:
    rows = torch.randn((4, entries), generator=torch.Generator().manual_seed(0)) * scale
    truth = rows.double().square().sum(1)
    found = squared_norms(rows)
    assert (found >= truth).all()
    assert (found <= truth * (1 + 1e-5) ** 2 + 2.0**-107).all()


GRID = Grid(step=2.0**-30, radius=1.0, noise_scale=2.0**20)


@pytest.mark.parametrize("count", [1, 7, (1 << 15) + 3])
def test_totals_round_to_the_grid_as_whole_numbers_do(count: int) -> None:
    """Ties, both signs, and sums as large as are promised."""
    generator = torch.Generator().manual_seed(0)
    halves = torch.randint(-9, 9, (count,), generator=generator) / 2 * GRID.step
    spread = torch.randn(count, generator=generator) * torch.logspace(-12, 5, count)
    largest = torch.full((count,), 2.0**50 * GRID.step) * torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0)
    parameter = torch.zeros(count)
    totals = Totals([parameter])
    expected = np.zeros(count, dtype=object)
    for block in (halves, spread, largest, -spread):
        totals.add(parameter, block.float(), grid=GRID)
        expected += np.array(dp_sgd_step.rounded(block.float().tolist(), grid=GRID), dtype=object)
        assert totals.of(parameter).tolist() == expected.tolist()
    totals.clear()
    assert int(totals.of(parameter).abs().max()) == 0


def test_totals_of_parameters_are_kept_apart() -> None:
    first, second = torch.zeros(2, 3), torch.zeros(4)
    totals = Totals([first, second])
    totals.add(second, torch.ones(4), grid=GRID)
    assert totals.of(first).shape == (2, 3)
    assert int(totals.of(first).abs().sum()) == 0
    assert totals.of(second).tolist() == [2**30] * 4
