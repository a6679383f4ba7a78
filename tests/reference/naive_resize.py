"""Resizing by a triangle filter whose width grows with the reduction, weight by weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resize(image: NDArray[np.uint8], *, height: int, width: int) -> NDArray[np.float64]:
    """`image`, of shape (rows, columns), at another size; not rounded."""
    return _rows(_rows(image.T.astype(float), width).T, height)


def _rows(image: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    scale = len(image) / count
    resized = []
    for row in range(count):
        centre = (row + 0.5) * scale
        weights = [max(0.0, 1 - abs(source + 0.5 - centre) / max(scale, 1.0)) for source in range(len(image))]
        resized.append(sum(weight * line for weight, line in zip(weights, image, strict=True)) / sum(weights))
    return np.array(resized)
