"""Pairs of images whose normalised cross-correlation (NCC) reaches a threshold: found by small sums, proven by pixels.

An image, less its mean and scaled to norm 1, is a unit vector u, and the NCC of two images is u·v. Let P project onto
the images that are constant on the blocks of a coarse grid. By Cauchy–Schwarz

    u·v = Pu·Pv + (u − Pu)·(v − Pv) ≤ Pu·Pv + √(1 − ‖Pu‖²) √(1 − ‖Pv‖²),

which is the inner product of the short vectors (Pu, √(1 − ‖Pu‖²)). So a pair whose short vectors stay below the
threshold is none, and the others are few: their NCC is computed from all pixels. Nothing is missed, and nothing is
claimed that was not computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.duplicates import LikePair, NearDuplicates
from gatekeeper.data.pseudonyms import Pseudonyms
from gatekeeper.data.records import ImageTable, Side

# Blocks along each spatial side: of two sides, and of three.
_BLOCKS = {2: 8, 3: 4}
_ROWS = 512  # images that are compared at once
# Above what float32 loses in an inner product of unit vectors of a few hundred numbers.
_ROUNDING = 1e-4
# Pairs that pass the short vectors; at some 20,000 a second this is about a minute.
MOST_CANDIDATES = 1_000_000
_SHOWN = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """Two rows and their NCC."""

    first: int
    second: int
    ncc: float


def near_duplicates(
    table: ImageTable,
    sides: tuple[Side, ...],
    *,
    threshold: float,
    pseudonyms: Pseudonyms,
    most_candidates: int = MOST_CANDIDATES,
) -> NearDuplicates:
    """Pairs of images of different units with NCC ≥ τ that are not identical.

    Args:
        table: every image.
        sides: the side of each.
        threshold: τ, above 0 and at most 1.
        pseudonyms: by what names units appear.
        most_candidates: how many pairs are compared pixel by pixel before the search stops.
    """
    vectors = short_vectors(table.images)
    units = np.unique(np.array(table.units), return_inverse=True)[1]
    budget, pairs, complete = most_candidates, list[_Pair](), True
    for found in _candidates(vectors, units, threshold=threshold):
        complete = len(found) <= budget
        pairs += _proven(table.images, found[:budget], threshold=threshold)
        budget -= len(found)
        if not complete:
            break
    ordered = sorted(pairs, key=lambda pair: (sides[pair.first] == sides[pair.second], -pair.ncc))
    return NearDuplicates(
        threshold=threshold,
        complete=complete,
        pairs=len(pairs),
        between_sides=sum(sides[pair.first] != sides[pair.second] for pair in pairs),
        closest=tuple(_like(pair, table, sides, pseudonyms) for pair in ordered[:_SHOWN]),
        flat_images=int((~vectors.any(axis=1)).sum()),
    )


def short_vectors(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(Pu, √(1 − ‖Pu‖²)) of every image; zero for an image of one colour, which has no NCC.

    Args:
        images: pixel values, uint8, shape (images, channels, *spatial), of two or three spatial axes.

    Returns:
        Shape (images, channels · blocks + 1); each row has norm 1, or is zero.
    """
    length = _block_means(np.zeros(images.shape[1:])).size + 1
    vectors = np.zeros((len(images), length), dtype=np.float32)
    for row, image in enumerate(images):
        unit = _unit_vector(image)
        if unit is not None:
            short = _block_means(unit.reshape(image.shape)).ravel()
            vectors[row] = np.append(short, np.sqrt(max(0.0, 1.0 - float(short @ short))))
    return vectors


def _unit_vector(image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """An image less its mean, scaled to norm 1, flat; None where every value is the same."""
    values = image.ravel().astype(np.float64)
    if values.min() == values.max():
        return None
    values -= values.mean()
    return values / np.linalg.norm(values)


def _block_means(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coordinates of Pu: of each block the sum over √(its size), one axis after the other."""
    for axis in range(1, unit.ndim):
        count = min(_BLOCKS[unit.ndim - 1], unit.shape[axis])
        starts = np.arange(count) * unit.shape[axis] // count
        sizes = np.diff(np.append(starts, unit.shape[axis]))
        shape = [1] * unit.ndim
        shape[axis] = count
        unit = np.add.reduceat(unit, starts, axis=axis) / np.sqrt(sizes).reshape(shape)
    return unit


def _candidates(
    vectors: NDArray[np.float32], units: NDArray[np.intp], *, threshold: float
) -> Iterator[NDArray[np.intp]]:
    """Pairs of rows of different units that may reach the threshold, shape (pairs, 2), a block of rows at a time."""
    for start in range(0, len(vectors), _ROWS):
        block = vectors[start : start + _ROWS]
        above = block @ vectors[start:].T >= threshold - _ROUNDING
        above &= units[start : start + _ROWS, np.newaxis] != units[start:]
        first, second = np.nonzero(np.triu(above, k=1))
        yield np.stack([first, second], axis=1) + start


def _proven(images: NDArray[np.uint8], pairs: NDArray[np.intp], *, threshold: float) -> Iterator[_Pair]:
    """The pairs whose pixels reach the threshold and differ."""
    for first, second in pairs.tolist():
        if np.array_equal(images[first], images[second]):
            continue
        one, other = _unit_vector(images[first]), _unit_vector(images[second])
        ncc = 0.0 if one is None or other is None else float(one @ other)
        if ncc >= threshold:
            yield _Pair(first=first, second=second, ncc=min(ncc, 1.0))


def _like(pair: _Pair, table: ImageTable, sides: tuple[Side, ...], pseudonyms: Pseudonyms) -> LikePair:
    return LikePair(
        first=pseudonyms.mention(table, pair.first),
        first_side=sides[pair.first],
        second=pseudonyms.mention(table, pair.second),
        second_side=sides[pair.second],
        ncc=pair.ncc,
    )
