"""Which of many candidates is closest to an image by NCC: cosines of all pairs, by one matrix product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.similarity import centred

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Closest:
    """The closest candidate of each image.

    Attributes:
        index: among the candidates, shape (images,).
        ncc: its NCC, shape (images,).
    """

    index: NDArray[np.int64]
    ncc: Floats


def directions(rows: Floats) -> Floats:
    """Each row scaled to norm 1; a row of zeros stays one. Shape (rows, pixels).

    Scaled by the largest entry first, so that squares neither overflow nor vanish.
    """
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = rows / np.where(largest > 0, largest, 1.0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(norms > 0, norms, 1.0))


def closest(candidates: Floats, *, images: NDArray[np.uint8], mean: Floats) -> Closest:
    """The candidate of the largest NCC with each centred image.

    Args:
        candidates: centred and of norm 1 (`directions`), shape (candidates, pixels), at least one.
        images: uint8, shape (images, channels, *spatial).
        mean: what images are centred by, shape (channels, *spatial).
    """
    cosines = directions(centred(images, mean=mean)) @ candidates.T
    index = cosines.argmax(axis=1)
    return Closest(index=index, ncc=cosines[np.arange(len(images)), index])
