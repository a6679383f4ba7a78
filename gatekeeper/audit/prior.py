"""A linear prior over images: mean and covariance of held-out images, never of training images.

n images in N dimensions, n often far below N, say little of a covariance. The directions of the prior are their
principal ones, then the cosines that vary slowest, since fine detail of images varies little whatever they show; one
variance serves all other directions. Variances are those of people who did not give the directions (`crosswise`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.bands import banded
from gatekeeper.audit.cosines import slow_cosines
from gatekeeper.audit.crosswise import ROUNDING, Products, crosswise, directions, principal
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.checks import check_non_negative
from gatekeeper.core.spectrum import Spectrum
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DataError

Floats = NDArray[np.float64]

# The images used hold at most 2²⁶ values, the cosines half as many: a basis of 3/4 gibibyte.
_MOST_IMAGES, _MOST_COSINES, _MOST_VALUES = 1536, 512, 2**26
_BLOCK_VALUES = 2**22
# Fewer units say nothing about others.
_FEWEST_UNITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearPrior:
    """Mean image and covariance; private, as it is made of people's images.

    Attributes:
        mean: m in [0, 1], shape (channels, *spatial).
        basis: orthonormal directions, shape (directions, pixels).
        variances: along each direction, above 0, shape (directions,).
        rest: the variance along every direction outside the basis, above 0.
        images: how many held-out images it was estimated from.
        units: how many held-out units these images belong to.
    """

    mean: Floats
    basis: Floats
    variances: Floats
    rest: float
    images: int
    units: int

    @property
    def all_variances(self) -> Floats:
        """The variances along the basis and, last, that of the rest: shape (directions + 1,)."""
        return np.append(self.variances, self.rest)

    @property
    def counts(self) -> Floats:
        """How many directions have each of `all_variances`."""
        return np.append(np.ones(len(self.variances)), float(self.mean.size - len(self.variances)))

    @property
    def spectrum(self) -> Spectrum:
        """What may be published of it: variances in bands, without directions."""
        return banded(self.variances, rest=self.rest, pixels=self.mean.size, units=self.units)

    def weighted(self, values: Floats, *, weights: Floats) -> Floats:
        """Each row's coordinates along the basis, and the rest of the row, times weights.

        Args:
            values: centred images or read-outs, shape (rows, pixels).
            weights: one for each direction and, last, one for the rest, for all rows, shape (directions + 1,), or
                for each, shape (rows, directions + 1).
        """
        others = weights[..., -1:]
        if np.all(weights == others):
            return np.asarray(others * values)
        along = (values @ self.basis.T) * (weights[..., :-1] - others)
        return np.asarray(others * values + along @ self.basis)

    def denoise(self, readouts: Floats, *, noise_variance: float) -> Floats:
        """The Wiener filter: λ/(λ + s²) along each direction, the best linear estimate of x − m from x − m plus noise.

        Args:
            readouts: x − m plus white noise, in the units of images in [0, 1], shape (images, pixels).
            noise_variance: s² of each value, at least 0.
        """
        check_non_negative(noise_variance=noise_variance)
        variances = self.all_variances
        return self.weighted(readouts, weights=variances / (variances + noise_variance))


def _evenly(held_out: UnitImages) -> NDArray[np.int64]:
    """Indices of the images to use, evenly spread over units in order; all where they are few enough."""
    order = np.argsort(held_out.unit_of, kind="stable").astype(np.int64)
    most = min(_MOST_IMAGES, _MOST_VALUES // held_out.images[0].size)
    if len(order) <= most:
        return order
    places = (np.arange(most) * len(order)) // most
    return np.asarray(order[places])


def _blocks(images: NDArray[np.uint8], *, mean: Floats) -> Iterator[tuple[slice, Floats]]:
    """The images minus m as float64, a few pixels of all of them at a time: shape (images, some pixels)."""
    flat, centre = images.reshape(len(images), -1), mean.reshape(-1)
    size = max(1, _BLOCK_VALUES // len(images))
    for start in range(0, len(centre), size):
        piece = slice(start, start + size)
        yield piece, flat[:, piece] / 255.0 - centre[piece]


def _products(images: NDArray[np.uint8], *, mean: Floats, cosines: Floats) -> Products:
    gram, fixed = np.zeros((len(images), len(images))), np.zeros((len(images), len(cosines)))
    for piece, block in _blocks(images, mean=mean):
        gram += block @ block.T
        fixed += block @ cosines[:, piece].T
    return Products(gram=gram, fixed=fixed)


def linear_prior(held_out: UnitImages) -> LinearPrior:
    """Estimate the prior from held-out units.

    All images give the mean; at most 1,536 of them, or as many as have 2²⁶ values, the covariance: spread evenly
    over the units. A variance is never below that of rounding to a pixel's 256 values.

    Args:
        held_out: units that took no part in training, of other people.

    Raises:
        DataError: the images are of fewer than 8 units, or so large that those of 8 don't fit.
    """
    mean = mean_image(held_out.images)
    chosen = _evenly(held_out)
    unit = held_out.unit_of[chosen]
    units = len(np.unique(unit))
    if units < _FEWEST_UNITS:
        raise DataError(
            f"a prior over images needs held-out images of at least {_FEWEST_UNITS} units, got {units}",
            hint="hold out more units for testing, or use smaller images",
        )
    images = held_out.images[chosen]
    free = max(0, mean.size - len(images))
    cosines = slow_cosines(mean.shape, count=min(_MOST_COSINES, _MOST_VALUES // 2 // mean.size, free // 2))
    products = _products(images, mean=mean, cosines=cosines)
    variances = crosswise(products, unit=unit)
    kept = len(variances.along) - len(cosines)
    found = directions(principal(products.gram)[:, :kept], fixed=products.fixed)
    basis = np.empty((len(variances.along), mean.size))
    for piece, block in _blocks(images, mean=mean):
        basis[:kept, piece] = found.principal.T @ block
        basis[kept:, piece] = found.apart(cosines[:, piece], along=basis[:kept, piece])
    return LinearPrior(
        mean=mean,
        basis=basis,
        variances=np.maximum(variances.along, ROUNDING),
        rest=max(variances.outside / max(1, mean.size - len(basis)), ROUNDING),
        images=len(images),
        units=units,
    )
