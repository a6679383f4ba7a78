"""The matrix of adversaries, each with an upper bound on its success; numpy and scipy.special alone.

All bounds are always computed: at high budgets the worst case and the relaxed one reach 1, and standing beside the
realistic figures they keep anybody from taking those for a guarantee against everyone.
"""

from __future__ import annotations

from gatekeeper.audit.patterns import upper_quantile
from gatekeeper.audit.realistic import all_steps, median_ncc, one_step
from gatekeeper.audit.relaxed import relaxed
from gatekeeper.audit.worst_case import worst_case
from gatekeeper.core.checks import check_integer
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import ALL_STEPS, ONE_STEP, RELAXED, WORST_CASE, Adversary, NullCalibration, RiskBound

__all__ = ["bounds", "median_ncc"]

_EVERY_ATTACK = "every attack"
_UP_TO_SIGN = "attacks that know the target's gradient up to its sign"
_LINEAR = "linear read-outs without a prior, for images without a near-copy in another unit"
_PLANTED = "planted layer, held-out mean image subtracted, clip binding"


def _guessing(
    *, adversary: Adversary, value: float, candidates: int, participations: int, read_out: str, proven_against: str
) -> RiskBound:
    return RiskBound(
        adversary=adversary,
        quantity=f"P(the target is picked among {candidates} candidates)",
        similarity=None,
        threshold=None,
        value=value,
        proven_against=proven_against,
        read_out=read_out,
        participations=participations,
        prior_success=1 / candidates,
    )


def _reading(
    *, adversary: Adversary, value: float, null: NullCalibration, max_images: int, participations: int
) -> RiskBound:
    images = "image" if max_images == 1 else "images"
    return RiskBound(
        adversary=adversary,
        quantity=f"P(NCC ≥ {null.threshold:.6g}) for a unit of at most {max_images} {images}",
        similarity=null.similarity,
        threshold=null.threshold,
        # Any of the unit's images counts: the union bound over them.
        value=min(1.0, max_images * value),
        proven_against=_LINEAR,
        read_out=_PLANTED,
        participations=participations,
    )


def _candidate_bounds(
    *, noise_multiplier: float, participations: Participations, candidates: int, upper: int
) -> tuple[RiskBound, RiskBound]:
    worst = worst_case(participations=participations, noise_multiplier=noise_multiplier, prior_success=1 / candidates)
    unsigned = relaxed(participations=participations, noise_multiplier=noise_multiplier, prior_success=1 / candidates)
    return (
        _guessing(
            adversary=WORST_CASE,
            value=worst,
            candidates=candidates,
            participations=upper,
            read_out="likelihood-ratio test, participation revealed",
            proven_against=_EVERY_ATTACK,
        ),
        _guessing(
            adversary=RELAXED,
            # Knowing less never helps; rounding must not make it seem so.
            value=min(unsigned, worst),
            candidates=candidates,
            participations=upper,
            read_out="generalised likelihood-ratio test in one dimension, participation revealed",
            proven_against=_UP_TO_SIGN,
        ),
    )


def _realistic_bounds(
    *,
    noise_multiplier: float,
    participations: Participations,
    null: NullCalibration,
    pixels: int,
    max_images: int,
    upper: int,
) -> tuple[RiskBound, RiskBound]:
    single = one_step(threshold=null.threshold, noise_multiplier=noise_multiplier, pixels=pixels)
    every = all_steps(
        threshold=null.threshold, noise_multiplier=noise_multiplier, pixels=pixels, participations=participations
    )
    return (
        _reading(adversary=ONE_STEP, value=single, null=null, max_images=max_images, participations=1),
        _reading(adversary=ALL_STEPS, value=every, null=null, max_images=max_images, participations=upper),
    )


def bounds(
    *,
    mechanism: Mechanism,
    participations: Participations,
    nulls: tuple[NullCalibration, ...],
    pixels: int,
    max_images: int,
    candidates: int,
) -> tuple[RiskBound, ...]:
    """Upper bounds on the success of every adversary in the matrix.

    Args:
        mechanism: the mechanism that ran.
        participations: the distribution of K under it.
        nulls: a calibrated threshold for each definition of success; those by NCC have a closed form.
        pixels: N, the number of values of an image, at least 2.
        max_images: the most images that one unit has, at least 1.
        candidates: how many candidates the worst-case and relaxed adversaries choose among, at least 2.

    Returns:
        Worst case, relaxed, then for each null of measure `ncc` realistic with one step and with all steps.
        `participations` of a bound is 1 for one step and the 99 % quantile of K otherwise.

    Raises:
        InvalidValueError: an argument is out of its range, or the threshold of an NCC null is not in (0, 1).
    """
    check_integer(pixels=pixels, at_least=2)
    check_integer(max_images=max_images, at_least=1)
    check_integer(candidates=candidates, at_least=2)
    sigma, upper = mechanism.noise_multiplier, upper_quantile(participations)
    result = _candidate_bounds(
        noise_multiplier=sigma, participations=participations, candidates=candidates, upper=upper
    )
    readings = [
        bound
        for null in nulls
        if null.similarity.measure == "ncc"
        for bound in _realistic_bounds(
            noise_multiplier=sigma,
            participations=participations,
            null=null,
            pixels=pixels,
            max_images=max_images,
            upper=upper,
        )
    ]
    return (*result, *readings)
