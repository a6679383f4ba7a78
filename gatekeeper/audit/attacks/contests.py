"""Which simulated attack plays which realistic adversary, and the threshold that it must reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import Analytic
from gatekeeper.audit.attacks.audited import Audited
from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.guesses import calibrate_with_guesses
from gatekeeper.audit.attacks.trials import SimulatedAttack, draw_participations
from gatekeeper.audit.null import NULL_UNITS, calibrated_on, null_similarities
from gatekeeper.audit.prior import LinearPrior
from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.shaping import ReadOut
from gatekeeper.core.adversary import REALISTIC, Adversary
from gatekeeper.core.risk import NullCalibration, Similarity

# A guess costs what an attack costs; these thresholds hardly move, since guesses vary less than people do.
GUESS_UNITS = 1000

# Both read-outs are tried on so many units of each half: a few more or fewer successes are no matter.
_TRIED = 150

_READ_OUTS: tuple[ReadOut, ...] = ("shaped", "wiener")


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
        yield _better(adversary, similarity, strangers=strangers, units=units, prior=prior, audited=audited)


def _better(
    adversary: Adversary,
    similarity: Similarity,
    *,
    strangers: NDArray[np.float64],
    units: NDArray[np.int64],
    prior: LinearPrior,
    audited: Audited,
) -> Contest:
    """Attack E with the read-out that reaches its own threshold more often on units that it may try both on.

    Each read-out guesses in its own way, so each has a threshold of its own; the choice is made before any training
    unit is attacked, on held-out units that the prior is not learnt from.
    """
    found = []
    for read_out in _READ_OUTS:
        attack = Denoised(prior=prior, read_out=read_out, clipping_norm=audited.clipping_norm)
        null = calibrate_with_guesses(
            attack,
            similarity=similarity,
            strangers=strangers,
            audited=audited.train,
            units=units[:GUESS_UNITS],
            adversary=adversary,
            noise_multiplier=audited.noise_multiplier,
            participations=audited.participations,
            confidence=audited.audit.null_confidence,
            rng=audited.rng,
        )
        reached = _reached(attack, adversary=adversary, null=null, audited=audited)
        found.append((reached, Contest(attack=attack, adversary=adversary, null=null)))
    # Of equals the first.
    return max(found, key=lambda each: each[0])[1]


def _reached(attack: Denoised, *, adversary: Adversary, null: NullCalibration, audited: Audited) -> int:
    """How many held-out units a read-out reconstructs, with the prior that the other half of them teaches."""
    rng, found = audited.rng, 0
    for half in audited.halves:
        units = rng.permutation(half.others.units)[:_TRIED].astype(np.int64)
        best = replace(attack, prior=half.prior).reconstruct(
            half.others,
            rows=rows_of(half.others, units=units),
            measure=null.similarity.measure,
            noise_multiplier=audited.noise_multiplier,
            participations=draw_participations(adversary, audited.participations, units=len(units), rng=rng),
            # The same noise in all processes, which have to choose alike; it hides no training unit.
            generator=torch.Generator().manual_seed(int(rng.integers(2**62))),
        )
        found += int((best >= null.threshold).sum())
    return found
