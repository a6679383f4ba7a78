from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn

from gatekeeper.audit import prior as module
from gatekeeper.audit.bands import banded
from gatekeeper.audit.cosines import slow_cosines
from gatekeeper.audit.prior import linear_prior
from gatekeeper.core.spectrum import MOST_BANDS, Spectrum
from gatekeeper.errors import DataError
from tests.gaussian_units import PIXELS, gaussian_units, image_variances, known_prior, smooth_units
from tests.reference.audit_spectral import crosswise_variances, directions_of, wiener
from tests.tiny import tiny_units


def relative(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).max() / np.abs(second).max())


def largest_sums(spectrum: Spectrum) -> np.ndarray:
    return np.cumsum(sorted(directions_of(spectrum), reverse=True))


@given(
    variances=st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=300),
    rest=st.floats(1e-7, 1e-2),
    others=st.integers(1, 200),
)
def test_bands_are_few_coarse_and_favour_the_attacker(variances: list[float], rest: float, others: int) -> None:
    pixels = len(variances) + others
    spectrum = banded(np.array(variances), rest=rest, pixels=pixels, units=9)
    assert len(spectrum.bands) <= MOST_BANDS
    assert (spectrum.pixels, spectrum.units) == (pixels, 9)
    for band in spectrum.bands:
        assert float(f"{band.variance:.2e}") == band.variance
    truth = np.sort(np.append(variances, np.full(others, rest)))[::-1]
    assert np.all(largest_sums(spectrum) >= np.cumsum(truth) * (1 - 0.01))
    # One direction of each group may have been moved to the wrong end.
    assert spectrum.energy <= truth.sum() * 1.01 + 15 * truth[min(16, len(truth) - 1)]


def test_bands_of_an_ordinary_spectrum_keep_its_energy() -> None:
    variances = np.arange(1, 1001) ** -1.3
    spectrum = banded(variances, rest=variances[-1], pixels=12288, units=9)
    assert spectrum.energy == pytest.approx(variances.sum() + 11288 * variances[-1], rel=0.01)
    assert [band.variance for band in spectrum.bands[:3]] == [1.0, 0.407, 0.24]


@pytest.mark.parametrize(("side", "cosines"), [(8, 8), (12, 48)])
def test_variances_are_measured_as_by_the_twin(side: int, cosines: int) -> None:
    data = tiny_units(units=23, most_images=3, side=side)
    prior = linear_prior(data)
    order = np.argsort(data.unit_of, kind="stable")
    images = data.images.reshape(len(order), -1)[order] / 255.0
    variances, rest = crosswise_variances(
        images,
        data.unit_of[order],
        folds=4,
        principal=len(prior.variances) - cosines,
        fixed=slow_cosines((1, side, side), count=cosines),
    )
    np.testing.assert_allclose(prior.variances, variances, rtol=1e-6)
    assert prior.rest == pytest.approx(rest, rel=1e-6)
    assert (prior.images, prior.units) == (len(images), 23)


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 4, 3, 5)])
def test_cosines_are_those_of_the_discrete_transform_by_rising_frequency(shape: tuple[int, ...]) -> None:
    pixels = math.prod(shape)
    cosines = slow_cosines(shape, count=pixels)
    np.testing.assert_allclose(cosines @ cosines.T, np.eye(pixels), atol=1e-12)
    coefficients = dctn(cosines.reshape(pixels, *shape), axes=range(2, len(shape) + 1), norm="ortho")
    places = [np.argwhere(np.abs(each) > 1e-9) for each in coefficients]
    assert all(len(place) == 1 for place in places)
    frequencies = [sum((at / side) ** 2 for at, side in zip(place[0][1:], shape[1:], strict=True)) for place in places]
    assert frequencies == sorted(frequencies)
    np.testing.assert_array_equal(slow_cosines(shape, count=7), cosines[:7])


def test_few_images_know_that_fine_detail_is_rare() -> None:
    """Smooth images of which few were seen: cosines halve what the prior leaves to all other directions."""
    held_out = smooth_units(units=16, seed=1)
    prior = linear_prior(held_out)
    eigen = len(prior.variances) - 512
    outside = prior.rest * (48 * 48 - len(prior.variances))
    assert outside < 0.5 * (prior.counts @ prior.all_variances - prior.variances[:eigen].sum())


def test_the_basis_is_that_of_the_singular_vectors() -> None:
    data = gaussian_units(units=60, seed=1)
    prior = linear_prior(data)
    images = data.images.reshape(60, -1) / 255.0
    _, _, vectors = np.linalg.svd(images - images.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(prior.basis @ prior.basis.T, np.eye(len(prior.basis)), atol=1e-9)
    np.testing.assert_allclose(np.abs(np.sum(prior.basis[:10] * vectors[:10], axis=1)), 1.0, atol=1e-6)


def test_the_energy_of_new_images_is_foretold() -> None:
    """Crosswise it is; what the images vary along their own directions foretells no residual at all."""
    held_out, fresh = gaussian_units(units=80, seed=1), gaussian_units(units=2000, seed=2)
    prior = linear_prior(held_out)
    new = fresh.images.reshape(2000, -1) / 255.0 - prior.mean.reshape(-1)
    along = new @ prior.basis.T
    outside = (np.sum(new**2) - np.sum(along**2)) / 2000
    foretold = prior.rest * (PIXELS - len(prior.basis))
    assert foretold == pytest.approx(outside, rel=0.25)
    assert prior.counts @ prior.all_variances == pytest.approx(np.sum(new**2) / 2000, rel=0.1)
    trailing = np.mean(along[:, 30:50] ** 2)
    assert np.mean(prior.variances[30:50]) == pytest.approx(trailing, rel=0.25)
    own = held_out.images.reshape(80, -1) / 255.0 - prior.mean.reshape(-1)
    naive = np.mean((own @ prior.basis.T) ** 2, axis=0)
    assert np.mean(naive[30:50]) != pytest.approx(trailing, rel=0.25)
    assert np.sum(own**2) / 80 - naive.sum() < 0.25 * outside


def test_the_filter_is_wieners() -> None:
    prior = known_prior()
    covariance = (prior.basis.T * (prior.variances - prior.rest)) @ prior.basis + prior.rest * np.eye(PIXELS)
    values = np.random.default_rng(0).standard_normal((5, PIXELS))
    for noise_variance in (1e-5, 1e-2, 10.0):
        expected = wiener(values, covariance=covariance, noise_variance=noise_variance)
        assert relative(prior.denoise(values, noise_variance=noise_variance), expected) < 1e-9
    np.testing.assert_array_equal(prior.denoise(values, noise_variance=0.0), values)


def test_the_filter_leaves_the_error_that_it_should() -> None:
    prior, noise_variance = known_prior(), 2e-3
    rng = np.random.default_rng(0)
    images = rng.standard_normal((3000, PIXELS)) * np.sqrt(image_variances()) @ known_prior(whole=True).basis
    noisy = images + np.sqrt(noise_variance) * rng.standard_normal(images.shape)
    left = np.sum((prior.denoise(noisy, noise_variance=noise_variance) - images) ** 2) / 3000
    variances = prior.all_variances
    assert left == pytest.approx(prior.counts @ (variances * noise_variance / (variances + noise_variance)), rel=0.02)
    wrong = np.sum((prior.denoise(noisy, noise_variance=4 * noise_variance) - images) ** 2) / 3000
    assert wrong > 1.05 * left


def test_weights_may_differ_from_row_to_row() -> None:
    prior = known_prior()
    values, weights = np.random.default_rng(0).random((3, PIXELS)), np.random.default_rng(1).random((3, 31))
    each = np.stack([prior.weighted(values[[row]], weights=weights[row])[0] for row in range(3)])
    np.testing.assert_allclose(prior.weighted(values, weights=weights), each, rtol=1e-12)


def test_images_are_capped_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_units(units=50, most_images=1)
    monkeypatch.setattr(module, "_MOST_IMAGES", 20)
    prior = linear_prior(data)
    assert (prior.images, prior.units) == (20, 20)
    np.testing.assert_allclose(prior.mean, data.images.mean(axis=0) / 255)
    monkeypatch.setattr(module, "_MOST_VALUES", 64 * 10)
    assert linear_prior(data).images == 10
    chosen = module._evenly(data)
    assert chosen.tolist() == list(range(0, 50, 5))


def test_constant_pixels_still_vary() -> None:
    """Images that never vary outside a few directions: rounding to pixel values remains."""
    data = tiny_units(units=12, most_images=1)
    data.images[:, :, 2:] = 7
    prior = linear_prior(data)
    assert prior.rest > 0
    assert np.all(prior.variances > 0)
    data.images[:] = 7
    still = linear_prior(data)
    np.testing.assert_allclose(still.all_variances, 1 / (12 * 255**2))
    assert still.spectrum.pixels == 64


def test_images_may_vary_along_a_cosine_alone() -> None:
    data = tiny_units(units=30, most_images=1)
    data.images[:] = np.random.default_rng(0).integers(0, 256, size=(30, 1, 1, 1))
    prior = linear_prior(data)
    assert prior.variances[0] == pytest.approx(64 * np.var(data.images[:, 0, 0, 0] / 255), rel=0.2)
    assert np.all(prior.all_variances[1:] < 1e-5)
    images = data.images.reshape(30, -1) / 255.0 - prior.mean.reshape(-1)
    np.testing.assert_allclose(prior.denoise(images, noise_variance=0.01), images, atol=0.01)


def test_a_few_units_are_no_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="at least 8 units, got 7"):
        linear_prior(tiny_units(units=7))
    monkeypatch.setattr(module, "_MOST_VALUES", 64 * 5)
    with pytest.raises(DataError, match="smaller images"):
        linear_prior(tiny_units(units=20))
