"""NCC and SSIM as the papers write them, one pixel at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray


def naive_ncc(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The cosine of two flat images."""
    product = sum(float(a) * float(b) for a, b in zip(first, second, strict=True))
    norm = math.sqrt(sum(float(a) ** 2 for a in first)) * math.sqrt(sum(float(b) ** 2 for b in second))
    return product / norm


def _weight(place: tuple[int, ...], *, side: int) -> float:
    """Unnormalised weight of a place in the window: Gaussian for 11, uniform for 7."""
    middle = side // 2
    return math.exp(-sum((at - middle) ** 2 for at in place) / (2 * 1.5**2)) if side == 11 else 1.0


def naive_ssim(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Mean SSIM of one image (channels, *spatial) with values in [0, 1]."""
    channels, *sides = first.shape
    side = 11 if min(sides) >= 11 else 7
    window = list(itertools.product(range(side), repeat=len(sides)))
    total = sum(_weight(place, side=side) for place in window)
    values = []
    for channel in range(channels):
        for corner in itertools.product(*(range(length - side + 1) for length in sides)):
            places = []
            for place in window:
                at = (channel, *(start + offset for start, offset in zip(corner, place, strict=True)))
                places.append((_weight(place, side=side) / total, first[at], second[at]))
            mean_a = sum(w * a for w, a, _ in places)
            mean_b = sum(w * b for w, _, b in places)
            var_a = sum(w * (a - mean_a) ** 2 for w, a, _ in places)
            var_b = sum(w * (b - mean_b) ** 2 for w, _, b in places)
            covariance = sum(w * (a - mean_a) * (b - mean_b) for w, a, b in places)
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            structure = (2 * covariance + 0.03**2) / (var_a + var_b + 0.03**2)
            values.append(luminance * structure)
    return sum(values) / len(values)
