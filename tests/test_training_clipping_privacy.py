"""One unit changes a clipped sum by at most C: measured exactly, over random layers, shapes, units, views and ways."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gatekeeper.training.clipping import engine as engine_module
from gatekeeper.training.clipping import rows, shares
from gatekeeper.training.clipping.clip import Clip
from gatekeeper.training.clipping.rounding import SLACK, Summation
from tests.blanking import Change, changes, setting

FEW, MANY = 150, 1000


def _worst(seeds: Iterable[int]) -> tuple[float, float]:
    """The largest change, as a share of C, and the largest excess, as a share of r."""
    found = [change for seed in seeds for change in changes(setting(seed))]
    assert found
    return max(_share(change) for change in found), max(change.excess for change in found)


def _share(change: Change) -> float:
    return (change.steps_squared / change.limit_squared) ** 0.5


def _check(seeds: Iterable[int]) -> None:
    changed, excess = _worst(seeds)
    print(f"largest change {changed:.6f} C; largest excess {excess / SLACK:.2g} η")
    assert changed <= 1, f"one unit changed the sum by {changed} C"
    assert changed > 0.998, "the clip binds in some cases, so that the limit was put to the test"
    assert excess < SLACK < 1e-3, f"the excess was {excess / SLACK:.3g} of what was allowed"


def test_one_unit_changes_the_sum_by_at_most_c() -> None:
    _check(range(FEW))


@pytest.mark.slow
def test_one_unit_changes_the_sum_by_at_most_c_in_a_thousand_cases() -> None:
    _check(range(FEW, FEW + MANY))


def _drop_margins_of_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that cancel have a norm that Gram matrices can't tell from nothing; the margin is what clips them."""
    monkeypatch.setattr(rows, "gamma", lambda roundings: 0.0)


def test_exposures_alone_keep_rounding_within_its_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    _drop_margins_of_norms(monkeypatch)
    assert _worst(range(FEW))[1] < SLACK


def test_without_them_rounding_exceeds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _drop_margins_of_norms(monkeypatch)
    monkeypatch.setattr(Summation, "influence", property(lambda self: 1e-30))
    assert _worst(range(FEW))[1] > SLACK


def test_sums_that_round_more_than_was_proven_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shares, rows):
        exact = module.in_pairs
        monkeypatch.setattr(module, "in_pairs", lambda *args, exact=exact: exact(*args).bfloat16().float())
    assert _worst(range(20))[1] > SLACK


def test_norms_one_percent_too_small_would_exceed_c(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = Clip.factors
    monkeypatch.setattr(
        engine_module.Clip, "factors", lambda self, norms, exposures: factors(self, 0.99 * norms, exposures)
    )
    assert _worst(range(20))[0] > 1
