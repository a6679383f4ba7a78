"""The registry's entry: its own schema accepts it, its numbers are the facts', and nothing in a name is syntax."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from gatekeeper.core.budget import Interval
from gatekeeper.core.certificate import Facts
from gatekeeper.report import Report, render
from gatekeeper.report.content import UNPROTECTED
from gatekeeper.report.notices import Notice, NoticeKind
from gatekeeper.report.registry.entry import NOT_STATED
from gatekeeper.report.registry.texts import shown
from gatekeeper.report.registry.yaml_text import yaml_number, yaml_text
from tests.facts import sample_facts
from tests.format_readers import SHOWN, markdown_tokens
from tests.format_readers import shown as shown_by_markdown
from tests.hostile import anything, hostile_report, report_of
from tests.test_report_formats import APPROVED, OPEN, REFUSED

SCHEMA = yaml.safe_load((Path(__file__).parent / "registry" / "deployments-schema.yaml").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
REPORTS = pytest.mark.parametrize("report", [APPROVED, REFUSED, OPEN], ids=["approved", "refused", "open"])


def entry_of(report: Report) -> dict[str, Any]:
    entry: dict[str, Any] = yaml.safe_load(render(report, "registry"))
    return entry


def texts(node: Any) -> list[str]:
    """Every text of an entry."""
    if isinstance(node, dict):
        return [text for value in node.values() for text in texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in texts(value)]
    return [node] if isinstance(node, str) else []


@REPORTS
def test_the_registrys_schema_accepts_it(report: Report) -> None:
    entry = entry_of(report)
    CHECK.validate(entry)
    entry["deployment"]["basic"]["publication_date"] = "soon"
    assert not CHECK.is_valid(entry)


@REPORTS
def test_it_says_what_the_facts_say_and_no_more(report: Report) -> None:
    entry, facts = entry_of(report), report.facts
    deployment = entry["deployment"]
    loss = deployment["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": facts.guarantee.epsilon.high, "delta": facts.guarantee.delta}
    assert loss["privacy_unit"] == facts.evidence.dataset.unit
    assert UNPROTECTED in deployment["dp_variant"]["unprotected_quantities"]
    assert deployment["basic"]["publication_date"] == report.created[:10]
    for name in ("intended_use", "data_product_region"):
        assert deployment["basic"][name] == NOT_STATED
    assert deployment["basic"]["data_curators"] == [NOT_STATED]
    assert "data_product_sector" not in deployment["basic"]
    assert "sources" not in deployment["administrative"]
    assert entry["status"] == "Draft"
    released = report is APPROVED
    assert ("release_type" in deployment["deployment_model"]) == released
    assert ("Not released" in deployment["basic"]["description"]) != released
    assert "SYNTHETIC" in deployment["basic"]["description"]
    for finding in report.verdict.findings:
        assert f"- {shown(finding.rule)}: " in deployment["implementation"]["justification"]


@pytest.mark.parametrize(("kind", "released"), [("reuse", True), ("audit", True), ("re-judgement", False)])
def test_a_notice_hides_no_refusal(kind: NoticeKind, released: bool) -> None:
    """Evidence that is reused is refused like any; what is judged again was released, or not, by another policy."""
    report = dataclasses.replace(REFUSED, notices=(Notice(kind=kind, text="Something else."),))
    deployment = entry_of(report)["deployment"]
    assert "Something else." in deployment["basic"]["description"]
    assert ("Not released" in deployment["basic"]["description"]) == released
    tuned = deployment["implementation"]["preprocessing_and_hyperparameter_tuning"]
    assert ("under this policy" in tuned) == (kind != "re-judgement")


def test_an_image_that_is_its_own_unit_has_not_any_number_of_images() -> None:
    def domain(**changes: object) -> str:
        card = dataclasses.replace(APPROVED.facts.evidence.dataset, **changes)
        facts = dataclasses.replace(APPROVED.facts, evidence=dataclasses.replace(APPROVED.facts.evidence, dataset=card))
        said = entry_of(dataclasses.replace(APPROVED, facts=facts))["deployment"]["dp_variant"]["data_domain"]
        return str(said)

    own = domain(unit="image", max_images_per_unit=1, train_images=APPROVED.facts.evidence.dataset.train_units)
    assert own.endswith("Each image is a unit of its own.")
    assert domain(unit="lesion").endswith(
        "A unit (lesion) may have any number of images; in these data one has at most 3."
    )


def test_an_infinite_epsilon_is_left_out() -> None:
    guarantee = dataclasses.replace(sample_facts().guarantee, epsilon=Interval(low=0.0, estimate=1.0, high=math.inf))
    facts: Facts = dataclasses.replace(sample_facts(), guarantee=guarantee)
    loss = entry_of(report_of(APPROVED.policy, facts))["deployment"]["privacy_loss"]
    assert "epsilon" not in loss["privacy_parameters"]
    assert "inf" in loss["privacy_parameters_details"]


def _their_slug(entry: dict[str, Any]) -> str:
    """The rule that the registry checks: names and curators in lower case, what is no word being a dash."""

    def clean(text: str) -> str:
        return re.sub(r"\W+", "_", text.lower())

    basic = entry["deployment"]["basic"]
    parts = (basic["name"], "-".join(basic["data_curators"]), basic["publication_date"].split("-")[0])
    return "_".join(map(clean, parts)).replace("_", "-")


HOSTILE = "- <script>x</script> *b* $x$ \\\\(y) \"q\" 'q' : # {{7*7}} [a](https://evil.example)"


def test_hostile_names_mark_up_nothing() -> None:
    report = hostile_report(model=HOSTILE, policy_name=HOSTILE, rule=HOSTILE)
    entry = entry_of(report)
    CHECK.validate(entry)
    assert entry["url_slug"] == _their_slug(entry)
    assert render(report, "registry").startswith(f"url_slug: {_their_slug(entry)}\n")
    for text in texts(entry):
        assert not re.search(r"\\\\[^()]", text), "the registry takes two backslashes for LaTeX"
        for token in markdown_tokens(text):
            assert token.type not in {"html_block", "fence", "code_block", "heading_open", "hr", "blockquote_open"}
            assert {child.type for child in token.children or ()} <= SHOWN
    (token,) = [each for each in markdown_tokens(entry["deployment"]["basic"]["name"]) if each.type == "inline"]
    assert shown_by_markdown(token) == HOSTILE


def test_every_text_is_quoted_or_a_literal_block() -> None:
    for token in yaml.scan(render(hostile_report(model=HOSTILE, policy_name="p", rule="r"), "registry")):
        if isinstance(token, yaml.ScalarToken):
            assert token.style in {None, '"', "|"}


@settings(max_examples=50)
@given(anything)
def test_what_a_text_says_comes_back_from_yaml_and_from_markdown(text: str) -> None:
    once = shown(f"x{text}")
    document = yaml_text({"a": once, "b": [once], "c": {"d": f"{once}\n\n{once}"}})
    assert yaml.safe_load(document) == {"a": once, "b": [once], "c": {"d": f"{once}\n\n{once}"}}


@pytest.mark.parametrize("value", [1e16, 1e-7, 0.5, 3.0, 1.5e300, 99999.99999921846, 1e9, 5])
def test_a_number_is_one_for_readers_of_yaml_1_1(value: float) -> None:
    read = yaml.safe_load(yaml_number(value))
    assert isinstance(read, int | float)
    assert read == value
