"""Which units an audit attacks: a random sample, for statements about all, and a worst-k stratum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.similarity import centred
from gatekeeper.core.units import UnitImages


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """Indices of training units.

    Attributes:
        sample: drawn without replacement, shape (sample,).
        worst: the worst-k stratum, shape (worst,).
    """

    sample: NDArray[np.int64]
    worst: NDArray[np.int64]


def unit_norms(train: UnitImages, *, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest ‖x − m‖ over each unit's images, shape (units,)."""
    rows = rows_of(train, units=np.arange(train.units, dtype=np.int64))
    norms = [
        np.linalg.norm(centred(train.images[piece.image], mean=mean), axis=1)
        for piece in rows.batches(pixels=mean.size)
    ]
    return rows.best(np.concatenate(norms))


def _rarity(train: UnitImages) -> NDArray[np.float64]:
    """The share of images that don't bear the rarest label of a unit, for each unit, shape (units,)."""
    shares = np.bincount(train.labels) / len(train.labels)
    rarest = np.full(train.units, np.inf)
    np.minimum.at(rarest, train.unit_of, shares[train.labels])
    return np.asarray(1 - rarest)


def worst_units(train: UnitImages, *, mean: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """The worst-k stratum: half of it the units furthest from the mean image, half those of the rarest classes.

    Memorisation sits in the tail: outliers (largest ‖x − m‖ over a unit's images) and rare labels (Feldman 2020, "Does
    learning require memorization?"). The first half, rounded up, takes the largest norms; the rest takes, of the
    units that remain, those whose rarest label is rarest in the data set, larger norms first among equals.

    Args:
        train: the training units.
        mean: m, the held-out mean image, shape (channels, *spatial).
        size: k; the whole data set where it has fewer units.
    """
    norms = unit_norms(train, mean=mean)
    by_norm = np.argsort(-norms, kind="stable")
    far = by_norm[: (size + 1) // 2]
    others = by_norm[len(far) :]
    rare = others[np.argsort(-_rarity(train)[others], kind="stable")][: size - len(far)]
    return np.concatenate((far, rare)).astype(np.int64)


def choose_targets(
    train: UnitImages, *, mean: NDArray[np.float64], sample: int, worst: int, rng: np.random.Generator
) -> Targets:
    """A random sample of min(`sample`, all) units without replacement, and the worst-k stratum."""
    drawn = rng.choice(train.units, size=min(sample, train.units), replace=False)
    return Targets(sample=drawn.astype(np.int64), worst=worst_units(train, mean=mean, size=worst))
