from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.audit.shaping import gains
from gatekeeper.errors import InvalidValueError
from tests.reference.audit_spectral import water_filling

VARIANCES = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=12)
NOISES = st.floats(1e-4, 1e2)


def error(read_out: str, variances: list[float], noise: float) -> float:
    return gains(read_out, variances=np.array(variances), counts=np.ones(len(variances)), noise=noise).error


def inverse_square(side: int) -> np.ndarray:
    """Variances of images with the power spectrum 1/f², without their mean."""
    frequency = np.fft.fftfreq(side)
    squared = (frequency[:, None] ** 2 + frequency**2).ravel()
    return 1 / squared[squared > 0]


@pytest.mark.parametrize(
    ("snr", "raw", "wiener", "shaped"),
    [(1, 0.71, 0.85, None), (0.1, 0.30, 0.67, None), (0.01, 0.10, 0.43, None), (0.001, 0.03, 0.19, 0.29)],
)
def test_inverse_square_images(snr: float, raw: float, wiener: float, shaped: float | None) -> None:
    variances = inverse_square(64)
    noise = 1 / math.sqrt(64 * 64 * snr)
    found = {
        name: gains(name, variances=variances, counts=np.ones(len(variances)), noise=noise).ncc
        for name in ("wiener", "shaped")
    }
    assert 1 / math.sqrt(1 + 1 / snr) == pytest.approx(raw, abs=0.02)
    assert found["wiener"] == pytest.approx(wiener, abs=0.02)
    assert found["shaped"] == pytest.approx(shaped, abs=0.02) if shaped else found["shaped"] > found["wiener"]


@given(variances=VARIANCES, noise=NOISES)
def test_water_filling_agrees_with_its_twin(variances: list[float], noise: float) -> None:
    found = gains("shaped", variances=np.array(variances), counts=np.ones(len(variances)), noise=noise)
    power = found.planted**2 * variances
    assert power.sum() == pytest.approx(1)
    np.testing.assert_allclose(power, water_filling(variances, noise=noise), atol=1e-7 * (1 + noise**2))


@given(variances=VARIANCES, noise=NOISES, seed=st.integers(0, 2**32 - 1))
def test_no_other_shaping_has_a_smaller_error(variances: list[float], noise: float, seed: int) -> None:
    power = np.random.default_rng(seed).dirichlet(np.full(len(variances), 0.5))
    other = np.sum(variances / (power / noise**2 + 1)) / np.sum(variances)
    assert error("shaped", variances, noise) <= other + 1e-9


@given(variances=VARIANCES, noise=NOISES, factor=st.floats(1.0, 100.0))
def test_shaping_helps_and_noise_does_not(variances: list[float], noise: float, factor: float) -> None:
    for read_out in ("wiener", "shaped"):
        assert error(read_out, variances, noise) <= error(read_out, variances, noise * factor) + 1e-9
    unfiltered = min(1.0, len(variances) * noise**2)
    assert error("shaped", variances, noise) <= error("wiener", variances, noise) + 1e-9 <= unfiltered + 2e-9


@given(variances=VARIANCES, noise=NOISES, share=st.floats(0.0, 0.99))
def test_a_spectrum_that_majorises_has_the_smaller_error(variances: list[float], noise: float, share: float) -> None:
    """Variance moved from a poorer direction to a richer one favours the attacker; the other way round it does not."""
    falling = sorted(variances, reverse=True)
    moved = share * falling[-1]
    steeper = [falling[0] + moved, *falling[1:-1], falling[-1] - moved]
    for read_out in ("wiener", "shaped"):
        assert error(read_out, steeper, noise) <= error(read_out, falling, noise) + 1e-9


def test_directions_may_be_counted_together() -> None:
    together = gains("shaped", variances=np.array([2.0, 0.1]), counts=np.array([2.0, 3.0]), noise=0.2)
    apart = gains("shaped", variances=np.array([2.0, 2.0, 0.1, 0.1, 0.1]), counts=np.ones(5), noise=0.2)
    np.testing.assert_allclose(apart.planted, together.planted.repeat([2, 3]))
    np.testing.assert_allclose(apart.read, together.read.repeat([2, 3]))
    assert apart.error == pytest.approx(together.error)


@pytest.mark.parametrize("read_out", ["wiener", "shaped"])
def test_without_noise_the_layer_is_inverted(read_out: str) -> None:
    found = gains(read_out, variances=np.array([5.0, 1e-3, 1e-9]), counts=np.array([1.0, 2.0, 9.0]), noise=0.0)
    np.testing.assert_allclose(found.planted * found.read, 1.0)
    assert found.error == 0


def test_enormous_noise_leaves_the_most_varied_direction() -> None:
    found = gains("shaped", variances=np.array([1.0, 3.0, 2.0]), counts=np.ones(3), noise=1e12)
    np.testing.assert_allclose(found.planted**2 * [1.0, 3.0, 2.0], [0, 1, 0])


def test_nonsense_is_refused() -> None:
    for options in ({"read_out": "diffusion", "noise": 1.0}, {"read_out": "wiener", "noise": -1.0}):
        with pytest.raises(InvalidValueError):
            gains(variances=np.ones(2), counts=np.ones(2), **options)
