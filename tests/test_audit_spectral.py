from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2, kstest

from gatekeeper.audit import realistic, spectral
from gatekeeper.audit.gaussian_images import IMAGES, draw
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.participation import Participations
from gatekeeper.core.spectrum import Band, Spectrum
from gatekeeper.errors import InvalidValueError
from tests.reference.audit_spectral import directions_of, simulated_ncc

# 400 directions whose variances fall roughly with their rank.
FALLING = Spectrum(
    bands=tuple(
        Band(count=count, variance=variance)
        for count, variance in ((1, 1.0), (1, 0.5), (2, 0.25), (6, 0.1), (30, 0.03), (360, 0.003))
    ),
    units=50,
)
FLAT = Spectrum(bands=(Band(count=400, variance=0.01),), units=50)
LAW = Participations(counts=(0, 1, 2, 3, 5, 8), probabilities=(0.05, 0.15, 0.3, 0.3, 0.15, 0.05), tail=0.0)

PINNED_IMAGE = [1.8362923482678444, 4.035059158360566]
PINNED_CROSS = [-0.7706232444687172, -1.455325114746293]


def one(threshold: float, sigma: float, spectrum: Spectrum = FALLING) -> float:
    return spectral.one_step(threshold=threshold, noise_multiplier=sigma, spectrum=spectrum)


def every(threshold: float, sigma: float, law: Participations = LAW, spectrum: Spectrum = FALLING) -> float:
    return spectral.all_steps(threshold=threshold, noise_multiplier=sigma, spectrum=spectrum, participations=law)


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize(("noise", "threshold"), [(0.05, 0.93), (0.2, 0.75), (1.0, 0.6)])
def test_drawn_similarities_agree_with_those_of_whole_images(noise: float, threshold: float, shaped: bool) -> None:
    """And differ from those at a noise of 0.8 times as much."""
    name = "shaped" if shaped else "wiener"
    twin = simulated_ncc(directions_of(FALLING), noise=noise, shaped=shaped, images=2000, rng=np.random.default_rng(0))
    banded, less = spectral._similarities(name, spectrum=FALLING, noises=[noise, 0.8 * noise]).T
    assert kstest(twin, banded).pvalue > 0.01
    assert kstest(twin, less).pvalue < 1e-6
    reached = int(np.sum(twin >= threshold))
    limit = one(threshold, noise)
    assert 0 < reached < len(twin)
    assert binomtest(reached, len(twin), limit, alternative="greater").pvalue > 0.001


def test_draws_have_the_laws_of_sums_over_directions() -> None:
    draws = draw((1, 2, 50))
    for band, count in enumerate((1, 2, 50)):
        assert kstest(draws.image[:, band], chi2(count).cdf).pvalue > 0.001
        assert kstest(draws.noise[:, band], chi2(count).cdf).pvalue > 0.001
        assert kstest(draws.noise[:, band], chi2(count * 1.1).cdf).pvalue < 1e-6
        # Cauchy and Schwarz, with equality in one dimension.
        bound = np.sqrt(draws.image[:, band] * draws.noise[:, band])
        assert np.all(np.abs(draws.cross[:, band]) <= bound * (1 + 1e-12))
        assert np.mean(draws.cross[:, band]) == pytest.approx(0, abs=4 * math.sqrt(count / IMAGES))
        assert np.mean(draws.cross[:, band] ** 2) == pytest.approx(count, rel=0.1)
    np.testing.assert_allclose(np.abs(draws.cross[:, 0]), np.sqrt(draws.image[:, 0] * draws.noise[:, 0]))
    assert abs(np.corrcoef(draws.image[:, 1], draws.image[:, 2])[0, 1]) < 0.03


def test_draws_are_the_same_everywhere() -> None:
    """Pinned: whoever verifies a release must find what its issuer found."""
    draws = draw((1, 7))
    assert draws.image[0].tolist() == pytest.approx(PINNED_IMAGE, rel=1e-9)
    assert draws.cross[-1].tolist() == pytest.approx(PINNED_CROSS, rel=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        draws.image[0, 0] = 0


@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_without_structure_the_prior_is_worth_nothing(threshold: float) -> None:
    """On white images every read-out is that of attack A, so the rate is that without a prior, and its limit above."""
    for sigma in (0.02, 0.05, 0.1, 0.2):
        raw = realistic.one_step(threshold=threshold, noise_multiplier=sigma, pixels=400)
        successes = round(raw * IMAGES)
        assert (
            raw
            <= one(threshold, sigma, FLAT)
            <= upper_limit(successes=min(IMAGES, successes + 300), trials=IMAGES, confidence=spectral.CONFIDENCE)
        )


def test_a_prior_never_makes_the_adversary_weaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "_rates", lambda *, noises, **_: [0.0] * len(noises))
    raw = realistic.one_step(threshold=0.5, noise_multiplier=0.08, pixels=400)
    assert 0.1 < raw <= one(0.5, 0.08)
    every_raw = realistic.all_steps(threshold=0.5, noise_multiplier=0.08, pixels=400, participations=LAW)
    assert every_raw <= every(0.5, 0.08)


@settings(max_examples=6, deadline=None)
@given(
    threshold=st.floats(0.05, 0.98),
    sigma=st.floats(1e-3, 10.0),
    factor=st.floats(1.0, 4.0),
    higher=st.floats(0.0, 1.0),
    extra=st.integers(1, 20),
)
def test_rates_fall_with_noise_and_threshold_and_rise_with_participations(
    threshold: float, sigma: float, factor: float, higher: float, extra: int
) -> None:
    """Up to the error of the simulation."""
    slack = 0.01
    above = threshold + higher * (0.99 - threshold)
    fixed = Participations(counts=(4,), probabilities=(1.0,), tail=0.0)
    more = Participations(counts=(4 + extra,), probabilities=(1.0,), tail=0.0)
    assert one(threshold, sigma * factor) <= one(threshold, sigma) + slack
    assert one(above, sigma) <= one(threshold, sigma) + 1e-12
    assert every(threshold, sigma * factor) <= every(threshold, sigma) + slack
    assert every(above, sigma) <= every(threshold, sigma) + 1e-12
    assert every(threshold, sigma, fixed) <= every(threshold, sigma, more) + slack
    assert one(threshold, sigma) <= every(threshold, sigma, fixed) + slack
    assert one(threshold, sigma) >= realistic.one_step(threshold=threshold, noise_multiplier=sigma, pixels=400)
    assert every(threshold, sigma) >= realistic.all_steps(
        threshold=threshold, noise_multiplier=sigma, pixels=400, participations=LAW
    )


def test_all_steps_is_a_mixture_over_participations() -> None:
    sigma, threshold = 0.4, 0.8
    mixture = sum(
        probability * one(threshold, sigma / math.sqrt(count))
        for count, probability in zip(LAW.counts, LAW.probabilities, strict=True)
        if count
    )
    assert every(threshold, sigma) == pytest.approx(mixture, rel=1e-6)
    forgotten = Participations(counts=(0,), probabilities=(0.9,), tail=0.1)
    assert every(threshold, sigma, forgotten) == pytest.approx(0.1)
    cut = Participations(counts=(1,), probabilities=(0.9,), tail=0.1)
    assert every(threshold, sigma, cut) == pytest.approx(0.9 * one(threshold, sigma) + 0.1)
    once = Participations(counts=(1,), probabilities=(1.0,), tail=0.0)
    assert every(threshold, sigma, once) == pytest.approx(one(threshold, sigma))


def test_cells_of_many_counts_err_upwards() -> None:
    counts = tuple(range(1, 201))
    law = Participations(counts=counts, probabilities=(1 / 200,) * 200, tail=0.0)
    exact = np.mean([one(0.8, 1.2 / math.sqrt(count)) for count in counts[4::10]])
    assert exact <= every(0.8, 1.2, law) <= exact + 0.03


def test_without_noise_everything_is_read_and_with_the_most_it_is_guessed() -> None:
    assert one(1 - 1e-9, 1e-9) == 1
    assert one(0.999, 1e-5) == 1
    guess = one(0.8, 1e12)
    # The most varied direction with either sign, and nothing else.
    images = np.sqrt(directions_of(FALLING)) * np.random.default_rng(0).standard_normal((20_000, 400))
    right = np.mean(images[:, 0] >= 0.8 * np.linalg.norm(images, axis=1))
    assert right <= guess <= right + 0.01


def test_typical_figures() -> None:
    for sigma in (0.03, 0.3):
        for name, figure in (("wiener", spectral.wiener_ncc), ("shaped", spectral.shaped_ncc)):
            typical = figure(spectrum=FALLING, noise_multiplier=sigma, participations=4)
            drawn = spectral._similarities(name, spectrum=FALLING, noises=[sigma / 2])
            assert np.median(drawn) == pytest.approx(typical, abs=0.02)


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"threshold": 1.0}, {"noise_multiplier": 0.0}, {"noise_multiplier": math.nan}]
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    options = {"threshold": 0.5, "noise_multiplier": 1.0, "spectrum": FALLING} | wrong
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        spectral.one_step(**options)
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        spectral.all_steps(**options, participations=LAW)


def test_rates_are_computed_without_torch() -> None:
    script = "import sys, gatekeeper.audit.spectral; sys.exit(bool({'torch', 'scipy.stats'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
