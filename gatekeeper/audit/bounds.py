"""The matrix of adversaries, each with an upper bound on its success; numpy and scipy.special alone.

All bounds are always computed: at high budgets the worst case and the relaxed one reach 1, and standing beside the
realistic figures they keep anybody from taking those for a guarantee against everyone.
"""

from __future__ import annotations

from gatekeeper.audit import realistic, spectral
from gatekeeper.audit.realistic import median_ncc
from gatekeeper.core.adversary import REALISTIC, RELAXED, WORST_CASE, Adversary
from gatekeeper.core.checks import check_integer
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import IdentificationPower, NullCalibration, RiskBound
from gatekeeper.core.spectrum import Spectrum

__all__ = ["bounds", "median_ncc"]

_EVERY_ATTACK = "every attack"
_UP_TO_SIGN = "attacks that know the target's gradient in each step up to its sign"
_LINEAR = "linear read-outs without a prior, for images without a near-copy in another unit"
_GAUSSIAN = (
    "linear read-outs with a prior, of images that are Gaussian with the held-out images' covariance; a model of "
    "images, no proof"
)
_SHAPED = "planted layer shaped by the spectrum, or Wiener read-out, or none, whichever reaches most; clip binding"
_PLANTED = "planted layer, held-out mean image subtracted, clip binding"


def _guessing(
    *, adversary: Adversary, value: float, prior_success: float, participations: int, read_out: str, proven_against: str
) -> RiskBound:
    return RiskBound(
        adversary=adversary,
        quantity=f"P(the target is picked among {round(1 / prior_success)} candidates)",
        similarity=None,
        threshold=None,
        value=value,
        proven_against=proven_against,
        read_out=read_out,
        participations=participations,
        prior_success=prior_success,
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
        proven_against=_LINEAR if adversary.prior == "none" else _GAUSSIAN,
        read_out=_PLANTED if adversary.prior == "none" else _SHAPED,
        participations=participations,
    )


def _candidate_bounds(*, power: IdentificationPower, upper: int) -> tuple[RiskBound, RiskBound]:
    return (
        _guessing(
            adversary=WORST_CASE,
            value=power.worst_case,
            prior_success=power.prior_success,
            participations=upper,
            read_out=f"likelihood-ratio test ({power.worst_case_method})",
            proven_against=_EVERY_ATTACK,
        ),
        _guessing(
            adversary=RELAXED,
            value=power.relaxed,
            prior_success=power.prior_success,
            participations=upper,
            read_out=f"generalised likelihood-ratio test in one dimension ({power.relaxed_method})",
            proven_against=_UP_TO_SIGN,
        ),
    )


def _realistic_bounds(
    *,
    noise_multiplier: float,
    participations: Participations,
    null: NullCalibration,
    spectrum: Spectrum,
    max_images: int,
    upper: int,
) -> tuple[RiskBound, ...]:
    return tuple(
        _reading(
            adversary=adversary,
            value=_rate(
                adversary,
                threshold=null.threshold,
                noise_multiplier=noise_multiplier,
                participations=participations,
                spectrum=spectrum,
            ),
            null=null,
            max_images=max_images,
            participations=1 if adversary.observes == "one-step" else upper,
        )
        for adversary in REALISTIC
        if null.is_of(adversary)
    )


def _rate(
    adversary: Adversary,
    *,
    threshold: float,
    noise_multiplier: float,
    participations: Participations,
    spectrum: Spectrum,
) -> float:
    """P(NCC ≥ τ) for one image, by the closed form of a realistic adversary."""
    one_step = adversary.observes == "one-step"
    if adversary.prior == "none":
        return (
            realistic.one_step(threshold=threshold, noise_multiplier=noise_multiplier, pixels=spectrum.pixels)
            if one_step
            else realistic.all_steps(
                threshold=threshold,
                noise_multiplier=noise_multiplier,
                pixels=spectrum.pixels,
                participations=participations,
            )
        )
    return (
        spectral.one_step(threshold=threshold, noise_multiplier=noise_multiplier, spectrum=spectrum)
        if one_step
        else spectral.all_steps(
            threshold=threshold, noise_multiplier=noise_multiplier, spectrum=spectrum, participations=participations
        )
    )


def bounds(
    *,
    mechanism: Mechanism,
    participations: Participations,
    nulls: tuple[NullCalibration, ...],
    spectrum: Spectrum,
    max_images: int,
    power: IdentificationPower,
) -> tuple[RiskBound, ...]:
    """Upper bounds on the success of every adversary in the matrix.

    Args:
        mechanism: the mechanism that ran.
        participations: the distribution of K under it.
        nulls: a calibrated threshold for each definition of success; those by NCC have a closed form.
        spectrum: what adversaries with a prior know of such images; its directions are as many as an image has values.
        max_images: the most images that one unit has, at least 1.
        power: what the worst-case and the relaxed adversary achieve; its κ is the reciprocal of the number of
            candidates, at least 2.

    Returns:
        Worst case, relaxed, then for each null of measure `ncc`, of one candidate, the realistic adversaries that are
        judged by it: one step and all steps without a prior, or the one with a prior who guesses.
        `participations` of a bound is 1 for one step and the 99 % quantile of K otherwise.

    Raises:
        InvalidValueError: an argument is out of its range, or the threshold of an NCC null is not in (0, 1).
    """
    check_integer(max_images=max_images, at_least=1)
    check_integer(candidates=round(1 / power.prior_success), at_least=2)
    sigma, upper = mechanism.relative_noise, participations.upper_quantile()
    result = _candidate_bounds(power=power, upper=upper)
    readings = [
        bound
        for null in nulls
        if null.similarity.measure == "ncc" and null.candidates == 1
        for bound in _realistic_bounds(
            noise_multiplier=sigma,
            participations=participations,
            null=null,
            spectrum=spectrum,
            max_images=max_images,
            upper=upper,
        )
    ]
    return (*result, *readings)
