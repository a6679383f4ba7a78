"""Data and privacy facts, name by name, with the fields that NIST SP 800-226 asks for."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.certificate import Facts
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report.content import (
    UNPROTECTED,
    Report,
    adaptation_sentence,
    arithmetic_sentence,
    interruption_sentence,
    is_rejudged,
    model_sentence,
    provenance_sentence,
    twin_sentence,
    unit_sentence,
)

_CLIPPING = {
    "flat": "each unit's gradient, to a fixed norm",
    "adaptive": "each unit's gradient, to a norm that follows a noisy quantile of the norms",
    "automatic": "each unit's gradient is scaled to the norm",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A fact: its name and what it is."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FactGroup:
    """Facts that belong together, under a title."""

    title: str
    facts: tuple[Fact, ...]


def fact_groups(report: Report) -> tuple[FactGroup, ...]:
    """All groups, from the guarantee down to the file."""
    facts = report.facts
    return tuple(
        FactGroup(title=title, facts=tuple(Fact(name=name, text=text) for name, text in pairs if text is not None))
        for title, pairs in (
            ("Guarantee", _guarantee(report)),
            ("Mechanism", _mechanism(facts)),
            ("Implementation and trust", _implementation(facts)),
            ("Tuning and what is not protected", _tuning(report)),
            ("Data", _data(facts)),
            ("Model", _model(facts)),
        )
    )


_Pairs = tuple[tuple[str, str | None], ...]


def _guarantee(report: Report) -> _Pairs:
    facts, terms = report.facts, report.policy.privacy
    guarantee, card, mechanism = facts.guarantee, facts.evidence.dataset, facts.evidence.record.mechanism
    ceiling = f"the policy's ceiling is {in_full(terms.max_epsilon)}"
    return (
        ("Variant", "approximate differential privacy, (ε, δ)"),
        ("ε", f"≤ {round_up(guarantee.epsilon.high)}; {ceiling}"),
        ("ε, how loose the proof is", f"the smallest ε at this δ is at least {round_down(guarantee.epsilon.low)}"),
        ("δ", f"≤ {round_up(guarantee.delta)}; the policy's ceiling is {in_full(terms.max_delta)}"),
        ("1/n, to compare δ with", f"{round_down(1 / card.train_units)} (n = {card.train_units} training units)"),
        ("ε under other conventions", "not computed: without sampling, and for groups of units"),
        ("Unit of privacy", f"{mechanism.unit}; the most images that one has: {card.max_images_per_unit}"),
        (
            "Neighbouring relation",
            f"{mechanism.adjacency}: a unit's record becomes nothing and the number of units is public; accounted like "
            "add-or-remove-one",
        ),
        ("Accountant", f"{guarantee.accountant}, gatekeeper {report.gatekeeper_version}; {guarantee.theorem}"),
    )


def _mechanism(facts: Facts) -> _Pairs:
    record, plan, training = facts.evidence.record, facts.evidence.plan, facts.evidence.candidate.training
    mechanism = record.mechanism
    noise_on = "times C, on the sum" if record.adaptation is None else "of sum and count together"
    average = "" if training.ema is None else f", as a moving average (decay {in_full(training.ema)})"
    return (
        ("Mechanism", "DP-SGD: noisy sums of clipped gradients, one gradient for each unit (Gaussian noise)"),
        ("Sampling, assumed", f"{mechanism.sampling}: the accountant reads the mechanism that the training counted"),
        ("Sampling, used", f"{mechanism.sampling}, as the training recorded it"),
        ("Sampling rate q", f"{round_up(mechanism.sampling_rate)}; expected batch {record.divisor} units"),
        ("Noise multiplier σ", f"{round_down(mechanism.noise_multiplier)} ({noise_on})"),
        ("Clipping", f"{record.clipping}: {_CLIPPING[record.clipping]}"),
        ("Clipping norm C", f"{record.clipping_norm!r}{', to begin with' if record.clipping == 'adaptive' else ''}"),
        ("Adaptive clipping", adaptation_sentence(facts)),
        ("Slack of the sensitivity η", f"{round_up(mechanism.sensitivity_slack)}: one unit moves a sum by ≤ C(1 + η)"),
        ("Steps T", f"{mechanism.steps} counted, {plan.mechanism.steps} planned, {record.redone_steps} done again"),
        ("Interruptions", interruption_sentence(facts)),
        ("Views of a unit in a step", f"{training.views}, whose mean gradient is clipped once"),
        (
            "Outputs",
            f"the final model alone is meant for release{average}; the guarantee covers every noisy sum",
        ),
    )


def _implementation(facts: Facts) -> _Pairs:
    record = facts.evidence.record
    return (
        ("Random numbers", record.noise_generator),
        ("Floating point", arithmetic_sentence(facts).split(". Random bits")[0]),
        ("Precision of the network", record.precision),
        ("Trust model", "central: whoever ran the training held the images and is trusted with them"),
        ("Timing and other side channels", "not covered by this tool: the training runs where the images are"),
        ("Device", f"{record.device}, {record.seconds:.1f} s"),
        ("Software", ", ".join(f"{each.name} {each.version}" for each in record.software)),
    )


def _tuning(report: Report) -> _Pairs:
    facts, ledger = report.facts, report.facts.ledger
    whose = "the policy that the run was recorded under" if is_rejudged(report) else "this policy"
    return (
        (
            f"Attempts of {whose} on these units",
            f"{ledger.attempts}; the rules' confidence holds over all attempts together",
        ),
        ("Private runs on any of these units", f"{ledger.runs}, this one included; their total is under Ledger"),
        ("Runs without privacy on any of them", f"{ledger.non_private_runs}; what they yielded lies outside ε"),
        ("Hyper-parameters", "fixed in the candidate; tuning outside the ledger is unknown to this tool"),
        ("Unprotected quantities", f"no noise was added to {UNPROTECTED}"),
        ("Units and patients", unit_sentence(facts)),
        ("Non-private twin", twin_sentence(facts)),
        ("Outside ε", provenance_sentence(facts)),
    )


def _data(facts: Facts) -> _Pairs:
    card, data = facts.evidence.dataset, facts.evidence.candidate.data
    synthetic = "SYNTHETIC images, generated by gatekeeper" if card.synthetic else "not generated by gatekeeper"
    share = (
        "given by the data set" if data.split.test is None else f"{in_full(data.split.test)} of the groups for tests"
    )
    by = data.split.by or card.unit
    return (
        ("Name and format", f"{card.name}, {card.format}; {synthetic}"),
        ("Task and classes", f"{card.task}, {len(card.classes)} classes: {', '.join(card.classes)}"),
        ("Training units", f"{card.train_units} ({card.unit}), {card.train_images} images"),
        ("Test units", f"{card.test_units} ({card.unit}) in {card.test_groups} groups, {card.test_images} images"),
        ("Image", f"{'×'.join(map(str, card.image_shape))}, {card.pixels} values"),
        ("Split", f"{share}, by {by}; a unit or an identical image on both sides is refused"),
        ("Commitment", f"salted SHA-256 {card.commitment}"),
    )


def _model(facts: Facts) -> _Pairs:
    record, model = facts.evidence.record, facts.evidence.model
    return (
        ("File", model_sentence(facts)),
        ("ONNX", f"opset {model.opset}, input {model.input_name}, output {model.output_name}"),
        ("Trained parameters", str(record.parameters)),
        ("Weights", f"SHA-256 {record.weights_digest}"),
    )
