"""How images vary along directions that other people's images gave.

The directions are the principal ones of some images (by the Gram trick; Turk and Pentland 1991, "Eigenfaces for
recognition"), then fixed vectors made orthogonal to them one after the other (Gram and Schmidt). Images vary too much
along their own principal directions, and outside of them not at all; so directions are taken from three quarters of
the units, variances from the images of the fourth, four times. Inner products of the images with each other and with
the fixed vectors are all that it takes, however many pixels there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FOLDS = 4
# Principal directions that carry less than this share of the largest variance are lost in rounding.
_SMALLEST_SHARE = 1e-6
_RIDGE = 1e-9
# Pixels are whole multiples of 1/255: nobody's prior is finer than the variance of rounding to them.
ROUNDING = 1 / (12 * 255**2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Products:
    """Inner products of images, all about the same centre.

    Attributes:
        gram: with each other, shape (images, images).
        fixed: with the fixed vectors, shape (images, vectors).
    """

    gram: Floats
    fixed: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Directions:
    """Orthonormal directions V, then W, of images X (one a row, minus their mean) and fixed vectors F.

    Attributes:
        principal: P with V = PᵀX, shape (images, principal).
        inside: B = FVᵀ, what of the fixed vectors lies along V, shape (vectors, principal).
        factor: lower triangular L with W = L⁻¹(F − BV), shape (vectors, vectors).
    """

    principal: Floats
    inside: Floats
    factor: Floats

    def apart(self, fixed: Floats, *, along: Floats) -> Floats:
        """W applied to something, from F and V applied to it: L⁻¹(F − BV), shape (vectors, …)."""
        return np.asarray(np.linalg.solve(self.factor, fixed - self.inside @ along))


@dataclass(frozen=True, kw_only=True, slots=True)
class Variances:
    """How other people's images vary.

    Attributes:
        along: the variance along each direction, principal ones first, shape (directions,).
        outside: the variance in all other directions together; may be below 0 by rounding.
    """

    along: Floats
    outside: float


def principal(gram: Floats) -> Floats:
    """Eigenvectors over the roots of their eigenvalues, the largest first: P, shape (images, directions)."""
    values, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(values > max(_SMALLEST_SHARE * values[-1], len(gram) * ROUNDING))[::-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def directions(principal: Floats, *, fixed: Floats) -> Directions:
    """V and W from P and the inner products of the same images with the fixed vectors."""
    inside = fixed.T @ principal
    # What is left of F outside V has the Gram matrix I − BBᵀ = LLᵀ.
    # A fixed vector that lies along V leaves nothing; the ridge, above the rounding of V, makes of it a row of zeros.
    left = (1 + _RIDGE) * np.eye(len(inside)) - inside @ inside.T
    return Directions(principal=principal, inside=inside, factor=np.asarray(np.linalg.cholesky(left)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fold:
    """Products of the images that give directions, among themselves, and of the `others` with them and themselves.

    All are about the mean of the former; `energy` is ‖x‖² of the others.
    """

    own: Products
    others: Products
    energy: Floats


def _fold(products: Products, *, left_out: NDArray[np.bool_]) -> _Fold:
    own, others = np.flatnonzero(~left_out), np.flatnonzero(left_out)
    inner, cross = products.gram[np.ix_(own, own)], products.gram[np.ix_(others, own)]
    row, grand, fixed = inner.mean(axis=0), inner.mean(), products.fixed[own].mean(axis=0)
    towards = cross.mean(axis=1, keepdims=True)
    return _Fold(
        own=Products(gram=inner - row - row[:, None] + grand, fixed=products.fixed[own] - fixed),
        others=Products(gram=cross - towards - row + grand, fixed=products.fixed[others] - fixed),
        energy=np.diag(products.gram)[others] - 2 * towards[:, 0] + grand,
    )


def _squares(fold: _Fold, found: Directions) -> Floats:
    """Squares of the others' coordinates, shape (others, directions)."""
    along = fold.others.gram @ found.principal
    return np.asarray(np.hstack([along, found.apart(fold.others.fixed.T, along=along.T).T]) ** 2)


def crosswise(products: Products, *, unit: Indices) -> Variances:
    """Variances along as many principal directions as every fold has, and along the fixed vectors; and outside.

    Args:
        products: of all images.
        unit: the unit of each image, shape (images,); the images of a unit are left out together.
    """
    group = np.unique(unit, return_inverse=True)[1] % FOLDS
    folds = [_fold(products, left_out=group == number) for number in range(FOLDS)]
    principals = [principal(fold.own.gram) for fold in folds]
    kept = min(found.shape[1] for found in principals)
    squares = [
        _squares(fold, directions(found[:, :kept], fixed=fold.own.fixed))
        for fold, found in zip(folds, principals, strict=True)
    ]
    along = np.concatenate(squares).mean(axis=0)
    energy = np.concatenate([fold.energy for fold in folds]).mean()
    return Variances(along=along, outside=float(energy - along.sum()))
