"""Which simulated attack plays which realistic adversary, and the threshold that it must reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gatekeeper.audit.attacks.analytic import Analytic
from gatekeeper.audit.attacks.audited import Audited
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.guesses import calibrate_with_guesses
from gatekeeper.audit.attacks.trials import SimulatedAttack
from gatekeeper.audit.null import calibrated_on, null_similarities
from gatekeeper.audit.prior import LinearPrior
from gatekeeper.audit.shaping import ReadOut
from gatekeeper.audit.spectral import better_read_out
from gatekeeper.core.adversary import REALISTIC, Adversary
from gatekeeper.core.risk import NullCalibration, Similarity

# More units than this move the threshold by less than its own confidence limits. Fewer than there are would make it a
# matter of luck: on the digits it swung between 0.56 and 0.77 with 300 units.
NULL_UNITS = 5000

# A guess costs what an attack costs; these thresholds hardly move, since guesses vary less than people do.
GUESS_UNITS = 1000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contest:
    """An attack, whom it plays, and what it must beat."""

    attack: SimulatedAttack
    adversary: Adversary
    null: NullCalibration


def contests(similarity: Similarity, *, prior: LinearPrior, audited: Audited) -> Iterator[Contest]:
    """One attack for each realistic adversary, by one definition of success."""
    units = audited.rng.permutation(audited.train.units)[:NULL_UNITS]
    strangers = null_similarities(
        measure=similarity.measure, audited=audited.train, units=units, held_out=audited.held_out, rng=audited.rng
    )
    confidence = audited.audit.null_confidence
    null = calibrated_on(strangers, similarity=similarity, confidence=confidence)
    for adversary in REALISTIC:
        if adversary.prior == "none":
            attack = Analytic(row=audited.row, clipping_norm=audited.clipping_norm)
            yield Contest(attack=attack, adversary=adversary, null=null)
            continue
        denoised = _denoised(adversary, threshold=null.threshold, similarity=similarity, prior=prior, audited=audited)
        beaten = calibrate_with_guesses(
            denoised,
            similarity=similarity,
            strangers=strangers,
            audited=audited.train,
            units=units[:GUESS_UNITS],
            adversary=adversary,
            noise_multiplier=audited.noise_multiplier,
            participations=audited.participations,
            draws=audited.audit.noise_draws,
            confidence=confidence,
            rng=audited.rng,
        )
        yield Contest(attack=denoised, adversary=adversary, null=beaten)


def _denoised(
    adversary: Adversary, *, threshold: float, similarity: Similarity, prior: LinearPrior, audited: Audited
) -> Denoised:
    """Attack E with the read-out that reaches the strangers' threshold more often."""
    uses = 1 if adversary.observes == "one-step" else max(1, audited.participations.upper_quantile())
    read_out: ReadOut = "shaped"  # which the closed form can't compare by SSIM
    if similarity.measure == "ncc":
        read_out = better_read_out(
            threshold=threshold,
            noise_multiplier=audited.noise_multiplier,
            spectrum=prior.spectrum,
            participations=uses,
        )
    return Denoised(prior=prior, read_out=read_out, clipping_norm=audited.clipping_norm)
