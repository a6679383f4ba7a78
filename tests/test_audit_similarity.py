from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.audit.similarity import centred, mean_image, ncc, ssim
from gatekeeper.errors import DataError
from tests.reference.audit_naive_similarity import naive_ncc, naive_ssim


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 15), (1, 7, 30), (2, 7, 8, 9), (1, 11, 12, 11)])
def test_ssim_agrees_with_one_pixel_at_a_time(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    first = rng.random((3, *shape))
    disturbed = np.array([0.0, 0.3, 0.0]).reshape(3, *[1] * len(shape))
    second = np.clip(first + disturbed * rng.standard_normal((3, *shape)), 0, 1)
    second[2] = rng.random(shape)
    expected = [naive_ssim(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ssim(first, second), expected, rtol=1e-9)
    assert ssim(first, second)[0] == pytest.approx(1.0)


def test_ncc_agrees_with_one_pixel_at_a_time() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 40))
    expected = [naive_ncc(a, b) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ncc(first, second), expected, rtol=1e-12)


@given(scale=st.floats(1e-200, 1e200), seed=st.integers(0, 100))
def test_ncc_is_free_of_scale(scale: float, seed: int) -> None:
    first, second = np.random.default_rng(seed).standard_normal((2, 1, 30))
    assert ncc(first, scale * second)[0] == pytest.approx(ncc(first, second)[0], rel=1e-9)


def test_the_mean_image_itself_resembles_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(4, 1, 8, 8)).astype(np.uint8)
    same = np.repeat(images[:1], 3, axis=0)
    nothing = centred(same, mean=mean_image(same))
    assert np.abs(nothing).max() < 1e-15
    assert ncc(np.zeros_like(nothing), centred(images[1:], mean=mean_image(same))).tolist() == [0.0, 0.0, 0.0]


def test_centring_is_what_keeps_the_mean_from_passing_for_a_reconstruction() -> None:
    rng = np.random.default_rng(0)
    common = rng.integers(60, 190, size=(1, 1, 16, 16))
    images = (common + rng.integers(-20, 21, size=(60, 1, 16, 16))).astype(np.uint8)
    mean = mean_image(images[:30])
    raw = ncc(images[30:].reshape(30, -1) / 255.0, images[:30].reshape(30, -1) / 255.0)
    after = ncc(centred(images[30:], mean=mean), centred(images[:30], mean=mean))
    assert raw.min() > 0.9
    assert np.abs(after).max() < 0.3


def test_images_smaller_than_a_window_are_refused() -> None:
    with pytest.raises(DataError, match="at least 7 pixels along every axis, got 6×20"):
        ssim(np.zeros((1, 1, 6, 20)), np.zeros((1, 1, 6, 20)))
