from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, nct, norm

from gatekeeper.audit.bounds import bounds
from gatekeeper.audit.patterns import upper_quantile
from gatekeeper.audit.realistic import all_steps, median_ncc, one_step
from gatekeeper.audit.relaxed import relaxed
from gatekeeper.audit.worst_case import worst_case
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import ALL_STEPS, ONE_STEP, RELAXED, WORST_CASE, NullCalibration, Similarity
from gatekeeper.errors import InvalidValueError
from tests.reference.audit_optimal_test import power_by_simulation


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


def null(threshold: float, *, measure: str = "ncc") -> NullCalibration:
    return NullCalibration(
        similarity=Similarity(measure=measure),
        threshold=threshold,
        quantile_low=threshold,
        quantile_high=threshold,
        confidence=0.95,
        units=300,
        strangers_passing=0.01,
    )


def matrix(*, sigma: float = 0.1, max_images: int = 1, nulls: tuple[NullCalibration, ...] = (null(0.8),)):
    mechanism = Mechanism(
        sampling="poisson", sampling_rate=0.1, noise_multiplier=sigma, steps=40, adjacency="zero-out", unit="patient"
    )
    return bounds(
        mechanism=mechanism,
        participations=binomial(40, 0.1),
        nulls=nulls,
        pixels=64,
        max_images=max_images,
        candidates=100,
    )


# Published to six digits: Φ(Φ⁻¹(κ) + μ), the Gaussian trade-off function of Dong, Roth and Su (2022).
@pytest.mark.parametrize(
    ("mu", "kappa", "gamma"),
    [
        (0.5, 0.1, 0.217239),
        (1, 0.1, 0.389144),
        (2, 0.1, 0.763760),
        (1, 0.01, 0.092362),
        (2, 0.01, 0.372081),
        (3, 0.001, 0.464051),
        (4, 0.001, 0.818527),
    ],
)
def test_worst_case_has_the_reference_values(mu: float, kappa: float, gamma: float) -> None:
    value = worst_case(participations=fixed(1), noise_multiplier=1 / mu, prior_success=kappa)
    assert value == pytest.approx(gamma, abs=1e-6)


@given(sigma=st.floats(0.05, 1e3), count=st.integers(1, 500), kappa=st.floats(1e-9, 0.5))
def test_fixed_participation_has_the_gaussian_closed_forms(sigma: float, count: int, kappa: float) -> None:
    mu = math.sqrt(count) / sigma
    exact = norm.cdf(norm.ppf(kappa) + mu)
    cut = norm.isf(kappa / 2)
    two_sided = norm.sf(cut - mu) + norm.sf(cut + mu)
    for value, truth in (
        (worst_case(participations=fixed(count), noise_multiplier=sigma, prior_success=kappa), exact),
        (relaxed(participations=fixed(count), noise_multiplier=sigma, prior_success=kappa), two_sided),
    ):
        assert truth * (1 - 1e-12) <= value <= truth * (1 + 1e-6) + 1e-14


@given(sigma=st.floats(1e-9, 1e3), steps=st.integers(1, 60), rate=st.floats(0.01, 1), kappa=st.floats(1e-6, 0.5))
def test_knowing_less_never_helps_and_both_lie_between_the_guess_and_certainty(
    sigma: float, steps: int, rate: float, kappa: float
) -> None:
    law = binomial(steps, rate)
    worst = worst_case(participations=law, noise_multiplier=sigma, prior_success=kappa)
    unsigned = relaxed(participations=law, noise_multiplier=sigma, prior_success=kappa)
    assert kappa <= unsigned <= worst * (1 + 1e-8) <= 1 + 1e-8
    absent = law.probabilities[0] if law.counts[0] == 0 else 0.0
    assert worst <= (1 - absent * (1 - kappa)) * (1 + 1e-8)


@pytest.mark.parametrize("bound", [worst_case, relaxed])
def test_more_noise_never_raises_a_bound_over_twelve_orders_of_magnitude(bound) -> None:
    sigmas = np.geomspace(1e-9, 1e3, 97)
    values = [bound(participations=binomial(30, 0.1), noise_multiplier=s, prior_success=0.01) for s in sigmas]
    assert all(later <= earlier * (1 + 1e-7) for earlier, later in pairwise(values))
    assert values[0] == pytest.approx(1 - 0.9**30 * 0.99, rel=1e-8)
    assert values[-1] == pytest.approx(0.01, rel=0.02)


MIXTURES = [
    # (counts, probabilities, σ, κ): threshold above, at and below the atom K = 0.
    ((0, 1, 2, 5), (0.4, 0.3, 0.2, 0.1), 1.0, 0.05),
    ((0, 1, 4), (0.6, 0.2, 0.2), 1.0, 0.3),
    ((0, 1, 4), (0.1, 0.5, 0.4), 1.5, 0.45),
    ((1, 3, 9), (0.5, 0.3, 0.2), 2.0, 0.1),
]


@pytest.mark.parametrize(("counts", "probabilities", "sigma", "kappa"), MIXTURES)
@pytest.mark.parametrize("signed", [True, False])
def test_mixture_agrees_with_the_optimal_test_played_out(counts, probabilities, sigma, kappa, signed) -> None:
    law = Participations(counts=counts, probabilities=probabilities, tail=0.0)
    bound = worst_case if signed else relaxed
    value = bound(participations=law, noise_multiplier=sigma, prior_success=kappa)
    played = power_by_simulation(
        counts=counts, probabilities=probabilities, sigma=sigma, level=kappa, signed=signed, draws=40_000
    )
    capped = min(played, 1 - (probabilities[0] if counts[0] == 0 else 0.0) * (1 - kappa))
    assert value == pytest.approx(capped, abs=0.012)
    # The comparison can fail: three tenths more noise are told apart.
    other = bound(participations=law, noise_multiplier=sigma * 1.3, prior_success=kappa)
    assert abs(other - value) > 0.012


@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "kappa", "worst", "unsigned"),
    [(1, 0.01, 1000, 0.1, 0.194, 0.147), (1, 0.01, 1000, 0.01, 0.0283, 0.019), (3.19, 0.253, 300, 0.01, 0.176, 0)],
)
def test_the_participation_bound_covers_the_composed_mechanism(sigma, rate, steps, kappa, worst, unsigned) -> None:
    law = binomial(steps, rate)
    assert worst_case(participations=law, noise_multiplier=sigma, prior_success=kappa) >= worst
    assert relaxed(participations=law, noise_multiplier=sigma, prior_success=kappa) >= unsigned


def test_a_unit_that_never_takes_part_can_only_be_guessed() -> None:
    for bound in (worst_case, relaxed):
        assert bound(participations=fixed(0), noise_multiplier=1e-6, prior_success=0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("bound", [worst_case, relaxed])
def test_what_was_cut_off_counts_as_lost(bound) -> None:
    whole = Participations(counts=(1, 2), probabilities=(0.9, 0.1), tail=0.0)
    cut = Participations(counts=(1,), probabilities=(0.9,), tail=0.1)
    complete = bound(participations=whole, noise_multiplier=2.0, prior_success=0.01)
    shorter = bound(participations=cut, noise_multiplier=2.0, prior_success=0.01)
    assert shorter > complete
    assert shorter > 0.1
    assert bound(participations=cut, noise_multiplier=2.0, prior_success=0.95) == 1.0


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
    assert [bound.adversary for bound in matrix()] == [WORST_CASE, RELAXED, ONE_STEP, ALL_STEPS]
    assert [bound.adversary for bound in matrix(nulls=())] == [WORST_CASE, RELAXED]
    first, second, single, every = matrix()
    assert (first.proven_against, first.prior_success) == ("every attack", 0.01)
    assert first.value >= second.value
    assert single.participations == 1
    assert every.participations == upper_quantile(binomial(40, 0.1)) == binom.ppf(0.99, 40, 0.1)
    assert single.value <= every.value


def test_only_ncc_has_a_closed_form() -> None:
    found = matrix(nulls=(null(0.8, measure="ssim"), null(0.7)))
    assert [bound.threshold for bound in found] == [None, None, 0.7, 0.7]


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
            pixels=64,
            max_images=1,
            candidates=1,
        )
