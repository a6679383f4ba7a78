"""How alike two images are: the cosine of centred images (NCC) and structural similarity (SSIM), in float64.

Images of one kind look alike before anybody reconstructs anything, so NCC compares them after subtracting the mean
image of held-out units; without that the mean alone would pass for a reconstruction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from gatekeeper.errors import DataError

Floats = NDArray[np.float64]

# Wang et al. 2004, section III.B and III.C.
_GAUSSIAN_SIDE, _GAUSSIAN_SIGMA = 11, 1.5
_UNIFORM_SIDE = 7
_K1, _K2 = 0.01, 0.03


def mean_image(images: NDArray[np.uint8]) -> Floats:
    """The mean image, in [0, 1].

    Args:
        images: uint8, shape (images, channels, *spatial), at least one.

    Returns:
        Shape (channels, *spatial).
    """
    return np.asarray(images.mean(axis=0, dtype=np.float64)) / 255


def centred(images: NDArray[np.uint8], *, mean: Floats) -> Floats:
    """Images in [0, 1] minus the mean image: float64, shape (images, pixels)."""
    return np.asarray((images / 255.0 - mean).reshape(len(images), -1))


def ncc(first: Floats, second: Floats) -> Floats:
    """The cosine of centred images, row by row; 0 where one of the two is the mean image itself.

    Args:
        first: centred images or read-outs, shape (images, pixels).
        second: the same.

    Returns:
        Shape (images,), in [−1, 1] up to rounding.
    """
    # Scaled by the largest entry first, so that squares neither overflow nor vanish.
    scale_first = np.abs(first).max(axis=1, keepdims=True)
    scale_second = np.abs(second).max(axis=1, keepdims=True)
    defined = (scale_first > 0) & (scale_second > 0)
    a = first / np.where(defined, scale_first, 1.0)
    b = second / np.where(defined, scale_second, 1.0)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    products = np.einsum("ij,ij->i", a, b)
    return np.where(defined[:, 0], products / np.where(defined[:, 0], norms, 1.0), 0.0)


def _window(sides: tuple[int, ...]) -> Floats:
    """Weights of one side of the local window: Gaussian where it fits, else uniform."""
    side = min(sides)
    if side >= _GAUSSIAN_SIDE:
        offsets = np.arange(_GAUSSIAN_SIDE) - _GAUSSIAN_SIDE // 2
        weights = np.exp(-(offsets**2) / (2 * _GAUSSIAN_SIGMA**2))
        return np.asarray(weights / weights.sum())
    if side >= _UNIFORM_SIDE:
        return np.full(_UNIFORM_SIDE, 1 / _UNIFORM_SIDE)
    raise DataError(
        f"SSIM needs images of at least {_UNIFORM_SIDE} pixels along every axis, got {'×'.join(map(str, sides))}",
        hint="use measure: ncc, or larger images",
    )


def ssim(first: Floats, second: Floats) -> Floats:
    """Mean structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, equation 13), averaged over channels.

    Gaussian window of 11 pixels a side and standard deviation 1.5, or a uniform one of 7 for images with a side
    below 11; windows that lie wholly inside; K₁ = 0.01, K₂ = 0.03; dynamic range 1; weighted population variances.
    Windows of volumes are cubes.

    Args:
        first: images in [0, 1], shape (images, channels, *spatial), sides of at least 7.
        second: the same.

    Returns:
        Shape (images,), at most 1.

    Raises:
        DataError: the images are too small for a window.
    """
    window = _window(first.shape[2:])
    inside = slice(len(window) // 2, -(len(window) // 2))
    axes = range(2, first.ndim)

    def local_mean(values: Floats) -> Floats:
        for axis in axes:
            values = correlate1d(values, window, axis=axis)
        return np.asarray(values[(slice(None), slice(None), *(inside for _ in axes))])

    c1, c2 = _K1**2, _K2**2
    mean_a, mean_b = local_mean(first), local_mean(second)
    var_a, var_b = local_mean(first**2) - mean_a**2, local_mean(second**2) - mean_b**2
    covariance = local_mean(first * second) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return np.asarray((luminance * structure).mean(axis=(1, *axes)))
