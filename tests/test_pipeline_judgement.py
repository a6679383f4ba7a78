"""What `judge` and `verify` compute again of the attacks: figures that an editor of evidence would like to choose."""

from __future__ import annotations

import dataclasses

import pytest

from gatekeeper.core.adversary import ALL_STEPS
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.identification import CANDIDATES, Identification
from gatekeeper.errors import InvalidValueError
from gatekeeper.pipeline.judgement import _check_powers
from gatekeeper.pipeline.matching import audit_mechanism
from gatekeeper.privacy import identification_power, participations
from tests.facts import every_outcome, identification, outcome, sample_facts


def _evidence(**changes: object) -> Evidence:
    """Evidence that holds, but for changes of each identification."""
    evidence = sample_facts().evidence
    run = evidence.record.mechanism
    mechanism = audit_mechanism(run, candidates=CANDIDATES)
    proven = identification_power(mechanism, prior_success=1 / CANDIDATES).worst_case
    honest = {"mechanism": mechanism, "bound": proven}
    found = tuple(
        dataclasses.replace(each, **{**honest, **changes})  # type: ignore[arg-type]
        for each in identification(run)
    )
    outcomes = every_outcome(outcome(), uses=participations(run).upper_quantile())
    attacks = dataclasses.replace(evidence.attacks, outcomes=outcomes)
    return dataclasses.replace(evidence, attacks=attacks, identifications=found)


def _mechanism(**changes: float) -> Identification:
    return dataclasses.replace(_evidence().identifications[0].mechanism, **changes)  # type: ignore[arg-type, return-value]


def test_honest_evidence_is_believed() -> None:
    _check_powers(_evidence())


def test_a_limit_that_the_mechanism_does_not_have_is_refused() -> None:
    for bound in (0.5, 0.99, 1.0):
        with pytest.raises(InvalidValueError, match="its mechanism withstands"):
            _check_powers(_evidence(bound=bound))


@pytest.mark.parametrize("changes", [{"noise_multiplier": 1e-6}, {"noise_multiplier": 50.0}, {"steps": 1}])
def test_candidates_that_were_matched_where_nothing_shows_are_refused(changes: dict[str, float]) -> None:
    mechanism = _mechanism(**changes)
    proven = identification_power(mechanism, prior_success=1 / CANDIDATES).worst_case  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="was made on"):
        _check_powers(_evidence(mechanism=mechanism, bound=proven))


def test_an_attack_that_averaged_fewer_gradients_than_its_adversary_has_is_refused() -> None:
    evidence = _evidence()
    outcomes = tuple(
        dataclasses.replace(each, participations=1) if each.adversary == ALL_STEPS else each
        for each in evidence.attacks.outcomes
    )
    attacks = dataclasses.replace(evidence.attacks, outcomes=outcomes)
    with pytest.raises(InvalidValueError, match="averaged 1 gradients, the adversary has"):
        _check_powers(dataclasses.replace(evidence, attacks=attacks))
