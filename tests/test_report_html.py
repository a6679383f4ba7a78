"""The page: the same numbers as the JSON report, readable by everybody, safe to open, and marked up by nobody else."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import re
import shlex
from fractions import Fraction
from importlib import util
from pathlib import Path

import click
import matplotlib
import mpmath
import pytest
from hypothesis import given, settings

from gatekeeper.cli.main import app
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.clipping import Adaptation, Clipping
from gatekeeper.core.frontier_point import signal_to_noise
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report import Report, render
from gatekeeper.report.content import NON_CLAIMS, RECOMPUTED, ledger_sentence, trusted, unit_sentence
from gatekeeper.report.extras import require_format
from gatekeeper.report.html.checking import check_commands
from gatekeeper.report.html.facts_listed import fact_groups
from gatekeeper.report.html.headline import verdict_sentence
from gatekeeper.report.html.plots.signal_plot import signals
from gatekeeper.report.html.promise import membership_limit, promise_of
from gatekeeper.report.html.rendering import _environment
from gatekeeper.report.notices import Notice
from gatekeeper.report.tables import adversary_table, margin, measured, utility_table
from gatekeeper.report.visible import visible
from tests.command_line import gatekeeper
from tests.facts import sample_facts
from tests.hostile import anything, hostile_report, report_of
from tests.html_pages import Element, read_page
from tests.test_cli import CERTIFY, Stage, _signals_as_before, here, stage  # noqa: F401  (fixtures)
from tests.test_report_formats import APPROVED, OPEN, REFUSED, waived  # noqa: F401  (a fixture)
from tests.test_waivers import _today  # noqa: F401  (a fixture)

REPORTS = pytest.mark.parametrize("report", [APPROVED, REFUSED, OPEN], ids=["approved", "refused", "open"])
NAMES = {id(APPROVED): "approved", id(REFUSED): "refused", id(OPEN): "open"}


@functools.cache
def _text(name: str) -> str:
    return render({"approved": APPROVED, "refused": REFUSED, "open": OPEN}[name], "html")


def text_of(report: Report) -> str:
    """The page; those that several tests read are made once."""
    return _text(NAMES[id(report)]) if id(report) in NAMES else render(report, "html")


def page_of(report: Report) -> Element:
    return read_page(text_of(report))


@REPORTS
def test_the_verdict_comes_first_and_not_by_colour_alone(report: Report) -> None:
    page = page_of(report)
    word = json.loads(render(report, "json"))["verdict"]
    heading = page.one("h1")
    assert heading.text == f"{word.capitalize()} tiny"
    assert next(element for element in page.one("body").all() if element.tag in {"h1", "h2", "table"}) is heading
    assert page.one("head").one("title").text.startswith(f"{word.capitalize()}: tiny")
    sign = next(heading.all("svg"))
    shapes = [element.attributes.get("d", element.tag) for element in sign.all()]
    sentence = next(each for each in page.all("p") if each.classes == ["sentence"]).text
    bad = [finding.rule for finding in report.verdict.findings if finding.status in ("failed", "inconclusive")]
    assert shapes
    assert ("may be released: all" in sentence) == (word == "approved")
    assert all(rule in sentence for rule in bad)


def test_each_verdict_has_its_own_shape() -> None:
    signs = [next(page_of(report).one("h1").all("svg")) for report in (APPROVED, REFUSED, OPEN)]
    assert len({tuple(str(each.attributes) for each in sign.all()) for sign in signs}) == 3


@REPORTS
def test_the_rules_have_the_numbers_of_the_json_report_to_the_last_digit(report: Report) -> None:
    table = next(each for each in page_of(report).all("table") if each.classes == ["rules"])
    rows = list(table.one("tbody").all("tr"))
    findings = json.loads(render(report, "json"))["findings"]
    assert [row.one("th").text.split(" ")[0] for row in rows] == [finding["rule"] for finding in findings]
    for row, finding, judged in zip(rows, findings, report.verdict.findings, strict=True):
        exact = [each.attributes["value"] for each in row.all("data")]
        assert exact == [repr(float(finding[name])) for name in ("measured", "limit", "margin")]
        cells = {cell.attributes["data-label"]: cell.text for cell in row.all("td")}
        assert cells["measured"] == measured(judged)
        assert cells["limit"] == f"{judged.comparator} {in_full(judged.limit)}"
        assert cells["margin"] == margin(judged)
        assert cells["n"] == ("–" if finding["sample_size"] is None else str(finding["sample_size"]))
        assert cells["status"] == {"passed": "PASS", "failed": "FAIL", "inconclusive": "OPEN"}[finding["status"]]
        assert finding["statement"] in row.one("th").text
        assert finding["statistic"] in cells["statistic"]


@REPORTS
def test_every_cell_of_the_tables_is_there_and_every_fact_of_the_mechanism(report: Report) -> None:
    page = page_of(report)
    for drawn in (adversary_table(report), utility_table(report)):
        (table,) = [each for each in page.all("table") if each.one("caption").text == drawn.title]
        rows = [[cell.text for cell in row.all() if cell.tag in {"td", "th"}] for row in table.all("tr")]
        assert rows == [list(drawn.columns), *(list(row) for row in drawn.rows)]
    facts, record = report.facts, report.facts.evidence.record
    text, listed = page.text, {each.one("dt").text: each.one("dd").text for each in page.all("div") if _is_fact(each)}
    assert listed["ε"].startswith(f"≤ {round_up(facts.guarantee.epsilon.high)};")
    assert listed["δ"].startswith(f"≤ {round_up(facts.guarantee.delta)};")
    assert listed["Noise multiplier σ"].startswith(round_down(record.mechanism.noise_multiplier))
    assert listed["Sampling rate q"].startswith(round_up(record.mechanism.sampling_rate))
    assert listed["Steps T"].startswith(f"{record.mechanism.steps} counted")
    assert listed["1/n, to compare δ with"].startswith(round_down(1 / facts.evidence.dataset.train_units))
    assert record.noise_generator in listed["Random numbers"]
    for sentence in (*NON_CLAIMS, *RECOMPUTED, *trusted(facts)):
        assert sentence in text
    for sha256 in (facts.evidence.model.sha256, record.weights_digest, facts.evidence.dataset.commitment):
        assert sha256 in text
    assert "SYNTHETIC" in text


def _is_fact(element: Element) -> bool:
    return [child.tag for child in element.children if isinstance(child, Element)] == ["dt", "dd"]


@REPORTS
def test_the_page_is_one_that_everybody_can_read(report: Report) -> None:
    page = page_of(report)
    assert page.attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert page.one(landmark).text
    levels = [int(each.tag[1]) for each in page.all() if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(cell.attributes["scope"] in {"col", "row", "rowgroup"} for cell in table.all("th"))
    ids = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    for element in page.all():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(element.attributes.get(name, "").split()) <= set(ids)
        if element.tag in {"a", "use"}:
            assert element.attributes["href"].removeprefix("#") in ids
        assert set(re.findall(r"url\(#([^)]+)\)", " ".join(element.attributes.values()))) <= set(ids)
    pictures = [each for each in page.all("svg") if each.attributes.get("role") == "img"]
    assert len(pictures) == (2 if report is OPEN else 3)
    for picture in pictures:
        assert next(picture.all("title")).text
        assert re.search(r"\d", next(picture.all("desc")).text)
    assert all("aria-hidden" in each.attributes for each in page.all("svg") if each not in pictures)


def test_colours_have_contrast() -> None:
    style = page_of(APPROVED).one("style").text
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style))
    for name in ("ink", "muted", "link", "pass", "fail", "open", "waived"):
        for ground in ("#ffffff", colours["soft"]):
            assert _contrast(colours[name], ground) >= 4.5, name


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2: contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@REPORTS
def test_the_page_loads_and_runs_nothing(report: Report) -> None:
    text, page = text_of(report), page_of(report)
    assert not re.search(r"://|//www|@import|javascript:|url\((?!#)", text)
    tags = {each.tag for each in page.all()}
    assert not {"script", "iframe", "object", "embed", "img", "image", "link", "form", "base"} & tags
    assert not [name for each in page.all() for name in each.attributes if name.startswith("on") or name == "src"]
    (policy,) = [each for each in page.all("meta") if each.attributes.get("http-equiv") == "Content-Security-Policy"]
    directives = policy.attributes["content"].split("; ")
    assert {"default-src 'none'", "style-src 'unsafe-inline'", "img-src data:"} <= set(directives)
    assert not [each for each in directives if each.startswith(("script", "connect", "font"))]
    assert "loss" not in page.text.lower().replace("privacy loss", "")


def test_the_page_is_the_same_whatever_was_drawn_or_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = text_of(OPEN)
    text_of(REFUSED)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20.0)
    monkeypatch.setitem(matplotlib.rcParams, "svg.hashsalt", None)
    assert render(OPEN, "html") == before
    assert matplotlib.rcParams["font.size"] == 20.0


def test_hostile_names_mark_up_nothing_and_hide_nothing() -> None:
    hostile = "</td><script>alert(1)</script>{{7*7}}{% raw %}\"'&amp; $x$ <!--"
    report = hostile_report(model=hostile, policy_name=f"p{hostile}", rule=f"r{hostile}")
    card = dataclasses.replace(report.facts.evidence.dataset, classes=("moc.\u202egepj", f"{hostile}\x00\ufffe\n"))
    facts = dataclasses.replace(report.facts, evidence=dataclasses.replace(report.facts.evidence, dataset=card))
    page = page_of(dataclasses.replace(report, facts=facts))
    assert not list(page.all("script"))
    assert page.one("h1").text == f"Refused {hostile}"
    (row,) = [each for each in page.all("th") if each.text.startswith(f"r{hostile}")]
    assert row.attributes["scope"] == "row"
    for shown in (f"policy p{hostile} v1", "moc.⟦U+202E⟧gepj", f"{hostile}⟦U+0000⟧⟦U+FFFE⟧"):
        assert shown in page.text
    assert "{{7*7}}" in page.one("head").one("title").text
    assert not re.search("[\u202e\x00\ufffe]", page.text)


@settings(max_examples=25)
@given(anything)
def test_what_can_not_be_seen_is_shown_by_its_code_point(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert all(each.isprintable() or each.isspace() or not each.isascii() for each in shown)
    assert "\n" not in shown
    back = re.sub("⟦U\\+([0-9A-F]{4,6})⟧", lambda found: chr(int(found[1], 16)), shown)
    assert back == re.sub(r"[ \t\r\n]+", " ", re.sub("⟦U\\+([0-9A-F]{4,6})⟧", lambda f: chr(int(f[1], 16)), text))


def test_what_a_template_does_not_know_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        _environment().from_string("{{ nothing.of_the_kind }}").render()
    assert _environment().from_string("{{ x }}").render(x="<a>\u202e") == "&lt;a&gt;⟦U+202E⟧"


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_told_before_training(
    stage: Stage,  # noqa: F811
    here: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == missing else find(name))
    for words in (("--format", "html"), ("-o", "html:report.html")):
        ran = gatekeeper(*CERTIFY, "--no-sign", *words)
        assert (ran.code, ran.stdout, stage.everything) == (2, "", [])
        assert f"{missing} is not installed" in ran.stderr
        assert 'pip install "gatekeeper[html]"' in ran.stderr
    assert not (here / "report.html").exists()
    require_format("registry")


def test_a_waiver_is_shown_with_its_reason_and_who_signed_it(waived: Report) -> None:  # noqa: F811
    page = page_of(waived)
    assert page.one("h1").text == "Approved on waivers tiny"
    (each,) = waived.facts.waivers
    for piece in (each.waiver.reason, each.waiver.approver, str(each.signer), "the verdict rests on it"):
        assert piece in page.text
    marks = [cell.text for cell in page.all("td") if cell.attributes.get("data-label") == "waiver"]
    assert [mark for mark in marks if mark != "–"] == [each.waiver.id]


@pytest.mark.parametrize("report", [APPROVED, REFUSED], ids=["approved", "refused"])
def test_the_commands_that_it_prints_are_gatekeepers(report: Report) -> None:
    lines = [line for command in check_commands(report) for line in command.line.split("\n")]
    own = [shlex.split(line.split(" > ")[0])[1:] for line in lines if line.startswith("gatekeeper ")]
    assert len(own) >= 3
    for name, *words in own:
        command = app.commands[name]
        if words != ["--script"]:
            command.make_context(name, list(words))
    assert isinstance(app, click.Group)


REJUDGED = Notice(kind="re-judgement", text="It was judged again.")
AUDIT = Notice(kind="audit", text="It is an audit.")


def _facts_of(report: Report) -> dict[str, str]:
    return {fact.name: fact.text for group in fact_groups(report) for fact in group.facts}


def test_what_was_judged_again_is_not_said_of_this_policy() -> None:
    """It was released, or not, by the policy that it was certified under."""
    again = dataclasses.replace(REFUSED, notices=(REJUDGED,))
    assert "policy that the run was recorded under" in ledger_sentence(again)
    assert not any("of this policy" in name for name in _facts_of(again))
    assert verdict_sentence(again).startswith("RE-JUDGED: REFUSED: 3 of ")
    lines = [command.line for command in check_commands(again)]
    assert lines[0].startswith("gatekeeper check RUN --policy ")
    assert not any("report RUN" in line for line in lines), "that report is of the other policy's verdict"


@pytest.mark.parametrize("notice", [REJUDGED, AUDIT])
def test_a_violation_that_is_excused_does_not_hold_in_an_audit_either(waived: Report, notice: Notice) -> None:  # noqa: F811
    said = verdict_sentence(dataclasses.replace(waived, notices=(notice,)))
    count = len(waived.verdict.findings)
    assert f"PASSED: {count - 1} of {count} checks" in said
    assert "violated, and excused until a date: drop" in said


def test_a_norm_that_stays_is_none_to_begin_with() -> None:
    def told(clipping: Clipping, adaptation: Adaptation | None = None) -> dict[str, str]:
        record = APPROVED.facts.evidence.record
        record = dataclasses.replace(record, clipping=clipping, clipping_norm=1.0, adaptation=adaptation)
        evidence = dataclasses.replace(APPROVED.facts.evidence, record=record)
        return _facts_of(dataclasses.replace(APPROVED, facts=dataclasses.replace(APPROVED.facts, evidence=evidence)))

    adaptive = told("adaptive", Adaptation(last_norm=0.25, clipped_share=0.125))
    assert [each["Clipping norm C"] for each in (told("flat"), told("automatic"), adaptive)] == [
        "1.0",
        "1.0",
        "1.0, to begin with",
    ]
    assert "on the sum" not in adaptive["Noise multiplier σ"], "the sum alone has another"


def test_data_that_name_no_patients_are_told() -> None:
    card = dataclasses.replace(APPROVED.facts.evidence.dataset, format="radimagenet", unit="image", synthetic=False)
    evidence = dataclasses.replace(APPROVED.facts.evidence, dataset=card)
    report = dataclasses.replace(APPROVED, facts=dataclasses.replace(APPROVED.facts, evidence=evidence))
    said = unit_sentence(report.facts)
    assert said is not None
    assert said in _facts_of(report).values()
    assert said in render(report, "registry")


def _guarantee(epsilon: float, delta: float) -> Guarantee:
    return Guarantee(
        epsilon=Interval(low=0.0, estimate=epsilon, high=epsilon), delta=delta, accountant="a", theorem="t"
    )


@pytest.mark.parametrize("epsilon", [0.0, 1e-9, 0.5, 1.0, 8.0, 36.0, 700.0, 1e9, 1e15])
def test_nobody_tells_members_more_surely_than_is_said(epsilon: float) -> None:
    for delta in (1e-15, 1e-5, 0.1):
        with mpmath.workdps(60):
            power = mpmath.exp(-mpmath.mpf(epsilon))
            exact = (1 + mpmath.mpf(delta) * power) / (1 + power)
            said = mpmath.mpf(membership_limit(_guarantee(epsilon, delta)))
            assert exact - mpmath.mpf(2) ** -60 <= said <= exact + mpmath.mpf(2) ** -48


def test_a_guess_by_randomised_response_reaches_the_limit() -> None:
    """Tell the truth with probability e^ε/(1 + e^ε): (ε, 0)-private, and right just so often."""
    epsilon = math.log(3)
    assert membership_limit(_guarantee(epsilon, 1e-300)) == pytest.approx(float(Fraction(3, 4)), abs=1e-12)


def test_the_promise_is_made_of_the_runs_own_facts() -> None:
    promise = promise_of(REFUSED)
    assert promise.title.startswith("What ε ≤ 1e+09 promises")
    assert "That limit keeps hardly anybody out." in promise.holds[0]
    assert "hardly anybody" not in promise_of(report_of(APPROVED.policy, sample_facts(epsilon=1.0))).holds[0]
    assert any("reconstructed 0 of 200 audited units" in each and "the bound is 0.5" in each for each in promise.holds)
    assert any("with prior" not in each and "covariance" in each for each in promise.unlimited)
    assert any("sees the released model alone" in each and "not measured" in each for each in promise.unlimited)
    assert "anonymous" in promise.fails[-1]


def test_the_signal_is_that_of_the_mechanism_that_ran() -> None:
    record, pixels = APPROVED.facts.evidence.record, APPROVED.facts.evidence.dataset.pixels
    one, every = signals(APPROVED.facts)
    assert one.snr == signal_to_noise(relative_noise=record.mechanism.relative_noise, participations=1, pixels=pixels)
    assert every.participations == 1, "as the attacks of these facts say"
    assert one.median_ncc == pytest.approx(1 / math.sqrt(1 + 1 / one.snr))
