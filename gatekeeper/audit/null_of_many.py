"""The null of an attack that hands in many candidates: the best of as many strangers' images.

An attack that offers c candidates succeeds with a unit if any of them is close enough. So does somebody who hands in c
other people's images, and the more of them the closer the best one is. The threshold is calibrated on that; for c = 1
it is that of `null`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatekeeper.audit.directions import directions
from gatekeeper.audit.null import NULL_UNITS, calibrated_on, distinct_units, similarities, strangers_among
from gatekeeper.audit.rows import digests, rows_of
from gatekeeper.audit.similarity import centred, mean_image
from gatekeeper.core.checks import check_integer
from gatekeeper.core.risk import Measure, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages

# The strangers that units' candidates are drawn from: at most so many, and so many pixel values (128 MiB in float64).
_POOL_IMAGES, _POOL_VALUES = 2**11, 2**24


def best_of_strangers(
    *,
    measure: Measure,
    audited: UnitImages,
    units: NDArray[np.int64],
    held_out: UnitImages,
    candidates: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """For each distinct audited unit, the best over its images of the similarity to the closest of c strangers.

    Each unit meets c strangers of its own, drawn without replacement: all there are where c is more. The closest by NCC
    is the one that is compared, as in the attack. Given the strangers that are drawn from, units' similarities are
    independent and alike.

    Args:
        measure: how images are compared.
        audited: the training units.
        units: indices of those to use, shape (units,).
        held_out: units of other people, none of which took part in training.
        candidates: c, at least 1.
        rng: draws the strangers.

    Returns:
        Shape (distinct units,).

    Raises:
        DataError: no held-out image differs from the audited ones.
    """
    check_integer(candidates=candidates, at_least=1)
    rows = rows_of(audited, units=units)
    keys = digests(audited.images, rows.image)
    rows = rows_of(audited, units=units[distinct_units(rows, keys)])
    mean = mean_image(held_out.images)
    most = max(candidates, min(_POOL_IMAGES, _POOL_VALUES // mean.size))
    pool = rng.permutation(strangers_among(held_out, not_among=set(keys)))[:most]
    strangers = directions(centred(held_out.images[pool], mean=mean))
    order = rng.random((rows.units, len(pool)))
    few = min(candidates, len(pool))
    drawn = order <= np.partition(order, few - 1, axis=1)[:, few - 1 : few]
    values = []
    for piece in rows.batches(pixels=max(strangers.shape)):
        images = audited.images[piece.image]
        cosines = directions(centred(images, mean=mean)) @ strangers.T
        index = np.where(drawn[piece.owner], cosines, -np.inf).argmax(axis=1)
        values.append(similarities(measure=measure, first=images, second=held_out.images[pool[index]], mean=mean))
    return rows.best(np.concatenate(values))


def calibrate_null_of_many(
    similarity: Similarity,
    *,
    audited: UnitImages,
    units: NDArray[np.int64],
    held_out: UnitImages,
    candidates: int,
    confidence: float,
    rng: np.random.Generator,
) -> NullCalibration:
    """The threshold τ for an attack that offers c candidates; see `null.calibrate_null`, whose errors it raises.

    Args:
        similarity: the rule's definition of success.
        audited: the training units.
        units: indices of those to use, shape (units,), at least one.
        held_out: units of other people, none of which took part in training.
        candidates: c, at least 1.
        confidence: one-sided confidence of each limit of the quantile.
        rng: draws the strangers.
    """
    values = best_of_strangers(
        measure=similarity.measure, audited=audited, units=units, held_out=held_out, candidates=candidates, rng=rng
    )
    return calibrated_on(values, similarity=similarity, confidence=confidence, candidates=candidates)


def nulls_of_many(
    similarities: tuple[Similarity, ...],
    *,
    audited: UnitImages,
    held_out: UnitImages,
    candidates: int,
    confidence: float,
    known: tuple[NullCalibration, ...],
    rng: np.random.Generator,
) -> tuple[NullCalibration, ...]:
    """The threshold of each definition of success, for an attack that offers c candidates.

    Args:
        similarities: the definitions.
        audited: the training units, of which `NULL_UNITS` at most are compared.
        held_out: units of other people, none of which took part in training.
        candidates: c, at least 1.
        confidence: one-sided confidence of each limit of the quantile.
        known: what was calibrated for other attacks; serves again where they offer as many.
        rng: chooses units and strangers.
    """
    calibrated = {null.similarity: null for null in known if null.candidates == candidates}
    return tuple(
        calibrated.get(similarity)
        or calibrate_null_of_many(
            similarity,
            audited=audited,
            units=rng.permutation(audited.units)[:NULL_UNITS],
            held_out=held_out,
            candidates=candidates,
            confidence=confidence,
            rng=rng,
        )
        for similarity in similarities
    )
