"""What every report says, whatever its format: one set of facts, one set of sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.adversary import WEIGHTS_ONLY, Adversary
from gatekeeper.core.certificate import Certificate, Facts
from gatekeeper.core.clipping import split_noise
from gatekeeper.core.policy import Policy
from gatekeeper.core.policy_file import PolicyFile
from gatekeeper.core.record import TrainingRecord
from gatekeeper.core.risk import AttackOutcome
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.core.verdict import Approval, Finding, Refusal, Verdict
from gatekeeper.report.notices import Notice, headline_word, outcome_word

WEIGHTS_NOT_MEASURED = "not measured: no bound of its own is known, and no rule names an attack on the released model"

_AXES = ("depth", "height", "width")

UNPROTECTED = (
    "the list of classes and the image shape (which the model has), numbers of units and images, the most images of a "
    "unit, the metrics of model and twin, the similarity threshold and its limits, attack and control counts, the "
    "median similarity, the spectrum of held-out images, and the verdict"
)

NON_CLAIMS = (
    "A passed reconstruction rule says nothing about membership inference, which can succeed nearly always at such "
    "budgets in the worst case.",
    "The realistic figures hold for attackers with a linear read-out, and for images without a near-copy in another "
    "unit; those with a prior for images that vary as the held-out ones do (Gaussian, with their covariance): a model, "
    "no proof, and a learned denoiser may need less signal still. Only the worst-case figure is proven against every "
    "attacker, and only for picking the target among equally likely candidates.",
    "A simulated attack is made on the mechanism that ran (its noise, clipping and participation), not on the network "
    "or the training code; one marked production-step is made through the run's own code, on single images without "
    "augmentation, planted rows before the first step and in batches of at most 64.",
    "For an adversary who has the released weights alone no bound is known but those against whoever sees every "
    "gradient. Attacks on the weights (released-model), where a rule names any, hand in a fixed number of images after "
    "a search of fixed length: longer searches find more, and so may other attacks. That stationarity finds something "
    "in a network trained without noise on ten units, as its control asks, says little of one that was trained on "
    "many.",
    "Matching candidates in a few steps of the run's own code tells a leak from none only where the leak is large: "
    "80 % of the noise would pass.",
    "ε is this run's. The data's total composes every run that the ledger knows on the same units, refused and "
    "interrupted ones included, as if their parameters had been fixed beforehand; runs that no ledger counted, and "
    "units that it can't recognise (renamed and changed), are not in it.",
    "Runs without privacy (non-private twins, ε = ∞) are counted and never summed: what they yielded lies outside ε.",
    "ε is about the training units. The test units have no differential privacy: the metrics and the similarity "
    "threshold were measured on their images.",
    f"No noise was added to: {UNPROTECTED}.",
    "Sums and noise are added exactly, as whole multiples of a grid. That no unit's gradient depends on its companions "
    "in the batch is checked by comparing bits on random data, not proven; and that the random bits can't be foreseen "
    "rests on AES-256.",
    "The model is not anonymous in a legal sense because it passed.",
)

TRUSTED = (
    "that the training ran as recorded: sampling, clipping, noise, steps",
    "what the attacks and their controls achieved, the threshold calibrated on the null, and the spectrum of images",
    "the metrics on the test units and their limits (but for exact ones)",
    "the data set's description",
    "which weights training started from, and which of the candidate's own code ran",
    "what the ledger says of earlier runs and attempts on these units",
)

RECOMPUTED = (
    "ε from the mechanism, and the total from the mechanisms of all runs as signed",
    "the risk bounds from the mechanism, and from numbers of units and images, threshold and spectrum as signed",
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
        policy_file: where the policy's file says what, or None where no file is known; formats that show findings at
            a place use it, and nothing else follows from it.
        notices: what it is besides the report of a certification.
    """

    gatekeeper_version: str
    created: str
    policy: Policy
    facts: Facts
    verdict: Verdict
    policy_file: PolicyFile | None = None
    notices: tuple[Notice, ...] = ()


def not_measured(outcomes: tuple[AttackOutcome, ...]) -> tuple[tuple[Adversary, str], ...]:
    """Adversaries of the matrix that nothing is known of in this run, and why."""
    if any(outcome.adversary == WEIGHTS_ONLY for outcome in outcomes):
        return ()
    return ((WEIGHTS_ONLY, WEIGHTS_NOT_MEASURED),)


def trusted(facts: Facts) -> tuple[str, ...]:
    """What is taken on the signer's word, of these facts."""
    if facts.lock is None and not facts.waivers:
        return TRUSTED
    return (*TRUSTED, "that the run was counted with the lock, and, without a trust file, who signed lock and waivers")


def verdict_word(verdict: Verdict) -> Literal["approved", "refused", "inconclusive"]:
    """`approved`, `refused` or `inconclusive`."""
    if isinstance(verdict, Approval):
        return "approved"
    return "refused" if isinstance(verdict, Refusal) else "inconclusive"


def outcome_of(report: Report) -> str:
    """The verdict as programs read it; `approved` only where a release may follow."""
    return outcome_word(verdict_word(report.verdict), report.notices)


def headline_of(report: Report) -> str:
    """The verdict as people read it."""
    return headline_word(verdict_word(report.verdict), report.notices)


def may_release(report: Report) -> bool:
    """Whether a release may follow: an approval that is neither of an audit nor a re-judgement."""
    return outcome_of(report) == "approved"


def is_rejudged(report: Report) -> bool:
    """Whether evidence that was recorded earlier was judged: its attempt is one of the policy that counted it."""
    return any(notice.kind == "re-judgement" for notice in report.notices)


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
        f"({mechanism.sampling}), {mechanism.steps} steps, {_clipping(facts.evidence.record)}."
    )


def _clipping(record: TrainingRecord) -> str:
    return {
        "flat": f"clipping norm {record.clipping_norm!r}",
        "adaptive": f"adaptive clipping norm, {record.clipping_norm!r} to begin with",
        "automatic": f"every gradient scaled to the norm {record.clipping_norm!r}",
    }[record.clipping]


def adaptation_sentence(facts: Facts) -> str | None:
    """What an adaptive clipping norm became and what that cost, or None."""
    record = facts.evidence.record
    if record.adaptation is None:
        return None
    noise = split_noise(record.mechanism.noise_multiplier, expected_batch=record.divisor)
    last, clipped = record.adaptation.last_norm, record.adaptation.clipped_share
    return (
        f"The clipping norm followed a noisy quantile of the gradients' norms and ended at {last:.3g}: each step "
        f"released a count too, with noise of standard deviation {round_down(noise.count)}. Sum and count have the "
        f"noise multiplier above together, which attacks and bounds assume; the sum alone has {round_down(noise.sum)}. "
        f"By the noisy counts, {clipped:.0%} of the gradients were clipped."
    )


def interruption_sentence(facts: Facts) -> str | None:
    """That the training was interrupted and what that cost, or None."""
    record = facts.evidence.record
    if record.starts == 1:
        return None
    return (
        f"The training was started {record.starts} times. {record.redone_steps} of its {record.mechanism.steps} steps "
        "were done again, with fresh batches and fresh noise, and each counts; ε is that of all of them."
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


def ledger_sentence(report: Report) -> str:
    """What the data have spent over all runs, in two sentences."""
    ledger, total = report.facts.ledger, report.facts.total
    attempt = f"this policy's attempt {ledger.attempts} on them"
    if is_rejudged(report):
        attempt = f"attempt {ledger.attempts} on them of the policy that the run was recorded under"
    unsettled = sum(not spend.settled for spend in ledger.spends)
    open_ones = f" ({unsettled} of them never reported an end and count in full)" if unsettled else ""
    private_runs = f"{len(ledger.spends)} private run{'' if len(ledger.spends) == 1 else 's'}"
    return (
        f"The units that have spent the most took part in {private_runs}{open_ones}, this one "
        f"included: together ({round_up(total.epsilon.high)}, {round_up(total.delta)})-differential privacy, by the "
        f"{total.accountant} accountant. Ledger {ledger.head.ledger}, entry {ledger.head.length}, counts {ledger.runs} "
        f"private and {ledger.non_private_runs} non-private runs on any of these units, and {attempt}."
    )


def lock_sentence(facts: Facts) -> str:
    """Whether the policy was locked before the run, and by whom."""
    lock = facts.lock
    if lock is None:
        return "The policy was not locked before the run."
    return (
        f"The policy was locked before the run by key {lock.locker}: the ledger counted the run with that lock. The "
        f"time that the locker claims, {lock.claimed}, is its own clock's and proves nothing."
    )


def waiver_sentences(report: Report) -> tuple[str, ...]:
    """One for each waiver that the verdict rests on, in the order in which they were presented."""
    order = [each.waiver.id for each in report.facts.waivers]
    waived = [finding for finding in report.verdict.findings if finding.waiver is not None]
    return tuple(
        waiver_sentence(finding, report.facts) for finding in sorted(waived, key=lambda f: order.index(f.waiver or ""))
    )


def waiver_sentence(finding: Finding, facts: Facts) -> str:
    """Who excused a waived finding, why, how far and until when."""
    (each,) = (each for each in facts.waivers if each.waiver.id == finding.waiver)
    waiver, signed = each.waiver, "nobody signed it" if each.signer is None else f"signed with key {each.signer}"
    return (
        f"{waiver.id} excuses {waiver.rule}, measured {finding.measured!r} against {finding.comparator} "
        f"{finding.limit!r}, up to {waiver.ceiling!r}, until the end of {waiver.expires} (UTC). Owner "
        f"{waiver.owner}, approver {waiver.approver} ({signed}): {waiver.reason}"
    )


def arithmetic_sentence(facts: Facts) -> str:
    """How sums and noise were computed, and where the random bits came from."""
    record = facts.evidence.record
    return f"{_capital(record.arithmetic)}. Random bits: {record.noise_generator}."


def model_sentence(facts: Facts) -> str:
    """Which file, what it takes and answers, and how near it is to the trained network."""
    model, card = facts.evidence.model, facts.evidence.dataset
    takes = f"images of {'×'.join(map(str, card.image_shape))}"
    if model.spatial_multiple is not None:
        sides = " and ".join(_AXES[1 - len(card.image_shape) :])
        channels = f"{card.image_shape[0]} channel{'' if card.image_shape[0] == 1 else 's'}"
        takes = f"images with {channels} whose {sides} are multiples of {model.spatial_multiple}"
    answers = "image" if card.task == "classification" else "pixel"
    return (
        f"sha256 {model.sha256}, {model.size} bytes, parity with torch {model.parity:.1e}; takes {takes}, answers one "
        f"logit a class for each {answers}"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def twin_sentence(facts: Facts) -> str | None:
    """That a non-private twin was trained, or None."""
    if not facts.evidence.utility.baseline:
        return None
    return (
        "A non-private twin was trained on the same units for comparison. It lies outside ε; it is not released, but "
        "the drop that it yielded is printed here without noise."
    )


def provenance_sentence(facts: Facts) -> str | None:
    """What the network was made of besides the candidate, and that ε doesn't cover it; None where it was nothing."""
    provenance, record = facts.evidence.record.provenance, facts.evidence.record
    sentences = []
    if provenance.base_weights is not None:
        sentences.append(
            f"Training started from weights of sha256 {provenance.base_weights}. What those were trained on lies "
            "outside ε: where units of these data were among it, their part in the weights is not protected."
        )
    if provenance.frozen_parameters:
        sentences.append(
            f"{record.parameters} parameters were trained; {provenance.frozen_parameters} were left as they were."
        )
    if provenance.code:
        files = ", ".join(map(str, provenance.code))
        sentences.append(f"The network was made by code that the policy allows: {files}.")
    if facts.evidence.dataset.code:
        files = ", ".join(map(str, facts.evidence.dataset.code))
        sentences.append(
            f"The data were read by code that the policy allows: {files}. Which images there are, and whose they are, "
            "is its word."
        )
    return " ".join(sentences) or None


def unit_sentence(facts: Facts) -> str | None:
    """That the data name no patients, where the published table doesn't and the candidate adds none; or None."""
    dataset = facts.evidence.dataset
    if dataset.format != "radimagenet" or dataset.unit != "image":
        return None
    return (
        "Each image is its own unit: the published table of these data names no patients. What several images of one "
        "patient tell together is not bounded by this ε, and one patient's images may be on both sides of the split."
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
