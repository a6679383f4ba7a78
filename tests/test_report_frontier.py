"""A frontier's texts against golden files, its schema, what it says of the best budget, and its pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import jsonschema
import pytest

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.frontier import Frontier
from gatekeeper.core.risk import Count, Similarity
from gatekeeper.core.rounding import round_up
from gatekeeper.errors import InvalidInputError, InvalidValueError
from gatekeeper.report import frontier_plot
from gatekeeper.report.frontier_columns import case_title
from gatekeeper.report.frontier_csv import render_frontier_csv
from gatekeeper.report.frontier_json import frontier_schema, render_frontier_json
from gatekeeper.report.frontier_plot import render_frontier_plots, require_matplotlib
from gatekeeper.report.frontier_text import render_frontier_markdown
from gatekeeper.report.frontier_words import best_sentence, counted_sentence
from tests.frontier_samples import GOLDEN, NOTHING, measured, point, rendered, risks, sample_frontier, setting


@pytest.mark.parametrize("name", ["frontier.md", "frontier.csv", "frontier.json"])
def test_the_texts_are_the_golden_ones(name: str) -> None:
    assert rendered()[name] == (GOLDEN / name).read_bytes().decode()


def test_json_follows_its_schema_and_the_schema_is_strict() -> None:
    schema, document = frontier_schema(), json.loads(render_frontier_json(sample_frontier()))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    for key in ("schema", "points", "total", "meanings"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: value for name, value in document.items() if name != key}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "schema": "urn:gatekeeper:frontier:v2"}, schema)


def test_a_frontier_is_the_same_after_json_and_back() -> None:
    assert decode(encode(sample_frontier()), Frontier) == sample_frontier()


def test_csv_has_one_row_a_point_and_its_numbers_in_full() -> None:
    rows = list(csv.DictReader(io.StringIO(render_frontier_csv(sample_frontier()))))
    assert [row["epsilon_asked"] for row in rows] == ["1.0", "8.0", "1000000.0", "1000000000.0", "1000000000000.0",
                                                     "1000000000000000.0", "inf"]  # fmt: skip
    third = sample_frontier().points[2]
    assert third.setting is not None
    assert float(rows[2]["snr_all_steps"]) == third.setting.snr_all_steps
    assert rows[3]["failing_rules"] == "reconstruction reconstruction/worst"
    assert rows[3]["realistic, one step, attack analytic: reconstructed"] == "299"
    assert rows[0]["accuracy"] == "", "an undefined metric is no number"
    assert rows[4]["noise_multiplier"] == rows[6]["noise_multiplier"] == ""


# What is said of the best budget


def test_the_best_budget_is_the_passing_one_of_the_highest_estimate() -> None:
    frontier = sample_frontier()
    assert frontier.passing == (8.0, 1e6)
    assert frontier.best == 1e6
    assert "ε = 1e+06 passes policy dermatology v2 with the highest accuracy: estimated 0.8000" in best_sentence(
        frontier
    )
    assert "chosen among 2 that pass" in best_sentence(frontier)


def test_a_refused_budget_is_never_the_best_however_accurate() -> None:
    better = (measured(0.99, low=0.9, high=1.0),)
    points = (point(8.0), point(1e6, outcome="refused", failing=("reconstruction",), utility=better))
    assert sample_frontier(points=points).best == 8.0
    none = sample_frontier(points=points[1:])
    assert none.best is None
    assert best_sentence(none) == "No budget of the 1 passes policy dermatology v2."


def test_a_budget_passes_only_if_every_seed_does_and_the_smaller_of_two_equals_is_best() -> None:
    refused = point(1e6, seed=2, outcome="refused", failing=("reconstruction",))
    assert sample_frontier(points=(point(8.0), point(1e6), refused)).passing == (8.0,)
    both = sample_frontier(points=(point(8.0), point(8.0, seed=2), point(1e6), point(1e6, seed=2)))
    assert both.best == 8.0
    assert "mean of 2 seeds, all of which pass" in best_sentence(both)


def test_it_says_how_many_runs_were_counted_and_rounds_their_total_up() -> None:
    said = counted_sentence(sample_frontier())
    assert "counted 5 private runs" in said
    assert "6 runs without privacy" in said
    assert f"ε ≤ {round_up(1.123456e9)}" in said
    assert "came together" not in counted_sentence(sample_frontier(total=None))


def test_hostile_names_neither_mark_up_nor_end_a_cell() -> None:
    hostile = "a|b`c\nd<script>"
    with pytest.raises(InvalidValueError):
        sample_frontier(candidate=hostile)
    text = render_frontier_markdown(sample_frontier(candidate=hostile.replace("\n", "")))
    assert "<script>" not in text.replace("\\<script\\>", "")
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| ")}
    assert len(widths) == 2, "one for each table"


def test_one_adversary_with_two_definitions_of_success_has_two_columns() -> None:
    other = Similarity(above_null=None, at_least=0.5)
    first = point(8.0)
    figure = first.risks[1]
    second = type(figure)(**{**{n: getattr(figure, n) for n in figure.__slots__}, "similarity": other})
    frontier = sample_frontier(points=(point(8.0, risks=(*first.risks, second)),))
    text = render_frontier_markdown(frontier)
    assert "realistic, one step, NCC ≥ 0.5: bound; attack" in text
    assert "realistic, one step, NCC above 0.99 of strangers: bound; attack" in text
    assert case_title((figure.adversary, None), ()) == "realistic, one step"


# What can't be said


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "approved", "failing": ("reconstruction",)},
        {"outcome": "refused", "failing": (), "undecided": ()},
        {"reason": "no reason is due"},
        {"setting": None},
        {"outcome": "failed", "reason": "and yet it measured"},
        {"outcome": "declined", **NOTHING},
        {"epsilon": 0.0},
        {"epsilon": math.nan},
        {"epsilon": math.inf, "setting": None, "reason": "without privacy"},
    ],
)
def test_a_point_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        point(changes.pop("epsilon", 8.0), **changes)  # type: ignore[arg-type]


def test_a_signal_to_noise_ratio_of_another_noise_is_refused() -> None:
    good = setting(0.5, 8.0)
    fields = {name: getattr(good, name) for name in good.__slots__}
    with pytest.raises(InvalidValueError, match="snr_all_steps must be"):
        type(good)(**{**fields, "snr_all_steps": 2 * good.snr_all_steps})


def test_an_upper_limit_below_the_observed_share_is_refused() -> None:
    attack = risks(bound=0.1, successes=3, worst=0.5)[1].attacks[0]
    fields = {name: getattr(attack, name) for name in attack.__slots__}
    with pytest.raises(InvalidValueError, match="below the observed share"):
        type(attack)(**{**fields, "sample": Count(successes=200, trials=300)})


@pytest.mark.parametrize("points", [(), (point(8.0), point(1.0)), (point(8.0), point(8.0))])
def test_points_are_in_order_and_each_once(points: tuple[object, ...]) -> None:
    with pytest.raises(InvalidValueError, match="in order"):
        sample_frontier(points=points)


def test_more_private_points_than_counted_runs_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="can't have made so many points"):
        sample_frontier(private_runs=3)


# Pictures


@pytest.mark.slow
def test_the_svg_is_the_same_every_time_and_names_what_it_shows() -> None:
    one, other = (render_frontier_plots(sample_frontier()) for _ in range(2))
    assert one["svg"] == other["svg"]
    assert one["png"][:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<dc:date>" not in one["svg"]


def test_a_frontier_without_any_model_can_be_drawn_and_dollar_signs_in_its_name_are_no_formula() -> None:
    points = (point(8.0, outcome="failed", reason="diverged", **NOTHING),)
    assert render_frontier_plots(sample_frontier(points=points, private_runs=1, candidate=r"$\frac$ and $"))["svg"]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier_plot.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"gatekeeper\[plot\]") as error:
        require_matplotlib()
    assert "--no-plot" in str(error.value)
