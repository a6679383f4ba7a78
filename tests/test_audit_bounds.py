from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, nct

from gatekeeper.audit.bounds import bounds
from gatekeeper.audit.realistic import all_steps, median_ncc, one_step
from gatekeeper.core.adversary import REALISTIC, RELAXED, WORST_CASE
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import IdentificationPower, NullCalibration, Similarity
from gatekeeper.errors import InvalidValueError
from tests.facts import every_null, spectrum


def fixed(count: int) -> Participations:
    return Participations(counts=(count,), probabilities=(1.0,), tail=0.0)


def binomial(steps: int, rate: float) -> Participations:
    counts = np.arange(steps + 1)
    mass = binom.pmf(counts, steps, rate)
    kept = mass > 1e-18
    return Participations(
        counts=tuple(int(k) for k in counts[kept]),
        probabilities=tuple(float(p) for p in mass[kept]),
        tail=float(max(0.0, mass[~kept].sum())),
    )


def null(threshold: float) -> NullCalibration:
    return NullCalibration(
        similarity=Similarity(),
        threshold=threshold,
        quantile_low=threshold,
        quantile_high=threshold,
        confidence=0.95,
        units=300,
        strangers_passing=0.01,
    )


def power(prior_success: float = 0.01) -> IdentificationPower:
    return IdentificationPower(
        prior_success=prior_success,
        worst_case=1.0,
        worst_case_method="one method",
        relaxed=1.0,
        relaxed_method="another",
    )


def matrix(
    *,
    sigma: float = 0.1,
    slack: float = 0.0,
    max_images: int = 1,
    nulls: tuple[NullCalibration, ...] = every_null(Similarity(), threshold=0.8),
):
    mechanism = Mechanism(
        sampling="poisson",
        sampling_rate=0.1,
        noise_multiplier=sigma,
        steps=40,
        adjacency="zero-out",
        unit="patient",
        sensitivity_slack=slack,
    )
    return bounds(
        mechanism=mechanism,
        participations=binomial(40, 0.1),
        nulls=nulls,
        spectrum=spectrum(64),
        max_images=max_images,
        power=power(),
    )


@settings(max_examples=40)
@given(threshold=st.floats(0.05, 0.99), sigma=st.floats(0.02, 3), pixels=st.integers(2, 200))
def test_ncc_probability_is_the_noncentral_t_from_above(threshold: float, sigma: float, pixels: int) -> None:
    ratio = threshold / math.sqrt(1 - threshold**2)
    exact = nct.sf(ratio * math.sqrt(pixels - 1), pixels - 1, 1 / sigma)
    value = one_step(threshold=threshold, noise_multiplier=sigma, pixels=pixels)
    assert exact - 1e-9 <= value <= exact + 6e-4


@pytest.mark.parametrize(("sigma", "count"), [(0.02, 1), (0.05, 5), (0.1, 20)])
def test_ncc_probability_agrees_with_simulation(sigma: float, count: int) -> None:
    pixels, draws = 400, 20_000
    rng = np.random.default_rng(0)
    noise = sigma / math.sqrt(count) * rng.standard_normal((draws, pixels))
    noise[:, 0] += 1.0
    ncc = noise[:, 0] / np.linalg.norm(noise, axis=1)
    threshold = float(np.quantile(ncc, 0.7))
    value = all_steps(threshold=threshold, noise_multiplier=sigma, pixels=pixels, participations=fixed(count))
    assert value == pytest.approx(0.3, abs=0.015)
    assert (
        abs(
            all_steps(threshold=threshold, noise_multiplier=sigma * 1.03, pixels=pixels, participations=fixed(count))
            - 0.3
        )
        > 0.015
    )


@pytest.mark.parametrize("pixels", [784, 12_288, 150_528])
@pytest.mark.parametrize("count", [1, 50])
def test_the_median_formula_is_where_the_probability_crosses_one_half(pixels: int, count: int) -> None:
    sigma = math.sqrt(24 * count / pixels)  # NCC 0.2
    typical = median_ncc(noise_multiplier=sigma, participations=count, pixels=pixels)
    assert typical == pytest.approx(0.2)
    at = all_steps(threshold=typical, noise_multiplier=sigma, pixels=pixels, participations=fixed(count))
    assert at == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("sigma", "ncc"), [(0.001, 0.994), (0.003, 0.949), (0.01, 0.670), (0.03, 0.288), (0.1, 0.090), (0.3, 0.030)]
)
def test_median_ncc_has_the_reference_values(sigma: float, ncc: float) -> None:
    assert median_ncc(noise_multiplier=sigma, participations=1, pixels=12_288) == pytest.approx(ncc, abs=5e-4)


def test_ncc_probability_survives_the_extremes() -> None:
    assert one_step(threshold=0.83, noise_multiplier=1e-9, pixels=150_528) == 1.0
    assert one_step(threshold=0.83, noise_multiplier=1e3, pixels=150_528) < 1e-12
    assert one_step(threshold=1 - 1e-9, noise_multiplier=1e-9, pixels=150_528) == 1.0


def test_all_steps_mixes_over_participations_and_adds_the_tail() -> None:
    law = Participations(counts=(0, 1, 9), probabilities=(0.5, 0.3, 0.1), tail=0.1)
    terms = [one_step(threshold=0.8, noise_multiplier=0.1 / math.sqrt(k), pixels=64) for k in (1, 9)]
    value = all_steps(threshold=0.8, noise_multiplier=0.1, pixels=64, participations=law)
    assert value == pytest.approx(0.3 * terms[0] + 0.1 * terms[1] + 0.1, rel=1e-8)


def test_the_matrix_is_always_complete() -> None:
    assert [bound.adversary for bound in matrix()] == [WORST_CASE, RELAXED, *REALISTIC]
    assert [bound.adversary for bound in matrix(nulls=())] == [WORST_CASE, RELAXED]
    first, second, single, every, single_prior, every_prior = matrix()
    assert (first.proven_against, first.prior_success) == ("every attack", 0.01)
    assert first.quantity == "P(the target is picked among 100 candidates)"
    assert first.read_out == "likelihood-ratio test (one method)"
    assert second.read_out == "generalised likelihood-ratio test in one dimension (another)"
    assert single.participations == 1
    assert every.participations == binomial(40, 0.1).upper_quantile() == binom.ppf(0.99, 40, 0.1)
    assert single.value <= every.value
    assert single.value <= single_prior.value <= every_prior.value
    assert (single_prior.participations, every_prior.participations) == (1, every.participations)
    assert "no proof" in every_prior.proven_against


def test_what_one_unit_can_change_beyond_the_clip_counts_as_less_noise() -> None:
    slack, plain = matrix(sigma=0.132, slack=0.1), matrix(sigma=0.12)
    assert 0 < plain[2].value < 1
    for found, expected in zip(slack, plain, strict=True):
        assert found.value == pytest.approx(expected.value)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99, 0.999])
def test_the_upper_quantile_is_the_binomial_one(probability: float) -> None:
    assert binomial(40, 0.1).upper_quantile(probability) == binom.ppf(probability, 40, 0.1)
    cut = Participations(counts=(0, 1), probabilities=(0.5, 0.3), tail=0.2)
    assert cut.upper_quantile(0.9) == 1


def test_only_ncc_has_a_closed_form() -> None:
    found = matrix(
        nulls=(*every_null(Similarity(measure="ssim"), threshold=0.8), *every_null(Similarity(), threshold=0.7))
    )
    assert [bound.threshold for bound in found] == [None, None, *[0.7] * 4]


def test_who_guesses_is_judged_by_a_threshold_of_its_own() -> None:
    strangers, *guessers = every_null(Similarity(), threshold=0.7)
    higher = [dataclasses.replace(each, threshold=0.9, quantile_low=0.9) for each in guessers]
    assert [bound.threshold for bound in matrix(nulls=(strangers, *higher))] == [None, None, 0.7, 0.7, 0.9, 0.9]
    assert [bound.adversary for bound in matrix(nulls=(higher[1],))] == [WORST_CASE, RELAXED, REALISTIC[3]]


def test_a_unit_of_several_images_has_the_union_bound() -> None:
    one, several = matrix(sigma=0.12)[2], matrix(sigma=0.12, max_images=3)[2]
    assert 0 < one.value < 1 / 3
    assert several.value == pytest.approx(3 * one.value)
    assert several.quantity == "P(NCC ≥ 0.8) for a unit of at most 3 images"
    assert one.quantity == "P(NCC ≥ 0.8) for a unit of at most 1 image"


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.2])
def test_a_threshold_without_closed_form_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidValueError, match="threshold"):
        matrix(nulls=(null(threshold),))


def test_a_single_candidate_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="candidates"):
        bounds(
            mechanism=Mechanism(
                sampling="poisson", sampling_rate=0.1, noise_multiplier=1.0, steps=1, adjacency="zero-out", unit="u"
            ),
            participations=fixed(1),
            nulls=(),
            spectrum=spectrum(64),
            max_images=1,
            power=power(1.0),
        )
