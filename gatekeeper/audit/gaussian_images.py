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
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray
from scipy.special import gammainccinv, gammaincinv, ndtr, ndtri

Floats = NDArray[np.float64]

# No seed that somebody chose for its result: the first digits of π.
_KEY = 31415926535897932384
IMAGES = 16_384

# Of the polynomial that stands for an inverse distribution function, and of the interval on which it does; with more
# degrees of freedom scipy's errs at the ends, and the polynomial would everywhere.
_DEGREE, _FAR, _MOST = 96, 8.5, 100_000


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
    """χ² with `freedom` degrees of freedom, at least 0; above 0 where there are any."""
    normal = ndtri(uniform)
    if freedom <= 1:
        return np.asarray(freedom * normal**2)
    if freedom > _MOST:
        return np.asarray(2 * gammaincinv(freedom / 2, uniform))
    # Next to 0 the polynomial's error could turn a number around.
    least = 2 * gammaincinv(freedom / 2, 2.0**-53)
    return np.asarray(np.maximum(chi_squared_quantile(freedom)(normal), least))


def chi_squared_quantile(freedom: int) -> Chebyshev:
    """The number that χ² is below as often as a standard normal is below z: a polynomial in z.

    It errs by less than 1e-12 of `freedom` for |z| ≤ 8.5, which 2⁻⁵³ and 1 − 2⁻⁵³ lie within, and takes a third of the
    time of the inverse function, of which it is an interpolation (Trefethen 2013, "Approximation theory and
    approximation practice", chapter 8: the error falls geometrically).

    Args:
        freedom: degrees of freedom, from 2 to 100,000.
    """

    def exact(z: Floats) -> Floats:
        # The nearer end's probability, which no 1 − p has rounded.
        below, above = gammaincinv(freedom / 2, ndtr(-abs(z))), gammainccinv(freedom / 2, ndtr(-abs(z)))
        return np.asarray(2 * np.where(z < 0, below, above))

    return Chebyshev.interpolate(exact, _DEGREE, domain=[-_FAR, _FAR])


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
