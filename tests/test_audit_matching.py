"""Attack D on a step that is nothing but a Gaussian mechanism: what the attack itself is worth."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.audit.attacks.matching import ATTACKS, Knowledge, match, spread_out
from gatekeeper.core.identification import Identification
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.privacy import identification_power
from gatekeeper.privacy.auditable import noise_for_power
from tests.reference import audit_matching as reference


class GaussianStep:
    """A sum of known vectors and Gaussian noise of a share of σ."""

    def __init__(self, vectors: np.ndarray, *, sigma: float, share: float = 1.0) -> None:
        self.vectors, self.deviation = vectors, sigma * share
        self.generator = np.random.default_rng(5)

    def release(self, units: np.ndarray) -> np.ndarray:
        noise = self.generator.normal(size=self.vectors.shape[1])
        return self.vectors[units].sum(axis=0) + self.deviation * noise

    def quiet_release(self, units: np.ndarray) -> np.ndarray:
        return self.vectors[units].sum(axis=0)

    def contributions(self, units: np.ndarray) -> np.ndarray:
        return self.vectors[units]


def mechanism_at(power: float, *, candidates: int, steps: int = 1) -> Mechanism:
    sigma = noise_for_power(power, prior_success=1 / candidates, steps=steps)
    return Mechanism(
        sampling="poisson",
        sampling_rate=1.0,
        noise_multiplier=sigma,
        steps=steps,
        adjacency="zero-out",
        unit="image",
    )


def matched(
    vectors: np.ndarray,
    *,
    candidates: int,
    steps: int = 1,
    trials: int = 4000,
    companions: int = 4,
    share: float = 1.0,
    seed: int = 1,
) -> tuple[Identification, ...]:
    mechanism = mechanism_at(0.6, candidates=candidates, steps=steps)
    return match(
        GaussianStep(vectors, sigma=mechanism.noise_multiplier, share=share),
        units=len(vectors),
        mechanism=mechanism,
        power=identification_power(mechanism, prior_success=1 / candidates),
        trials=trials,
        companions=companions,
        rng=np.random.default_rng(seed),
    )


def agrees(found: Identification, expected: float) -> bool:
    """Whether the rate is within 4.5 standard errors of what is expected."""
    error = math.sqrt(expected * (1 - expected) / found.identified.trials)
    return abs(found.identified.rate - expected) < 4.5 * error


@pytest.mark.parametrize(("candidates", "steps"), [(16, 1), (16, 3), (4, 1)])
def test_orthogonal_candidates_are_picked_as_often_as_the_best_attack_can(candidates: int, steps: int) -> None:
    """And ten per cent of noise more or less is noticed."""
    mu = math.sqrt(steps) / mechanism_at(0.6, candidates=candidates, steps=steps).noise_multiplier
    expected = reference.orthogonal_success(candidates=candidates, mu=mu)
    found = matched(np.eye(24), candidates=candidates, steps=steps)
    assert [each.attack for each in found] == list(ATTACKS)
    assert all(agrees(each, expected) for each in found)
    assert not any(each.contradicts() for each in found)
    for share in (0.8, 1.25):
        assert not any(agrees(each, expected) for each in matched(np.eye(24), candidates=16, share=share))


def test_opposite_candidates_reach_the_bound_and_less_noise_contradicts_it() -> None:
    pair = np.array([[1.0, 0.0], [-1.0, 0.0]])
    opposite = matched(pair, candidates=2, companions=0)
    assert all(agrees(each, each.bound) for each in opposite)
    assert not any(each.contradicts() for each in opposite)
    assert all(each.contradicts() for each in matched(pair, candidates=2, companions=0, share=0.5))


def test_alike_candidates_are_guessed_and_the_control_says_that_nothing_was_learned() -> None:
    found = matched(np.ones((24, 3)), candidates=16)
    assert all(agrees(each, 1 / 16) for each in found)
    assert all(each.positive_control.rate == 1 / 16 for each in found)


def test_the_positive_control_succeeds_with_every_candidate() -> None:
    for each in matched(np.eye(24), candidates=16, trials=1):
        assert (each.positive_control.successes, each.positive_control.trials) == (16, 16)


@pytest.mark.parametrize("companions", [0, 4])
def test_an_attacker_by_own_gradients_gone_wrong_fails_its_control(companions: int) -> None:
    """Contributions of other units than the step's: the figure would say nothing of the step, and the control shows."""

    class Shuffled(GaussianStep):
        def contributions(self, units: np.ndarray) -> np.ndarray:
            return np.roll(self.vectors[units], 1, axis=1)

    mechanism = mechanism_at(0.6, candidates=16)
    own, replayed = match(
        Shuffled(np.eye(24), sigma=mechanism.noise_multiplier),
        units=24,
        mechanism=mechanism,
        power=identification_power(mechanism, prior_success=1 / 16),
        trials=50,
        companions=companions,
    )
    assert own.positive_control.rate < 0.5
    assert replayed.positive_control.rate == 1


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    candidates=st.integers(2, 5),
    size=st.integers(1, 6),
    steps=st.integers(1, 4),
    quiet=st.booleans(),
)
def test_the_pick_is_that_of_the_slow_twin(seed: int, candidates: int, size: int, steps: int, quiet: bool) -> None:
    generator = np.random.default_rng(seed)
    known, contributions = generator.normal(size=size), generator.normal(size=(candidates, size))
    target = contributions[0] if quiet else generator.normal(size=size)
    sums = [known + target + (0 if quiet else 1) * generator.normal(size=size) for _ in range(steps)]
    picked = Knowledge(known=known, contributions=contributions).pick(sum(sums), steps=steps)
    expected = reference.scores(sums, known=known, contributions=contributions)
    assert expected[picked] == max(expected)
    if quiet:
        assert picked == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 5))
def test_chosen_candidates_are_at_least_half_as_far_apart_as_any_choice_could_be(seed: int, count: int) -> None:
    """The guarantee of farthest-first traversal (Gonzalez 1985), against every choice there is."""
    contributions = np.random.default_rng(seed).normal(size=(7, 3))

    def apart(chosen: tuple[int, ...]) -> float:
        return min(float(np.linalg.norm(contributions[a] - contributions[b])) for a, b in combinations(chosen, 2))

    chosen = spread_out(contributions, count)
    assert len(set(chosen.tolist())) == count
    assert 2 * apart(tuple(chosen)) >= max(map(apart, combinations(range(7), count)))


def test_copies_are_chosen_last_and_never_twice() -> None:
    alike = np.concatenate([np.ones((5, 3)), np.eye(3)])
    assert set(spread_out(alike, 4).tolist()) >= {5, 6, 7}
    assert sorted(spread_out(alike, 8).tolist()) == list(range(8))


def test_progress_hears_of_every_trial() -> None:
    heard: list[int] = []
    mechanism = mechanism_at(0.6, candidates=4)
    match(
        GaussianStep(np.eye(8), sigma=1.0),
        units=8,
        mechanism=mechanism,
        power=identification_power(mechanism, prior_success=1 / 4),
        trials=30,
        companions=0,
        progress=heard.append,
    )
    assert sum(heard) == 30


def test_arguments_out_of_range_are_named() -> None:
    mechanism = mechanism_at(0.6, candidates=16)
    power = identification_power(mechanism, prior_success=1 / 16)
    given = {
        "step": GaussianStep(np.eye(24), sigma=1.0),
        "units": 24,
        "mechanism": mechanism,
        "power": power,
        "trials": 10,
    }
    for changes, error, named in (
        ({"trials": 0}, InvalidValueError, "trials"),
        ({"companions": -1}, InvalidValueError, "companions"),
        ({"companions": 9}, DataError, "needs 25 units, there are 24"),
        ({"mechanism": dataclasses.replace(mechanism, sampling_rate=0.5)}, InvalidValueError, "sampling rate of 0.5"),
        ({"mechanism": dataclasses.replace(mechanism, steps=0)}, InvalidValueError, "steps"),
        ({"power": dataclasses.replace(power, prior_success=0.4)}, InvalidValueError, r"1/candidates.*got 0\.4"),
        ({"power": identification_power(mechanism, prior_success=1.0)}, InvalidValueError, "of at least 2"),
    ):
        with pytest.raises(error, match=named):
            match(**{**given, **changes})


@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins"])
@pytest.mark.parametrize(("power", "candidates", "steps"), [(0.6, 16, 2), (0.3, 4, 1), (0.99, 1000, 7)])
def test_the_noise_gives_the_bound_that_was_asked_for(sampling: str, power: float, candidates: int, steps: int) -> None:
    mechanism = dataclasses.replace(mechanism_at(power, candidates=candidates, steps=steps), sampling=sampling)
    found = identification_power(mechanism, prior_success=1 / candidates).worst_case
    assert power <= found < power * (1 + 1e-8)


def test_a_noise_that_no_bound_asks_for_is_refused() -> None:
    for changes, named in (
        ({"power": 0.0625}, "power must be above prior_success 0.0625"),
        ({"power": 1.0}, "power"),
        ({"prior_success": 0.0}, "prior_success"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(InvalidValueError, match=named):
            noise_for_power(**{"power": 0.6, "prior_success": 1 / 16, "steps": 1, **changes})
