from __future__ import annotations

import dataclasses

import pytest

from gatekeeper.core.identification import Identification
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.pipeline.matching import CANDIDATES, audit_mechanism, match_candidates
from gatekeeper.privacy import identification_power
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

RECIPE = dataclasses.replace(tiny_candidate(), model=ModelSpec(network="mlp", width=4))


def matched(*, units: int, **options: object) -> tuple[Identification, ...]:
    data = tiny_units(units=units)
    return match_candidates(
        candidate=RECIPE, plan=tiny_plan(), card=tiny_card(data), data=data, **{"trials": 3, **options}
    )


@pytest.mark.parametrize(("units", "expected"), [(2, 2), (3, 2), (9, 4), (40, CANDIDATES)])
def test_there_are_as_many_candidates_as_the_data_allow(units: int, expected: int) -> None:
    for found in matched(units=units):
        assert found.candidates == expected
        assert (found.identified.trials, found.positive_control.trials) == (3, expected)


def test_whoever_verifies_computes_the_same_bound() -> None:
    for found in matched(units=9):
        power = identification_power(found.mechanism, prior_success=found.chance)
        assert found.bound == power.worst_case
        assert 0.6 <= found.bound < 0.6 + 1e-6


def test_the_audits_mechanism_is_the_runs_but_for_noise_rate_and_steps() -> None:
    run = dataclasses.replace(tiny_plan(sampling="poisson").mechanism, sensitivity_slack=0.25, unit="lesion")
    audit = audit_mechanism(run, candidates=16)
    assert audit == dataclasses.replace(run, sampling_rate=1.0, steps=2, noise_multiplier=audit.noise_multiplier)
    assert identification_power(audit, prior_success=1 / 16).worst_case == pytest.approx(0.6, abs=1e-6)


def test_candidates_that_there_are_not_are_refused() -> None:
    with pytest.raises(DataError, match="needs 12 units, there are 9"):
        matched(units=9, candidates=12)
    with pytest.raises(InvalidValueError, match="candidates"):
        matched(units=9, candidates=1)
    with pytest.raises(InvalidValueError, match="trials"):
        matched(units=9, trials=0)
