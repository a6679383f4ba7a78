"""Every reference value, and agreement with another accountant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import account, calibrate

GOLDEN = json.loads((Path(__file__).parent / "golden" / "accounting.json").read_text())


def _mechanism(**changes: Any) -> Mechanism:
    fields = {
        "sampling": "poisson",
        "sampling_rate": 1.0,
        "noise_multiplier": 1.0,
        "steps": 1,
        "adjacency": "zero-out",
        "unit": "image",
    }
    return Mechanism(**{**fields, **changes})


def _calibrated(row: dict[str, Any], **changes: Any) -> Mechanism:
    arguments = {
        "sampling": "poisson",
        "sampling_rate": row.get("sampling_rate", 1.0),
        "steps": row["steps"],
        "adjacency": "zero-out",
        "unit": "image",
    }
    return calibrate(Budget(epsilon=row["epsilon"], delta=row["delta"]), **{**arguments, **changes})


@pytest.mark.parametrize("row", GOLDEN["gaussian"])
def test_gaussian_sigma_and_epsilon_match_to_nine_digits(row: dict[str, Any]) -> None:
    assert _calibrated(row).noise_multiplier == pytest.approx(row["sigma"], rel=1e-9)
    found = account(_mechanism(noise_multiplier=row["sigma"], steps=row["steps"]), row["delta"])
    assert found.epsilon.high == pytest.approx(row["epsilon"], rel=1e-9)
    assert found.epsilon.high >= row["epsilon"] * (1 - 1e-13)


@pytest.mark.parametrize("row", GOLDEN["participation_bound"])
def test_participation_sigma_matches_to_nine_digits_where_it_is_the_accountant(row: dict[str, Any]) -> None:
    from gatekeeper.privacy import participation

    mechanism = _mechanism(noise_multiplier=row["sigma"], steps=row["steps"], sampling_rate=row["sampling_rate"])
    assert participation.epsilon(mechanism, delta=row["delta"]).high == pytest.approx(row["epsilon"], rel=1e-9)
    assert account(mechanism, row["delta"]).epsilon.high <= row["epsilon"] * (1 + 1e-9)


@pytest.mark.parametrize("row", GOLDEN["pld_upper"])
def test_low_epsilon_sigma_matches_to_one_per_mille_and_is_safe(row: dict[str, Any]) -> None:
    found = _calibrated(row)
    assert account(found, row["delta"]).epsilon.high <= row["epsilon"]
    if row["steps"] < 10_000:
        assert found.noise_multiplier == pytest.approx(row["sigma"], rel=1e-3)
    else:
        # The reference's grid is too coarse for so many steps: a valid σ, but not the least.
        assert found.noise_multiplier < row["sigma"]


def test_where_the_reference_is_loose_a_finer_grid_of_another_accountant_agrees_with_ours() -> None:
    pytest.importorskip("dp_accounting")
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant

    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=5e-3)
    event = dp_event.PoissonSampledDpEvent(0.01, dp_event.GaussianDpEvent(0.233273))
    accountant.compose(dp_event.SelfComposedDpEvent(event, 10_000))
    ours = account(_mechanism(noise_multiplier=0.233273, sampling_rate=0.01, steps=10_000), 1e-5).epsilon
    assert accountant.get_epsilon(1e-5) == pytest.approx(ours.high, rel=1e-3)


@pytest.mark.parametrize("row", GOLDEN["pld_bracket"])
def test_the_interval_overlaps_an_independent_bracket_and_is_narrow(row: dict[str, Any]) -> None:
    mechanism = _mechanism(noise_multiplier=row["sigma"], steps=row["steps"], sampling_rate=row["sampling_rate"])
    found = account(mechanism, row["delta"]).epsilon
    assert found.low <= row["epsilon_high"]
    assert found.high >= row["epsilon_low"]
    assert found.high <= row["epsilon_high"] * (1 + 1e-4)
    assert found.high - found.low <= 0.01 * found.high


@pytest.mark.parametrize("row", GOLDEN["balls_and_bins"])
def test_balls_and_bins_match(row: dict[str, Any]) -> None:
    found = _calibrated({**row, "steps": row["epochs"] * 100}, sampling="balls-and-bins", sampling_rate=0.01)
    assert found.noise_multiplier == pytest.approx(row["sigma"], rel=1e-5)


def test_best_takes_the_smaller_noise() -> None:
    for epsilon, rate, steps, sampling in (
        (8.0, 0.01, 1000, "balls-and-bins"),
        (1e12, 0.01, 1000, "balls-and-bins"),
        (8.0, 0.5, 1, "poisson"),  # an epoch that is broken off counts in full
    ):
        row = {"epsilon": epsilon, "delta": 1e-5, "steps": steps, "sampling_rate": rate}
        found = _calibrated(row, sampling="best")
        assert found.sampling == sampling
        others = [_calibrated(row, sampling=name).noise_multiplier for name in ("poisson", "balls-and-bins")]
        assert found.noise_multiplier == min(others)


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(1.0, 0.01, 1000), (0.6, 0.02, 300), (3.0, 0.25, 200)])
def test_dp_accounting_agrees(sigma: float, rate: float, steps: int) -> None:
    pytest.importorskip("dp_accounting")
    from dp_accounting import dp_event
    from dp_accounting.pld import pld_privacy_accountant

    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-3)
    event = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(sigma))
    accountant.compose(dp_event.SelfComposedDpEvent(event, steps))
    theirs = accountant.get_epsilon(1e-5)
    ours = account(_mechanism(noise_multiplier=sigma, sampling_rate=rate, steps=steps), 1e-5).epsilon
    assert ours.low * 0.995 <= theirs <= ours.high * 1.02
    assert ours.high <= theirs * 1.001, "theirs is pessimistic by its grid; ours must not be worse"


def test_the_papers_setting_is_far_below_the_default_rdp_figure() -> None:
    mechanism = _mechanism(noise_multiplier=0.0663, sampling_rate=0.00307, steps=16250)
    assert 9.3e3 < account(mechanism, 8e-7).epsilon.high < 9.98e3
