"""What every report says, whatever its format: one set of facts, one set of sentences."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.certificate import Certificate, Facts
from gatekeeper.core.policy import Policy
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.core.verdict import Approval, Refusal, Verdict

NON_CLAIMS = (
    "A passed reconstruction rule says nothing about membership inference, which can succeed nearly always at such "
    "budgets in the worst case.",
    "The realistic figures hold for attackers without a prior over images and with a linear read-out, and for images "
    "without a near-copy in another unit; an attacker with a prior needs a much smaller signal. Only the worst-case "
    "figure is proven against every attacker, and only for picking the target among equally likely candidates.",
    "The attack is simulated on the mechanism that ran (its noise, clipping and participation); the network and the "
    "training code themselves were not attacked.",
    "ε covers this run alone: earlier runs on the same units, refused ones included, compose with it and are not "
    "counted here.",
    "ε is about the training units. The test units have no differential privacy: accuracy and the similarity threshold "
    "were measured on their images.",
    "No noise was added to: the list of classes and the image shape (which the model has), numbers of units and "
    "images, the most images of a unit, accuracy of model and twin, the similarity threshold and its limits, attack "
    "and control counts, the median similarity, and the verdict.",
    "The noise is floating-point: it is not proven against attacks on the least significant bits of the weights.",
    "The model is not anonymous in a legal sense because it passed.",
)

TRUSTED = (
    "that the training ran as recorded: sampling, clipping, noise, steps",
    "what the attacks and their controls achieved, and the threshold calibrated on the null",
    "the accuracy on the test units and its limits (but for exact ones)",
    "the data set's description",
)

RECOMPUTED = (
    "ε from the mechanism",
    "the risk bounds from the mechanism, and from image shape, numbers of units and images and threshold as signed",
    "the upper limits of attack rates from their counts",
    "that the parts of the evidence don't contradict each other",
    "every finding and the verdict, from the policy and the facts as signed",
    "the digests of every file, and the report from the facts",
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


def privacy_sentence(facts: Facts) -> str:
    """What was proven of the run's privacy, in one sentence."""
    guarantee, mechanism = facts.guarantee, facts.evidence.record.mechanism
    return (
        f"({round_up(guarantee.epsilon.high)}, {round_up(guarantee.delta)})-differential privacy of each training "
        f"{mechanism.unit} ({mechanism.adjacency} adjacency), by the {guarantee.accountant} accountant; noise "
        f"multiplier {round_down(mechanism.noise_multiplier)}, sampling rate {round_up(mechanism.sampling_rate)} "
        f"({mechanism.sampling}), {mechanism.steps} steps, clipping norm {facts.evidence.record.clipping_norm!r}."
    )


def epsilon_meaning(epsilon: float) -> str:
    """What an ε of this size promises and what it does not, in plain words (Dwork and Roth 2014, section 2.3)."""
    if epsilon <= 1:
        return (
            "At this ε the noisy gradients change the odds of any conclusion about whether a unit took part by a "
            "factor of at most e, except with a probability of about δ."
        )
    if epsilon <= 10:
        return (
            "At this ε an attacker who knows all other records may learn whether a unit took part, the more surely the "
            "larger ε is."
        )
    return (
        "At this ε the formal promise is weak: an attacker who holds a candidate record may well tell whether it took "
        "part. Whether an attacker without one can read an image out of the noise is what the realistic figures say."
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
