"""Images that are Gaussian with a given spectrum, drawn as verifiers can draw them again.

All that a read-out that is diagonal in the eigenbasis depends on are three sums over the n directions of each band, of
an image x and of standard normal noise z:

    Σx² = λ·χ²ₙ,   Σxz = √(Σx²)·g,   Σz² = g² + χ²ₙ₋₁,   g ~ N(0, 1), all independent

(g is the noise along x, the rest the noise across it). They are drawn through inverse distribution functions from the
raw bits of a counter-based generator (Philox; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), whose
stream is part of its definition: the same draws, but for rounding, on every machine and under every version of numpy.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

Floats = NDArray[np.float64]

# No seed that somebody chose for its result: the first digits of π.
_KEY = 31415926535897932384
IMAGES = 16_384


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """The sums over each band's directions, for images of variance 1 along every direction.

    Attributes:
        image: Σx², shape (images, bands).
        cross: Σxz, shape (images, bands).
        noise: Σz², shape (images, bands).
    """

    image: Floats
    cross: Floats
    noise: Floats


def _uniform(generator: np.random.Philox, size: int) -> Floats:
    """Uniform numbers strictly between 0 and 1: the middles of 2⁵² cells, each a float64 exactly."""
    return np.asarray(((generator.random_raw(size) >> np.uint64(12)) + 0.5) * 2.0**-52)


def _chi_squared(uniform: Floats, *, freedom: int) -> Floats:
    """χ² with `freedom` degrees of freedom, at least 0."""
    if freedom <= 1:
        return np.asarray(freedom * ndtri(uniform) ** 2)
    return np.asarray(2 * gammaincinv(freedom / 2, uniform))


@lru_cache(maxsize=2)
def draw(counts: tuple[int, ...]) -> Draws:
    """Draws of `IMAGES` images whose bands have `counts` directions each; the same ones in every call.

    Args:
        counts: each at least 1.
    """
    uniform = _uniform(np.random.Philox(key=_KEY), 3 * len(counts) * IMAGES).reshape(len(counts), 3, IMAGES)
    image, across, along = (np.empty((IMAGES, len(counts))) for _ in range(3))

    def fill(band: int) -> None:
        image[:, band] = _chi_squared(uniform[band, 0], freedom=counts[band])
        along[:, band] = ndtri(uniform[band, 1])
        across[:, band] = _chi_squared(uniform[band, 2], freedom=counts[band] - 1)

    # Nearly all of its time goes into inverse functions, which other threads need not wait for.
    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(len(counts))))
    result = Draws(image=image, cross=np.sqrt(image) * along, noise=along**2 + across)
    for array in (result.image, result.cross, result.noise):
        array.flags.writeable = False
    return result
