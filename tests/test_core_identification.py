from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.identification import Identification, check_identification
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import Count
from gatekeeper.errors import AuditContradiction, InvalidValueError

MECHANISM = Mechanism(
    sampling="poisson", sampling_rate=1.0, noise_multiplier=0.56, steps=1, adjacency="zero-out", unit="image"
)


def found(successes: int, *, trials: int = 400, bound: float = 0.6, **changes: object) -> Identification:
    settings: dict[str, object] = {
        "attack": "candidate matching",
        "candidates": 16,
        "identified": Count(successes=successes, trials=trials),
        "mechanism": MECHANISM,
        "bound": bound,
        "positive_control": Count(successes=16, trials=16),
    }
    return Identification(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attack": ""}, "attack"),
        ({"candidates": 1}, "candidates"),
        ({"identified": Count(successes=0, trials=0)}, "trials"),
        ({"positive_control": Count(successes=0, trials=0)}, "positive_control"),
        ({"mechanism": dataclasses.replace(MECHANISM, steps=0)}, "steps"),
        ({"mechanism": dataclasses.replace(MECHANISM, sampling_rate=0.5)}, "every unit takes part, got a rate of 0.5"),
        ({"bound": 1.1}, "bound"),
        ({"bound": 0.06}, "at least 1/16"),
        ({"source": "simulated"}, "source"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        found(100, **changes)


def test_a_contradiction_is_claimed_far_above_the_bound_only() -> None:
    assert not found(240).contradicts()
    assert not found(280).contradicts(), "0.7 of 400 trials may still be chance at 1e-6"
    assert found(290).contradicts()
    assert found(270).contradicts(confidence=0.95)
    assert not found(400, bound=1.0).contradicts(), "nothing is above certainty"


def test_it_is_read_back_as_it_was_written() -> None:
    assert decode(encode(found(240)), Identification) == found(240)


def test_a_contradiction_names_the_figures() -> None:
    check_identification(found(240))
    with pytest.raises(AuditContradiction, match=r"among 16 candidates in at least 0\.7\d+ of trials.*more than 0\.6"):
        check_identification(found(340))


@given(successes=st.integers(0, 400), bound=st.floats(1 / 16, 1.0))
def test_the_claim_is_monotone(successes: int, bound: float) -> None:
    """What contradicts a bound contradicts every lower one, and so does every larger count."""
    if found(successes, bound=bound).contradicts():
        assert successes / 400 > bound
        assert found(min(400, successes + 1), bound=bound).contradicts()
        assert found(successes, bound=1 / 16).contradicts()
