from __future__ import annotations

import dataclasses
import json
import math

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.adversary import ONE_STEP_SPECTRAL
from gatekeeper.core.certificate import Facts
from gatekeeper.core.clipping import Adaptation
from gatekeeper.core.code import CodeFile
from gatekeeper.core.model_spec import Argument, ModelSpec
from gatekeeper.core.record import Provenance
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.core.utility import UtilityReport
from gatekeeper.gate import decide
from gatekeeper.report import FORMATS, Report, render, render_text, report_schema
from gatekeeper.report.content import NON_CLAIMS, RECOMPUTED, TRUSTED, unit_sentence
from gatekeeper.report.tables import statistic
from tests.facts import bound, measurement, sample_facts, sample_policy


def _report(facts: Facts | None = None) -> Report:
    judged = facts or sample_facts()
    return Report(
        gatekeeper_version="1.2.3",
        created="2030-01-02T03:04:05Z",
        policy=sample_policy(),
        facts=judged,
        verdict=decide(sample_policy(), judged),
    )


REFUSED = sample_facts(epsilon=1e9, accuracy=measurement(low=0.1), risk=bound(0.5))
OPEN = sample_facts(accuracy=measurement(estimate=math.nan, low=math.nan, high=math.nan))


@pytest.mark.parametrize("facts", [sample_facts(), REFUSED, OPEN])
def test_json_follows_its_schema(facts: Facts) -> None:
    document = json.loads(render(_report(facts), "json"))
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    document["verdict"] = "certified"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    ("facts", "word", "code"), [(sample_facts(), "approved", 0), (REFUSED, "refused", 1), (OPEN, "inconclusive", 3)]
)
def test_every_format_says_the_verdict_and_every_finding(facts: Facts, word: str, code: int) -> None:
    report = _report(facts)
    document = json.loads(render(report, "json"))
    assert (document["verdict"], document["exit_code"]) == (word, code)
    text = render_text(report, width=200)
    assert text.startswith(word.upper())
    for finding in report.verdict.findings:
        assert finding.rule in text
        assert finding.remedy is None or finding.remedy in text
    assert {"text", "json"} <= set(FORMATS)


def test_the_text_gives_measured_limit_and_margin_of_each_rule() -> None:
    text = render_text(_report(REFUSED), width=200)
    row = next(line for line in text.splitlines() if "accuracy is at least" in line)
    assert "0.1" in row
    assert "≥ 0.7" in row
    assert "-0.6" in row


def test_a_training_that_was_interrupted_is_reported_with_the_steps_done_again() -> None:
    facts = sample_facts()
    assert "Resumed" not in render_text(_report(facts))
    record = dataclasses.replace(facts.evidence.record, starts=3, redone_steps=2)
    resumed = dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, record=record))
    text = " ".join(render_text(_report(resumed)).split())
    assert "started 3 times. 2 of its 6 steps were done again" in text


def test_text_has_no_colour_codes_unless_asked_for() -> None:
    assert "\x1b[" not in render_text(_report())
    assert "\x1b[" in render_text(_report(), colour=True)


def test_hostile_names_cannot_mark_up_the_text() -> None:
    policy = dataclasses.replace(sample_policy(), name="[bold red]APPROVED[/]")
    report = dataclasses.replace(_report(), policy=policy)
    assert "[bold red]APPROVED[/]" in render_text(report, width=200)


def test_an_attack_without_a_bound_is_shown_too() -> None:
    text = render_text(_report(sample_facts(without=("bound",))), width=200)
    assert "realistic, one step" in text
    assert "0/200" in text


def test_the_report_owns_up_to_what_it_does_not_say() -> None:
    text = render_text(_report(), width=200)
    for word in ("membership", "signer's word", "SYNTHETIC", "not anonymous"):
        assert word in text


@given(st.floats(1e-12, 1e15), st.integers(2, 6))
def test_risks_round_up_and_accuracies_down(value: float, digits: int) -> None:
    up, down = float(round_up(value, digits=digits)), float(round_down(value, digits=digits))
    assert down <= value <= up
    assert up - value <= value * 10.0 ** (1 - digits) * (1 + 1e-9)


def test_the_report_says_what_the_network_was_made_of_and_that_it_lies_outside_epsilon() -> None:
    facts = sample_facts()
    assert "Origin" not in render_text(_report(facts), width=2000)
    code = CodeFile(name="nets.small", sha256="a" * 64)
    provenance = Provenance(base_weights="b" * 64, code=(code,), frozen_parameters=77)
    model = ModelSpec(factory="nets.small:make", arguments=(Argument(name="depth", value=3),), base="weights")
    evidence = dataclasses.replace(
        facts.evidence,
        record=dataclasses.replace(facts.evidence.record, provenance=provenance),
        candidate=dataclasses.replace(facts.evidence.candidate, model=model),
    )
    facts = dataclasses.replace(facts, evidence=evidence)
    text = render_text(_report(facts), width=2000)
    (line,) = [line for line in text.splitlines() if line.startswith("Origin")]
    for piece in (f"weights of sha256 {'b' * 64}", "outside ε", "1000 parameters were trained; 77", str(code)):
        assert piece in line
    jsonschema.validate(json.loads(render(_report(facts), "json")), report_schema())


def _on(**card: object) -> Facts:
    """The sample facts about other data."""
    facts = sample_facts()
    dataset = dataclasses.replace(facts.evidence.dataset, **card)  # type: ignore[arg-type]
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, dataset=dataset))


def test_the_report_says_whose_code_read_the_data() -> None:
    code = CodeFile(name="clinic.scans", sha256="a" * 64)
    report = _report(_on(format="factory", code=(code,)))
    (line,) = [line for line in render_text(report, width=2000).splitlines() if line.startswith("Origin")]
    assert str(code) in line
    assert "is its word" in line
    jsonschema.validate(json.loads(render(report, "json")), report_schema())


def test_the_report_says_that_the_published_table_names_no_patients() -> None:
    def line(facts: Facts) -> str:
        lines = render_text(_report(facts), width=2000).splitlines()
        return next((each for each in lines if each.startswith("Unit")), "")

    assert "Each image is its own unit" in line(_on(format="radimagenet", unit="image"))
    assert "not bounded by this ε" in line(_on(format="radimagenet", unit="image"))
    assert unit_sentence(_on(format="radimagenet", unit="patient_id")) is None
    assert line(_on(format="medmnist", unit="image")) == ""


def _dice_facts() -> Facts:
    facts = sample_facts()
    card = dataclasses.replace(
        facts.evidence.dataset, task="segmentation", classes=("background", "liver", "lesion"), image_shape=(1, 64, 64)
    )
    mean = dataclasses.replace(measurement(), metric="dice")
    liver = dataclasses.replace(measurement(estimate=0.87, units=77), metric="dice", class_name="liver")
    evidence = dataclasses.replace(
        facts.evidence,
        dataset=card,
        model=dataclasses.replace(facts.evidence.model, spatial_multiple=8),
        utility=UtilityReport(measurements=(mean, liver)),
    )
    return dataclasses.replace(facts, evidence=evidence)


def test_dice_is_shown_by_class_with_the_units_that_have_it() -> None:
    text = render_text(_report(_dice_facts()), width=400)
    row = next(line for line in text.splitlines() if line.lstrip().startswith("dice of liver"))
    assert "0.8700" in row
    assert " 77 " in row
    assert "units with the class, in mask or prediction" in " ".join(text.split())
    assert "takes images with 1 channel whose height and width are multiples of 8" in text
    assert "one logit a class for each pixel" in text


def test_what_every_report_says_is_true_of_every_metric() -> None:
    assert "accuracy" not in " ".join((*NON_CLAIMS, *TRUSTED, *RECOMPUTED)).lower()


def test_the_text_says_what_the_file_takes() -> None:
    assert "takes images of 1×8×8, answers" in render_text(_report(), width=200)


def test_the_report_says_how_gradients_were_clipped() -> None:
    def text(clipping: str, adaptation: Adaptation | None = None) -> str:
        facts = sample_facts()
        record = dataclasses.replace(facts.evidence.record, clipping=clipping, clipping_norm=1.0, adaptation=adaptation)
        evidence = dataclasses.replace(facts.evidence, record=record)
        return render_text(_report(dataclasses.replace(facts, evidence=evidence)), width=2000)

    assert "clipping norm 1.0." in text("flat")
    assert "every gradient scaled to the norm 1.0." in text("automatic")
    adaptive = text("adaptive", Adaptation(last_norm=0.25, clipped_share=0.125))
    assert "adaptive clipping norm, 1.0 to begin with." in adaptive
    assert "ended at 0.25: each step released a count too, with noise of standard deviation 4." in adaptive
    assert "By the noisy counts, 12% of the gradients were clipped." in adaptive
    assert "noisy counts" not in text("flat") + text("automatic")


def test_a_models_figure_is_not_printed_as_a_bound() -> None:
    facts = sample_facts()
    with_prior = dataclasses.replace(facts.bounds[0], adversary=ONE_STEP_SPECTRAL, value=0.123)
    facts = dataclasses.replace(facts, bounds=(*facts.bounds, with_prior))
    text = " ".join(render_text(_report(facts=facts), width=200).split())
    assert "with prior NCC ≥ 0.8 (1 % of strangers, 0.2 % of guesses) 0.123 (model)" in text
    assert "attacks on real images may exceed" in text


def test_a_confidence_is_never_rounded_up_to_certainty() -> None:
    (own_code,) = [each for each in _report().verdict.findings if each.rule == "own-code"]
    assert own_code.confidence == 1 - 1e-6
    assert statistic(own_code).endswith(", 0.9999")
