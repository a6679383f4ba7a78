"""The null: how alike a training image and somebody else's image are, before anybody attacks.

A reconstruction counts only if it shows more of the image than handing in another person's image would. The threshold τ
is a lower confidence limit of a quantile, over units, of the similarity that one random held-out image reaches: for
attacks that hand in one image for each unit (`null_of_many` for those that hand in more). Held-out units share no
person with training units: the split guarantees it. Given the held-out images, the units' similarities are independent
and alike, so order statistics give limits without any assumption on their distribution (David and Nagaraja 2003,
section 7.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc

from gatekeeper.audit.rows import Rows, digests, rows_of
from gatekeeper.audit.similarity import centred, mean_image, ncc, ssim
from gatekeeper.core.adversary import Adversary
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.risk import Measure, NullCalibration, Similarity
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import DataError

# The closed forms need τ below 1, and a perfect read-out must pass it after rounding; lower is stricter.
HIGHEST_THRESHOLD = 1 - 1e-9

# More units than this move the threshold by less than its own confidence limits. Fewer than there are would make it a
# matter of luck: on the digits it swung between 0.56 and 0.77 with 300 units.
NULL_UNITS = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantileLimits:
    """One-sided confidence limits of a quantile; `high` is infinite where too few values were seen."""

    low: float
    high: float


def quantile_limits(values: NDArray[np.float64], *, quantile: float, confidence: float) -> QuantileLimits:
    """Order-statistic limits of a quantile of the distribution that `values` are independent draws from.

    low is the r-th smallest value, r the largest with P(Bin(n, p) ≥ r) ≥ confidence; high the s-th, s the smallest with
    P(Bin(n, p) ≤ s − 1) ≥ confidence. Ties make either conservative.

    Args:
        values: shape (n,).
        quantile: p, strictly between 0 and 1.
        confidence: of each limit alone, strictly between 0 and 1.

    Raises:
        DataError: there are too few values for any lower limit.

    >>> quantile_limits(np.arange(1.0, 301.0), quantile=0.99, confidence=0.95)
    QuantileLimits(low=294.0, high=300.0)
    """
    check_open_probability(quantile=quantile)
    check_open_probability(confidence=confidence)
    n = len(values)
    ranks = np.arange(1, n + 1)
    reaches = bdtrc(ranks - 1.0, n, quantile) >= confidence
    if not reaches.any():
        needed = math.ceil(math.log1p(-confidence) / math.log1p(-quantile))
        raise DataError(
            f"{n} units are too few for a lower limit of the {quantile!r} quantile at confidence {confidence!r}",
            hint=f"audit at least {needed} units, lower null_confidence, or raise above_null",
        )
    ordered = np.sort(values)
    covers = bdtr(ranks - 1.0, n, quantile) >= confidence
    return QuantileLimits(
        low=float(ordered[np.flatnonzero(reaches)[-1]]),
        high=float(ordered[np.flatnonzero(covers)[0]]) if covers.any() else math.inf,
    )


def similarities(
    *, measure: Measure, first: NDArray[np.uint8], second: NDArray[np.uint8], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The similarity of two stacks of real images, pair by pair, shape (images,)."""
    if measure == "ncc":
        return ncc(centred(first, mean=mean), centred(second, mean=mean))
    return ssim(first / 255.0, second / 255.0)


def distinct_units(rows: Rows, keys: list[bytes]) -> NDArray[np.int64]:
    """Positions of the units whose images don't all occur in earlier units: copies would count one person twice."""
    seen: set[bytes] = set()
    kept: list[int] = []
    for unit in range(rows.units):
        start, end = np.searchsorted(rows.owner, [unit, unit + 1])
        own = set(keys[start:end])
        if not own <= seen:
            kept.append(unit)
        seen |= own
    return np.array(kept, dtype=np.int64)


def strangers_among(held_out: UnitImages, *, not_among: set[bytes]) -> NDArray[np.int64]:
    """Indices of the distinct held-out images, less those that are also training images."""
    keys = digests(held_out.images, np.arange(len(held_out.images)))
    first = {key: index for index, key in reversed(list(enumerate(keys))) if key not in not_among}
    if not first:
        raise DataError(
            "no held-out image differs from the audited images, so there is no null to compare with",
            hint="hold out units of other people for testing",
        )
    return np.array(sorted(first.values()), dtype=np.int64)


def null_similarities(
    *,
    measure: Measure,
    audited: UnitImages,
    units: NDArray[np.int64],
    held_out: UnitImages,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """For each distinct audited unit, the best over its images of the similarity to one random held-out image.

    Args:
        measure: how images are compared.
        audited: the training units.
        units: indices of those to use, shape (units,).
        held_out: units of other people, none of which took part in training.
        rng: draws the held-out image of each unit.

    Returns:
        Shape (distinct units,).

    Raises:
        DataError: no held-out image differs from the audited ones.
    """
    rows = rows_of(audited, units=units)
    keys = digests(audited.images, rows.image)
    rows = rows_of(audited, units=units[distinct_units(rows, keys)])
    strangers = strangers_among(held_out, not_among=set(keys))
    drawn = rng.choice(strangers, size=rows.units)
    mean = mean_image(held_out.images)
    values = [
        similarities(
            measure=measure, first=audited.images[piece.image], second=held_out.images[drawn[piece.owner]], mean=mean
        )
        for piece in rows.batches(pixels=mean.size)
    ]
    return rows.best(np.concatenate(values))


def _coarse(limits: QuantileLimits) -> QuantileLimits:
    """The limits to three decimals, outwards: all digits of a similarity would identify the two images behind it."""
    low = math.floor(limits.low * 1000) / 1000 if math.isfinite(limits.low) else limits.low
    return QuantileLimits(
        low=low, high=math.ceil(limits.high * 1000) / 1000 if math.isfinite(limits.high) else limits.high
    )


def _calibrated(similarity: Similarity, limits: QuantileLimits) -> float:
    """τ: the lower limit, capped by `at_most`, and kept below 1."""
    threshold = min(limits.low, similarity.at_most or 1.0, HIGHEST_THRESHOLD)
    if threshold <= 0:
        raise DataError(
            f"the {similarity.above_null!r} quantile of the null has the lower limit {limits.low:.4g}: "
            "noise alone would pass a threshold that is not above 0",
            hint="raise above_null, audit more units, or set at_least",
        )
    return threshold


def calibrate_null(
    similarity: Similarity,
    *,
    audited: UnitImages,
    units: NDArray[np.int64],
    held_out: UnitImages,
    confidence: float,
    rng: np.random.Generator,
) -> NullCalibration:
    """The threshold τ that a reconstruction must reach, and how many strangers' images reach it.

    A fixed `at_least` is τ as it stands; the share of strangers that pass it is measured all the same.

    Args:
        similarity: the rule's definition of success.
        audited: the training units.
        units: indices of those to use, shape (units,), at least one.
        held_out: units of other people, none of which took part in training.
        confidence: one-sided confidence of each limit of the quantile.
        rng: draws the held-out image of each unit.

    Returns:
        The calibration. An upper limit that so few units can't give is 1, the largest similarity there is.

    Raises:
        DataError: too few units for a limit, no held-out image to compare with, or a threshold that isn't above 0.
    """
    values = null_similarities(measure=similarity.measure, audited=audited, units=units, held_out=held_out, rng=rng)
    return calibrated_on(values, similarity=similarity, confidence=confidence)


def calibrated_on(
    values: NDArray[np.float64],
    *,
    similarity: Similarity,
    confidence: float,
    candidates: int = 1,
    guesser: Adversary | None = None,
    guesses: NDArray[np.float64] | None = None,
) -> NullCalibration:
    """The threshold that strangers' similarities give, and those of guesses where there is who guesses.

    A quantile of each null has limits at a confidence that leaves both at once `confidence` (Bonferroni): the larger
    lower one exceeds the larger quantile no more often than it may.

    Args:
        values: what the best of c strangers reaches with each unit, shape (units,).
        similarity: the rule's definition of success.
        confidence: one-sided confidence of each limit of the quantile.
        candidates: c, at least 1.
        guesser: the adversary with a prior, or None.
        guesses: what its guesses reach, shape (units,), or None.
    """
    nulls = [values] if guesses is None else [values, guesses]
    if similarity.at_least is not None:
        threshold = low = high = similarity.at_least
    else:
        quantile, each = float(similarity.above_null or 0), 1 - (1 - confidence) / len(nulls)
        found = [_coarse(quantile_limits(null, quantile=quantile, confidence=each)) for null in nulls]
        limits = QuantileLimits(low=max(one.low for one in found), high=max(one.high for one in found))
        threshold, low, high = _calibrated(similarity, limits), limits.low, min(limits.high, 1.0)
    return NullCalibration(
        similarity=similarity,
        threshold=threshold,
        quantile_low=low,
        quantile_high=high,
        confidence=confidence,
        units=len(values),
        strangers_passing=float(np.mean(values >= threshold)),
        candidates=candidates,
        guesser=guesser,
        guesses_passing=0.0 if guesses is None else float(np.mean(guesses >= threshold)),
    )
