"""Images that are Gaussian with a known covariance, and the prior of somebody who knows it."""

from __future__ import annotations

import numpy as np

from gatekeeper.audit.prior import LinearPrior
from tests.tiny import TinyUnits

SIDE = 12
PIXELS = SIDE * SIDE
DIRECTIONS = 30


def image_variances() -> np.ndarray:
    """Falling with the rank along thirty directions, and alike along the others; far above a pixel's rounding."""
    variances = np.full(PIXELS, 1e-4)
    variances[:DIRECTIONS] = 0.1 / np.arange(1, DIRECTIONS + 1) ** 1.5
    return variances


def _directions() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(7).standard_normal((PIXELS, PIXELS)))[0].T


def known_prior(*, whole: bool = False) -> LinearPrior:
    """The true mean, directions and variances; with `whole` the basis is that of the whole space."""
    kept = PIXELS if whole else DIRECTIONS
    return LinearPrior(
        mean=np.full((1, SIDE, SIDE), 0.5),
        basis=_directions()[:kept],
        variances=image_variances()[:kept],
        rest=1e-4,
        images=1000,
        units=1000,
    )


def gaussian_units(*, units: int, seed: int, images_per_unit: int = 1) -> TinyUnits:
    """Units of Gaussian images about grey, as whole pixel values."""
    count = units * images_per_unit
    coordinates = np.random.default_rng(seed).standard_normal((count, PIXELS)) * np.sqrt(image_variances())
    values = 0.5 + coordinates @ _directions()
    return TinyUnits(
        images=np.round(255 * values).clip(0, 255).astype(np.uint8).reshape(count, 1, SIDE, SIDE),
        labels=np.zeros(count, dtype=np.int64),
        unit_of=np.repeat(np.arange(units), images_per_unit),
        units=units,
    )


def smooth_units(*, units: int, seed: int, side: int = 48) -> TinyUnits:
    """One image a unit with a power spectrum that falls with the fourth power of the frequency, about grey."""
    frequency = np.fft.fftfreq(side)
    amplitude = 1 / (frequency[:, None] ** 2 + frequency**2 + 1e-3)
    noise = np.random.default_rng(seed).standard_normal((units, side, side))
    values = np.fft.ifft2(np.fft.fft2(noise) * amplitude).real
    images = np.round(128 + 30 * values / values.std()).clip(0, 255).astype(np.uint8)
    own = np.arange(units)
    return TinyUnits(images=images[:, None], labels=np.zeros_like(own), unit_of=own, units=units)
