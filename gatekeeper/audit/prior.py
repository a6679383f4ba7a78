"""A linear prior over images: mean and covariance of held-out images, never of training images.

The covariance is that of n images in N dimensions, n often far below N: the principal directions of the n images (by
the Gram trick; Turk and Pentland 1991, "Eigenfaces for recognition") and one variance for all other directions. The n
images themselves vary too much along their own directions, and along all others not at all; so variances are measured
crosswise: along directions of some units' images, of other units' images. That takes the Gram matrix alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.bands import banded
from gatekeeper.audit.similarity import mean_image
from gatekeeper.core.checks import check_non_negative
from gatekeeper.core.spectrum import Spectrum
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DataError

Floats = NDArray[np.float64]

# The basis holds at most 2²⁶ values, half a gibibyte; decomposing the Gram matrix of 1,536 images takes two seconds.
_MOST_IMAGES, _MOST_VALUES = 1536, 2**26
_BLOCK_VALUES = 2**22
_FOLDS = 4
# Fewer units say nothing about others.
_FEWEST_UNITS = 8
# Directions that carry less than this share of the largest variance are lost in rounding.
_SMALLEST_SHARE = 1e-8
# Pixels are whole multiples of 1/255: nobody's prior is finer than the variance of rounding to them.
_ROUNDING = 1 / (12 * 255**2)


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


def _principal(gram: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues in falling order, and eigenvectors divided by their roots: uᵢ/√wᵢ turns images into directions."""
    values, vectors = np.linalg.eigh(gram)
    smallest = max(_SMALLEST_SHARE * values[-1], len(gram) * _ROUNDING)
    kept = np.flatnonzero(values > smallest)[::-1]
    return values[kept], vectors[:, kept] / np.sqrt(values[kept])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Crosswise:
    """Squares of other units' images along principal directions, shape (images, directions), and their ‖x − m‖²."""

    squares: Floats
    energy: Floats


def _crosswise(gram: Floats, *, own: NDArray[np.int64], others: NDArray[np.int64]) -> _Crosswise:
    """How the images `others` vary along the principal directions of the images `own`, about the mean of `own`."""
    inner, cross = gram[np.ix_(own, own)], gram[np.ix_(others, own)]
    row, grand = inner.mean(axis=0), inner.mean()
    _, directions = _principal(inner - row - row[:, None] + grand)
    # ⟨x − m, x' − m⟩ for x among others, x' among own, m the mean of own, from inner products of uncentred images.
    between = cross - cross.mean(axis=1, keepdims=True) - row + grand
    energy = np.diag(gram)[others] - 2 * cross.mean(axis=1) + grand
    return _Crosswise(squares=(between @ directions) ** 2, energy=energy)


def _folds(gram: Floats, *, unit: NDArray[np.int64]) -> list[_Crosswise]:
    """Every fourth unit's images against those of all other units, four times, so that each is once among `others`."""
    left_out = np.unique(unit, return_inverse=True)[1] % _FOLDS
    return [
        _crosswise(gram, own=np.flatnonzero(left_out != fold), others=np.flatnonzero(left_out == fold))
        for fold in range(_FOLDS)
    ]


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
    gram = np.zeros((len(images), len(images)))
    for _, block in _blocks(images, mean=mean):
        gram += block @ block.T
    folds = _folds(gram, unit=unit)
    _, directions = _principal(gram)
    kept = min(directions.shape[1], mean.size, *(fold.squares.shape[1] for fold in folds))
    variances = np.concatenate([fold.squares[:, :kept] for fold in folds]).mean(axis=0)
    energy = np.concatenate([fold.energy for fold in folds]).mean()
    basis = np.empty((kept, mean.size))
    for piece, block in _blocks(images, mean=mean):
        basis[:, piece] = directions[:, :kept].T @ block
    outside = (energy - variances.sum()) / max(1, mean.size - kept)
    return LinearPrior(
        mean=mean,
        basis=basis,
        variances=np.maximum(variances, _ROUNDING),
        rest=max(float(outside), _ROUNDING),
        images=len(images),
        units=units,
    )
