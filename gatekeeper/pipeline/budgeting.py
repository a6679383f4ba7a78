"""The calculator behind `gatekeeper budget`: complete the mechanism, account for it, and bound every adversary.

Nothing is trained and no data is read; torch isn't loaded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, Adversary
from gatekeeper.core.budget import Budget
from gatekeeper.core.calculation import Calculation, Question, ReadOut, Risks
from gatekeeper.core.mechanism import Mechanism, Sampling
from gatekeeper.core.participation import Participations
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.errors import InvalidInputError, PrivacyError

_MOST_STEPS = 10**9
_FEW = 256  # counts of K that the all-steps rate is computed for


def answer(question: Question, *, opacus: bool = False) -> Calculation:
    """The mechanism that the question describes or asks for, with its guarantee and its risks.

    Args:
        question: what is known.
        opacus: whether to add what Opacus' RDP accountant says of the same mechanism (seconds: it loads torch).

    Raises:
        InvalidInputError: the sampling rate doesn't suit the sampling, or Opacus isn't installed.
        InvalidValueError: the noise that answers lies outside what can be accounted.
        PrivacyError: no noise is needed, or one step already spends the budget.
    """
    from gatekeeper.pipeline.opacus_claims import claimed, require_opacus
    from gatekeeper.privacy import account

    if opacus:
        require_opacus()
    _check_whole_batches(question)
    mechanism = _completed(question)
    return Calculation(
        sought=question.sought,
        mechanism=mechanism,
        guarantee=account(mechanism, question.delta),
        risks=_risks(question, mechanism),
        opacus=claimed(mechanism, question.delta) if opacus else None,
        notes=_notes(question, mechanism),
    )


def _check_whole_batches(question: Question) -> None:
    if question.sampling == "balls-and-bins" and not question.has_whole_batches:
        raise InvalidInputError(
            f"balls and bins deals units into a whole number of batches: its sampling rate is 1/batches, "
            f"got {question.sampling_rate!r}",
            where="sampling_rate",
            hint=f"give 1/{question.epoch}, or the numbers of units and of the expected batch",
        )


def _bare(question: Question, *, sampling: Sampling, noise_multiplier: float, steps: int) -> Mechanism:
    return Mechanism(
        sampling=sampling,
        sampling_rate=question.sampling_rate,
        noise_multiplier=noise_multiplier,
        steps=steps,
        adjacency="zero-out",
        unit="unit",
    )


def _completed(question: Question) -> Mechanism:
    """The question's mechanism with what it leaves open."""
    if question.ncc is not None:
        return _least_noise_for_ncc(question, question.ncc)
    if question.sought == "noise-multiplier":
        return _calibrated(question)
    sampling, sigma = cast("Sampling", question.sampling), cast("float", question.noise_multiplier)
    if question.sought == "epsilon":
        return _bare(question, sampling=sampling, noise_multiplier=sigma, steps=question.length)
    return _longest(question, _bare(question, sampling=sampling, noise_multiplier=sigma, steps=1))


def _calibrated(question: Question) -> Mechanism:
    from gatekeeper.privacy import calibrate

    return calibrate(
        Budget(epsilon=cast("float", question.epsilon), delta=question.delta),
        sampling=question.sampling,
        sampling_rate=question.sampling_rate,
        steps=question.length,
        adjacency="zero-out",
        unit="unit",
    )


def _least_noise_for_ncc(question: Question, ncc: float) -> Mechanism:
    """σ = √(k(1/X² − 1)/N), solved from the median NCC 1/√(1 + Nσ²/k) = X, and rounded up.

    k is `_usual_most`: the fewer participations, the less noise, so `best` takes the sampling with the smaller k.
    """
    from gatekeeper.audit.realistic import median_ncc

    samplings: list[Sampling] = ["poisson"]
    if question.sampling == "balls-and-bins":
        samplings = ["balls-and-bins"]
    elif question.sampling == "best" and question.epoch > 1 and question.has_whole_batches:
        samplings.append("balls-and-bins")
    bare = [_bare(question, sampling=name, noise_multiplier=1.0, steps=question.length) for name in samplings]
    chosen = min(bare, key=_usual_most)
    uses, pixels = _usual_most(chosen), cast("int", question.pixels)
    sigma = math.sqrt(uses * (1 - ncc) * (1 + ncc) / pixels) / ncc
    while median_ncc(noise_multiplier=sigma, participations=uses, pixels=pixels) > ncc:
        sigma *= 1 + 1e-15
    return replace(chosen, noise_multiplier=sigma)


def _longest(question: Question, single: Mechanism) -> Mechanism:
    """The most steps that keep the budget: ε never falls as steps are added."""
    from gatekeeper.privacy import account

    epsilon = cast("float", question.epsilon)

    def fits(steps: int) -> bool:
        return account(replace(single, steps=steps), question.delta).epsilon.high <= epsilon

    if not fits(1):
        spent = account(single, question.delta).epsilon.high
        raise PrivacyError(
            f"one step with noise multiplier {single.noise_multiplier!r} spends ε = {spent:.6g}, above {epsilon!r}",
            hint="raise the noise multiplier or ε, or lower the sampling rate",
        )
    low, high = 1, 2
    while high < _MOST_STEPS and fits(high):
        low, high = high, min(_MOST_STEPS, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return replace(single, steps=high if fits(high) else low)


def _participations(mechanism: Mechanism) -> Participations:
    from gatekeeper.privacy import participations

    return participations(mechanism)


def _usual_most(mechanism: Mechanism) -> int:
    """How many gradients the all-steps adversary has: the 99 % quantile of K, and at least one."""
    return max(1, _participations(mechanism).upper_quantile())


def _risks(question: Question, mechanism: Mechanism) -> Risks:
    return Risks(
        identification=_identification(question, mechanism),
        realistic_one_step=_read_out(question, mechanism, ONE_STEP),
        realistic_all_steps=_read_out(question, mechanism, ALL_STEPS),
    )


def _identification(question: Question, mechanism: Mechanism) -> IdentificationPower | None:
    from gatekeeper.privacy import identification_power

    if question.choices is None:
        return None
    return identification_power(mechanism, prior_success=1 / question.choices)


def _read_out(question: Question, mechanism: Mechanism, adversary: Adversary) -> ReadOut | None:
    from gatekeeper.audit.realistic import all_steps, median_ncc, one_step

    pixels, threshold, sigma = question.pixels, question.threshold, mechanism.relative_noise
    if pixels is None:
        return None
    uses = _usual_most(mechanism) if adversary == ALL_STEPS else 1
    rate = None
    if threshold is not None and adversary == ONE_STEP:
        rate = one_step(threshold=threshold, noise_multiplier=sigma, pixels=pixels)
    elif threshold is not None:
        told = _coarse(_participations(mechanism))
        rate = all_steps(threshold=threshold, noise_multiplier=sigma, pixels=pixels, participations=told)
    median = median_ncc(noise_multiplier=sigma, participations=uses, pixels=pixels)
    return ReadOut(adversary=adversary, participations=uses, median_ncc=median, threshold=threshold, rate=rate)


def _coarse(told: Participations) -> Participations:
    """At most `_FEW` counts, each standing for those below it: more participations never lower the rate.

    P(K = 0) stays apart: an image that took part in no step is not read out.
    """
    unused = 1 if told.counts[0] == 0 else 0
    group = -(-(len(told.counts) - unused) // _FEW)
    if group <= 1:
        return told
    ends = list(range(len(told.counts), unused, -group))[::-1]
    starts = [unused, *ends[:-1]]
    masses = [math.fsum(told.probabilities[start:end]) for start, end in zip(starts, ends, strict=True)]
    return Participations(
        counts=(*told.counts[:unused], *(told.counts[end - 1] for end in ends)),
        probabilities=(*told.probabilities[:unused], *masses),
        tail=told.tail,
    )


def _notes(question: Question, mechanism: Mechanism) -> tuple[str, ...]:
    notes = []
    if question.epochs is not None and not question.has_whole_batches:
        notes.append(
            f"1/q = {1 / question.sampling_rate:.6g} is no whole number of batches: an epoch is taken as "
            f"{question.epoch} steps, so {question.epochs} epochs are {question.length} steps."
        )
    if question.sampling == "best" and not question.has_whole_batches:
        notes.append(
            f"Only Poisson sampling was considered: balls and bins need q = 1/batches, such as 1/{question.epoch}."
        )
    if question.units is not None and question.delta * question.units >= 1:
        notes.append(
            f"delta {question.delta!r} is not below 1/units = {1 / question.units:.3g}: certify refuses such a budget."
        )
    if question.sought == "steps" and mechanism.steps == _MOST_STEPS:
        notes.append(f"The budget allows more than {_MOST_STEPS} steps, the most that are accounted for.")
    return tuple(notes)
