"""What every report says, whatever its format: one set of facts, one set of sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.core.certificate import Certificate, Facts
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Approval, Refusal, Verdict

NON_CLAIMS = (
    "A passed reconstruction rule says nothing about membership inference: at ε ≥ 1,000 the worst-case membership "
    "advantage is close to 1.",
    "The realistic figures hold for attackers without a prior over images and with a linear read-out; an attacker "
    "with a prior needs a much smaller signal. Only the worst-case figure is proven against every attacker.",
    "ε covers this run alone: earlier runs on the same units, refused ones included, compose with it and are not "
    "counted here.",
    "Accuracy on the test units, attack rates, the similarity threshold and the verdict itself are outputs that "
    "no noise was added to.",
    "The noise is floating-point: it is not proven against attacks on the least significant bits of the weights.",
    "The model is not anonymous in a legal sense because it passed.",
)

TRUSTED = (
    "that the training ran as recorded: sampling, clipping, noise, steps",
    "what the attacks and their controls achieved, and the threshold calibrated on the null",
    "the accuracy on the test units",
    "the data set's description",
)

RECOMPUTED = (
    "ε from the mechanism",
    "the risk bounds from the mechanism, the image shape and the threshold",
    "the confidence limits of attack rates from their counts",
    "the verdict from the policy and every fact",
    "the digests of every file",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a report is made from.

    Attributes:
        gatekeeper_version: what judged.
        created: UTC time of the verdict, RFC 3339.
        policy: the whole policy.
        facts: everything that the gate read.
        verdict: what it decided.
    """

    gatekeeper_version: str
    created: str
    policy: Policy
    facts: Facts
    verdict: Verdict


def verdict_word(verdict: Verdict) -> str:
    """`approved`, `refused` or `inconclusive`."""
    if isinstance(verdict, Approval):
        return "approved"
    return "refused" if isinstance(verdict, Refusal) else "inconclusive"


def exit_code(verdict: Verdict) -> int:
    """0 approved, 1 refused, 3 inconclusive."""
    return {"approved": 0, "refused": 1, "inconclusive": 3}[verdict_word(verdict)]


def round_up(value: float, *, digits: int = 4) -> str:
    """A risk or a privacy loss for people: rounded towards more risk, never down.

    >>> round_up(0.0100001)
    '0.01001'
    >>> round_up(9999.1)
    '1e+04'
    """
    return _round(value, digits=digits, up=True)


def round_down(value: float, *, digits: int = 4) -> str:
    """An accuracy's lower limit for people: rounded down.

    >>> round_down(0.98769)
    '0.9876'
    """
    return _round(value, digits=digits, up=False)


def _round(value: float, *, digits: int, up: bool) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    text = f"{value:.{digits}g}"
    while (float(text) < value) if up else (float(text) > value):
        text = f"{float(text) + (step if up else -step):.{digits}g}"
    return text


def privacy_sentence(facts: Facts) -> str:
    """What was proven of the run's privacy, in one sentence."""
    guarantee, mechanism = facts.guarantee, facts.evidence.record.mechanism
    return (
        f"({round_up(guarantee.epsilon.high)}, {round_up(guarantee.delta)})-differential privacy of each "
        f"{mechanism.unit} ({mechanism.adjacency} adjacency), by the {guarantee.accountant} accountant; noise "
        f"multiplier {mechanism.noise_multiplier:.4g}, sampling rate {mechanism.sampling_rate:.4g} "
        f"({mechanism.sampling}), {mechanism.steps} steps, clipping norm {facts.evidence.record.clipping_norm:g}."
    )


def epsilon_meaning(epsilon: float) -> str:
    """What an ε of this size promises and what it does not, in plain words."""
    if epsilon <= 10:
        return "At this ε nobody, whatever they know, learns much about any one unit."
    if epsilon < 1000:
        return "At this ε an attacker who holds candidates may tell whether a unit took part; pixels stay far off."
    return (
        "At this ε the worst-case promise is empty: an attacker who holds a candidate record can tell whether it "
        "took part. What is judged is whether a realistic attacker, who has none, can read the image out of the noise."
    )


def twin_sentence(facts: Facts) -> str | None:
    """That a non-private twin was trained, or None."""
    if not facts.evidence.utility.baseline:
        return None
    return (
        "A non-private twin was trained on the same units for comparison. It lies outside ε; it is not released, but "
        "the drop in accuracy that it yielded is printed here without noise."
    )


def verified_report(certificate: Certificate) -> Report:
    """The report that a certificate states."""
    return Report(
        gatekeeper_version=certificate.gatekeeper_version,
        created=certificate.created,
        policy=certificate.policy,
        facts=certificate.facts,
        verdict=certificate.approval,
    )
