"""Whether the parts of a run's evidence can be true together.

Most of the evidence is the signer's word. But its parts describe one run, and a false one tends to contradict
the others: a record with other steps than the plan, a threshold that no null supports, an accuracy outside its
own limits. `judge` and `verify` ask here before they believe anything. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from gatekeeper.core.adversary import PAPER_ATTACKS, REALISTIC, WEIGHTS_ATTACKS, AttackName
from gatekeeper.core.binomial import lower_limit
from gatekeeper.core.budget import Guarantee
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence, Facts
from gatekeeper.core.identification import (
    CANDIDATES,
    CANDIDATES_OF_LARGE,
    MATCHING,
    TRIALS,
    candidates_among,
    check_identification,
)
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.metric import METRICS_OF, metric_title
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard
from gatekeeper.core.risk import AttackOutcome, NullCalibration, RiskBound
from gatekeeper.core.spectrum import FEWEST_UNITS
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.core.weights_only import control_trials, unfit
from gatekeeper.errors import AuditContradiction, InvalidValueError

# A contradiction between attack and bound is claimed only where chance is out of the question.
_CONTRADICTION_CONFIDENCE = 1 - 1e-6

# A null is calibrated on at least this many training units, where there are as many.
_NULL_UNITS = 1000


def check_coherence(policy: Policy, evidence: Evidence, statement: LedgerStatement) -> None:
    """Refuse evidence whose parts contradict each other or the policy's terms of audit.

    Raises:
        InvalidValueError: with every contradiction.
    """
    found = [
        *_plan(policy, evidence),
        *_record(evidence),
        *_provenance(policy, evidence),
        *_dataset(evidence.candidate, evidence.dataset),
        *_nulls(policy, evidence),
        *_strangers(evidence),
        *_spectrum(evidence),
        *_outcomes(evidence),
        *_weights_only(policy, evidence),
        *_identifications(evidence),
        *_utility(evidence.utility, evidence.dataset),
        *_past(evidence, statement),
    ]
    if found:
        raise InvalidValueError("the evidence contradicts itself:\n  " + "\n  ".join(found))


def check_bounds(facts: Facts) -> None:
    """Refuse facts whose attacks beat their bounds, or whose spend exceeds the budget that was planned.

    Raises:
        AuditContradiction: an attack reconstructs more units than the bound on its read-out allows, or picks the target
            more often than any attack on the mechanism can.
        InvalidValueError: the guarantee is above the plan's budget.
    """
    _check_spend(facts.guarantee, facts.evidence)
    for found in facts.evidence.identifications:
        check_identification(found)
    for bound in facts.bounds:
        for outcome in facts.evidence.attacks.outcomes:
            # The closed form is that of this attack's own read-out; it is no bound on others.
            covered = outcome.attack == "analytic"
            if covered and (bound.adversary, bound.similarity) == (outcome.adversary, outcome.similarity):
                _check_outcome(bound, outcome)


def _check_spend(guarantee: Guarantee, evidence: Evidence) -> None:
    budget = evidence.plan.budget
    if guarantee.epsilon.high > budget.epsilon * (1 + 1e-9) or guarantee.delta != budget.delta:
        raise InvalidValueError(
            f"the run spent (ε, δ) = ({guarantee.epsilon.high!r}, {guarantee.delta!r}), its plan allowed "
            f"({budget.epsilon!r}, {budget.delta!r})"
        )


def _check_outcome(bound: RiskBound, outcome: AttackOutcome) -> None:
    """A unit counts as soon as one of several noise draws succeeds, so the bound holds for each draw."""
    allowed = min(1.0, outcome.noise_draws * bound.value)
    proven = outcome.sample.lower(confidence=_CONTRADICTION_CONFIDENCE)
    if proven > allowed:
        raise AuditContradiction(
            f"attack {outcome.title} ({outcome.adversary.title}) reconstructs at least {proven:.4f} of units, its "
            f"bound allows {allowed:.4g}",
            hint="one of the two is wrong; nothing may be released before it is known which",
        )


def _differ(what: str, one: object, other: object) -> Iterator[str]:
    if one != other:
        yield f"{what}: {one!r} and {other!r}"


def _past(evidence: Evidence, statement: LedgerStatement) -> Iterator[str]:
    own = next(spend.taken for spend in statement.spends if spend.run == statement.run)
    yield from _differ("mechanism of ledger and record", own, evidence.record.mechanism)
    if evidence.utility.baseline and not statement.non_private_runs:
        yield "a non-private twin was measured, and the ledger knows of no non-private run"


def _plan(policy: Policy, evidence: Evidence) -> Iterator[str]:
    training, plan, card = evidence.candidate.training, evidence.plan, evidence.dataset
    mechanism, per_epoch = plan.mechanism, training.steps_per_epoch(card.train_units)
    epsilon = policy.privacy.max_epsilon if training.epsilon is None else training.epsilon
    delta = policy.privacy.max_delta if training.delta is None else training.delta
    yield from _differ("sampling rate of plan and candidate", mechanism.sampling_rate, 1 / per_epoch)
    yield from _differ("steps of plan and candidate", plan.steps, training.epochs * per_epoch)
    yield from _differ("resume allowance of plan and candidate", plan.resume_allowance, training.resume_allowance)
    yield from _differ("clipping of plan and candidate", plan.clipping, training.clipping)
    yield from _differ("clipping norm of plan and candidate", plan.clipping_norm, training.clipping_norm)
    yield from _differ("precision of plan and candidate", plan.precision, training.precision)
    yield from _differ("divisor of plan and expected batch of candidate", plan.divisor, training.expected_batch)
    yield from _differ("ε of plan and candidate", plan.budget.epsilon, epsilon)
    yield from _differ("δ of plan and candidate", plan.budget.delta, delta)
    if training.sampling != "best":
        yield from _differ("sampling of plan and candidate", mechanism.sampling, training.sampling)


def _record(evidence: Evidence) -> Iterator[str]:
    plan, record = evidence.plan, evidence.record
    steps = record.mechanism.steps
    yield from _differ("mechanism of record and plan", record.mechanism, replace(plan.mechanism, steps=steps))
    if steps > plan.mechanism.steps:
        yield f"{steps} steps were taken, {plan.mechanism.steps} were planned"
    yield from _differ("steps of record, and of recipe with those done again", steps, plan.steps + record.redone_steps)
    yield from _differ("clipping of record and plan", record.clipping, plan.clipping)
    yield from _differ("clipping norm of record and plan", record.clipping_norm, plan.clipping_norm)
    yield from _differ("precision of record and plan", record.precision, plan.precision)
    yield from _differ("divisor of record and plan", record.divisor, plan.divisor)
    yield from _differ("unit of record and data", record.mechanism.unit, evidence.dataset.unit)


def _provenance(policy: Policy, evidence: Evidence) -> Iterator[str]:
    model, provenance = evidence.candidate.model, evidence.record.provenance
    yield from _differ("base weights of record and candidate", bool(provenance.base_weights), model.pretrained)
    yield from _differ("code of the user's, of record and candidate", bool(provenance.code), model.factory is not None)
    if provenance.frozen_parameters and model.trainable is None:
        yield f"{provenance.frozen_parameters} frozen parameters, and the candidate trains them all"
    reads = evidence.candidate.data.factory is not None
    yield from _differ("code that reads the data, of card and candidate", bool(evidence.dataset.code), reads)
    for file in (*provenance.code, *evidence.dataset.code):
        if file not in policy.allow_code:
            yield f"the code {file} ran, and the policy doesn't allow it"


def _dataset(candidate: Candidate, card: DatasetCard) -> Iterator[str]:
    yield from _differ("format of data and candidate", card.format, candidate.data.format)
    yield from _differ("task of data and candidate", card.task, candidate.data.task)
    yield from _differ("unit of data and candidate", card.unit, candidate.data.unit)
    yield from _differ("synthetic data and phantom format", card.synthetic, card.format.startswith("phantom-"))
    phantom = candidate.data.phantom
    if phantom is not None:
        yield from _differ("dimensions of data and candidate", len(card.image_shape) - 1, phantom.dimensions)
    scan = candidate.data.scan
    if scan is not None:
        yield from _differ("dimensions of data and candidate", len(card.image_shape) - 1, scan.dimensions)
    size = candidate.data.image_size or (phantom and phantom.size) or (scan and scan.size)
    if size is not None:
        yield from _differ("image size of data and candidate", card.image_shape[1:], size)
    least = -(-card.train_images // card.train_units)
    most = card.train_images - card.train_units + 1
    if not least <= card.max_images_per_unit <= most:
        yield f"{card.train_images} images of {card.train_units} units, with at most {card.max_images_per_unit} a unit"


def _nulls(policy: Policy, evidence: Evidence) -> Iterator[str]:
    for null in evidence.attacks.nulls:
        yield from _differ("confidence of null and policy", null.confidence, policy.audit.null_confidence)
        yield from _differ(
            f"threshold of {null.similarity!r}, best of {null.candidates}", null.threshold, _threshold(null)
        )
        fewest = min(policy.audit.units, evidence.dataset.train_units, _NULL_UNITS)
        if not fewest <= null.units <= evidence.dataset.train_units:
            yield f"a null from {null.units} units, of {evidence.dataset.train_units} training units"
        quantile, passing = null.similarity.above_null, max(null.strangers_passing, null.guesses_passing)
        if quantile is not None and passing < 1 - quantile - 1e-9:
            yield (
                f"{passing!r} of {'strangers' if null.guesser is None else 'strangers or guesses'} pass "
                f"τ = {null.threshold!r}, fewer than the {quantile!r} quantile's lower limit leaves"
            )


def _strangers(evidence: Evidence) -> Iterator[str]:
    """Nulls of one definition of success are about the same strangers: a higher threshold lets no more of them pass."""
    nulls = sorted(evidence.attacks.nulls, key=lambda null: null.threshold)
    for index, lower in enumerate(nulls):
        for higher in nulls[index + 1 :]:
            alike = (lower.similarity, lower.candidates, lower.units) == (
                higher.similarity,
                higher.candidates,
                higher.units,
            )
            if alike and higher.strangers_passing > lower.strangers_passing:
                yield (
                    f"{higher.strangers_passing!r} of strangers pass τ = {higher.threshold!r}, and "
                    f"{lower.strangers_passing!r} the lower {lower.threshold!r}"
                )


def _spectrum(evidence: Evidence) -> Iterator[str]:
    spectrum, card = evidence.attacks.spectrum, evidence.dataset
    yield from _differ("numbers of an image, of spectrum and data", spectrum.pixels, card.pixels)
    if not FEWEST_UNITS <= spectrum.units <= card.test_units:
        yield f"a spectrum from {spectrum.units} units, of {card.test_units} that were held out"


def _threshold(null: NullCalibration) -> float:
    """τ as the null's own figures give it."""
    if null.similarity.at_least is not None:
        return null.similarity.at_least
    return min(null.threshold if null.quantile_low >= 1 else null.quantile_low, null.similarity.at_most or 1.0)


def _outcomes(evidence: Evidence) -> Iterator[str]:
    card, steps = evidence.dataset, evidence.record.mechanism.steps
    ran = {(outcome.attack, outcome.adversary, outcome.similarity) for outcome in evidence.attacks.outcomes}
    nulls = evidence.attacks.nulls
    for similarity in dict.fromkeys(null.similarity for null in nulls):
        for adversary in REALISTIC:
            always: AttackName = "analytic" if adversary.prior == "none" else "denoised"
            if (always, adversary, similarity) not in ran:
                yield f"attack {always} was not made: {adversary.title}, {similarity.measure}"
            if not any(null.similarity == similarity and null.is_of(adversary) for null in nulls):
                yield f"no null for {adversary.title}, {similarity.measure}"
    if not any(null.similarity.measure == "ncc" for null in nulls):
        yield "no threshold for the closed forms: a null by NCC"
    for outcome in evidence.attacks.outcomes:
        name = f"attack {outcome.title} ({outcome.adversary.title}, {outcome.similarity.measure})"
        if max(outcome.sample.trials, outcome.worst.trials, outcome.positive_control.trials) > card.train_units:
            yield f"{name}: more units attacked than the {card.train_units} that were trained on"
        if outcome.negative_control.trials > card.test_units:
            yield f"{name}: a negative control on more units than the {card.test_units} that were held out"
        # Rows that are planted in a batch isolate some of its units; the control is on those.
        share = 0.1 if outcome.attack in PAPER_ATTACKS else 1.0
        if outcome.attack not in WEIGHTS_ATTACKS and outcome.positive_control.trials < share * outcome.sample.trials:
            yield f"{name}: a positive control on fewer units than were attacked"
        if outcome.adversary.has_bound and not 1 <= outcome.participations <= max(1, steps):
            yield f"{name}: {outcome.participations} participations in {steps} steps"
        sample = outcome.sample
        if outcome.median_similarity >= outcome.threshold and 2 * sample.successes < sample.trials:
            yield f"{name}: a median similarity above τ with {sample.successes} of {sample.trials} units"


def _weights_only(policy: Policy, evidence: Evidence) -> Iterator[str]:
    """Attacks on the released model: on a network that they can be made on, as hard as the policy asks, once."""
    card, candidates = evidence.dataset, policy.audit.weights_only.candidates
    for outcome in evidence.attacks.outcomes:
        if outcome.attack not in WEIGHTS_ATTACKS:
            continue
        name = f"attack {outcome.title}"
        reason = unfit(outcome.attack, model=evidence.candidate.model, task=card.task)
        if reason is not None:
            yield f"{name}: {reason}"
        if outcome.participations or outcome.noise_draws != 1:
            yield f"{name}: {outcome.participations} gradients in {outcome.noise_draws} draws, of one set of weights"
        yield from _differ(f"images that {name} hands in, and those of the policy", outcome.candidates, candidates)
        controlled = control_trials(outcome.attack, candidates=candidates, test_units=card.test_units)
        yield from _differ(f"trials of the positive control of {name}", outcome.positive_control.trials, controlled)


def _identifications(evidence: Evidence) -> Iterator[str]:
    run, units = evidence.record.mechanism, evidence.dataset.train_units
    names = tuple(found.attack for found in evidence.identifications)
    if names not in ((), MATCHING):
        yield f"candidates were matched by {', '.join(names)}, not by {', '.join(MATCHING)}"
    for found in evidence.identifications:
        if found.identified.trials < TRIALS:
            yield f"attack {found.attack}: {found.identified.trials} trials, fewer than {TRIALS}"
        if found.candidates not in {candidates_among(units, most=most) for most in (CANDIDATES, CANDIDATES_OF_LARGE)}:
            yield f"attack {found.attack}: {found.candidates} candidates of {units} units"
        audited = found.mechanism
        same = replace(
            run,
            sampling_rate=audited.sampling_rate,
            noise_multiplier=audited.noise_multiplier,
            steps=audited.steps,
        )
        yield from _differ(
            f"mechanism of attack {found.attack} and of the record, but for rate, noise and steps", audited, same
        )


def _utility(report: UtilityReport, card: DatasetCard) -> Iterator[str]:
    for name, measurements in (("model", report.measurements), ("twin", report.baseline), ("drop", report.drops)):
        keys = [(m.subject, m.confidence) for m in measurements]
        if len(set(keys)) != len(keys):
            yield f"{name}: a metric is measured twice at one confidence"
        for measurement in measurements:
            yield from _measurement(name, measurement, card)
    yield from _drops(report)


def _measurement(name: str, measured: Measurement, card: DatasetCard) -> Iterator[str]:
    what = f"{metric_title(*measured.subject)} of the {name}"
    if measured.metric not in METRICS_OF[card.task] or measured.class_name not in (None, *card.classes[1:]):
        yield f"{what}: not measured of {card.task} with the classes {', '.join(card.classes)}"
    # Units without the class have no Dice.
    if measured.metric != "dice" or measured.units > card.test_groups:
        yield from _differ(f"independent test units of {what}", measured.units, card.test_groups)
    if math.isnan(measured.estimate):
        return
    widest = 2 if name == "drop" else 1
    if not -widest <= measured.low <= measured.estimate <= measured.high <= widest:
        yield f"{what}: {measured.low!r} ≤ {measured.estimate!r} ≤ {measured.high!r} is no interval"
    if name != "drop" and measured.metric == "accuracy" and card.test_images == card.test_groups:
        right = round(measured.estimate * card.test_groups)
        exact = lower_limit(successes=right, trials=card.test_groups, confidence=measured.confidence)
        if measured.low > exact + 1e-6:
            yield f"{what}: a lower limit of {measured.low!r}, where {right} of {card.test_groups} units give {exact!r}"


def _drops(report: UtilityReport) -> Iterator[str]:
    """A drop is the twin's metric less the model's."""

    def estimate(subject: tuple[str, str | None], among: tuple[Measurement, ...]) -> float:
        return next((m.estimate for m in among if m.subject == subject), math.nan)

    for drop in report.drops:
        expected = estimate(drop.subject, report.baseline) - estimate(drop.subject, report.measurements)
        both_undefined = math.isnan(expected) and math.isnan(drop.estimate)
        if not both_undefined and not math.isclose(drop.estimate, expected, abs_tol=1e-9):
            title = metric_title(*drop.subject)
            yield f"drop of {title}: {drop.estimate!r}, where twin and model differ by {expected!r}"
