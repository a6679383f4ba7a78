"""What a dry run says a run would cost: time, memory, disk, and a ledger's attempts and ε."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.codec import digest
from gatekeeper.core.forecast import Span, sum_of
from gatekeeper.core.ledger import Reservation
from gatekeeper.errors import InvalidValueError
from gatekeeper.ledger import open_ledger
from gatekeeper.pipeline.inputs import read_policy
from gatekeeper.privacy import account
from tests.command_line import Ran, gatekeeper
from tests.forecasts import COST, forecasting, sample_forecast, unaudited
from tests.ledger_samples import go, people
from tests.test_cli import CERTIFY, Stage, _signals_as_before, here, stage  # noqa: F401  (fixtures)
from tests.test_end_to_end import POLICY

DRY = (*CERTIFY, "--dry-run")


@pytest.fixture(autouse=True)
def _forecast(stage: Stage) -> None:  # noqa: F811
    stage.during_training = forecasting(sample_forecast())


def _json(*more: str) -> dict:
    ran = gatekeeper(*DRY, "--format", "json", *more)
    assert ran.code == 0, ran.stderr
    return json.loads(ran.stdout)


def _count_earlier_run(here: Path, *, policy_digest: str | None = None) -> None:  # noqa: F811
    """Reserve a run like the forecast's on the same units."""
    plan = sample_forecast().plan
    ledger = open_ledger(str(here / ".gatekeeper/ledger.sqlite"), key=here / ".gatekeeper/ledger.key")
    ledger.reserve(
        Reservation(
            run="earlier",
            mechanism=plan.mechanism,
            delta=plan.budget.delta,
            non_private=False,
            policy_name="tiny",
            policy_digest=policy_digest or digest(read_policy(here / "policy.yaml")),
        ),
        people(*range(400)),
        allow=go,
    )


def _write_policy(here: Path, *, total: str) -> None:  # noqa: F811
    """Three attempts, and a limit on the total that one run may reach alone."""
    text = POLICY.format(minimum="0.1", attempts=3, total=f", total_epsilon: {{max: {total}}}")
    (here / "policy.yaml").write_text(text.replace("epsilon: {max: 1.0e+12}", f"epsilon: {{max: {total}}}"))


# Spans


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=5))
def test_a_sum_of_spans_spans_their_sums(pairs: list[tuple[float, float]]) -> None:
    spans = tuple(Span(low=low, high=low + more) for low, more in pairs)
    total = sum_of(spans)
    assert total.low == pytest.approx(math.fsum(span.low for span in spans))
    assert total.high == pytest.approx(math.fsum(span.high for span in spans))


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="ends where it begins or later"):
        Span(low=2.0, high=1.0)


def test_a_run_costs_training_twin_and_audit() -> None:
    assert COST.total == Span(low=90.0 + 27.0 + 605.0, high=90.0 + 90.0 + 9620.0)
    alone = dataclasses.replace(COST, twin=None, audit=None)
    assert (alone.total, alone.whole_audit) == (alone.training, None)


# Text


def test_figures_of_privacy_are_rounded_up_and_estimates_say_that_they_are() -> None:
    stdout = gatekeeper(*DRY).stdout
    assert "ε ≤ 123.457" in stdout
    assert "123.456 " not in stdout
    assert "one step 0.124" in stdout
    assert "about 90 s of training, 27 s to 90 s of the twin's, 10 min to 2 h 40 min of the audit (estimates" in stdout
    assert "simulated attacks: 5 s to 20 s, from a small probe" in stdout
    assert "inversion: 10 min to 2 h 40 min, guessed from a training step" in stdout
    assert "memory    at least 812 MB" in stdout
    assert "disk      up to 12 MB" in stdout


def test_too_little_disk_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=11_000_000))
    assert "11 MB are free there: TOO LITTLE" in gatekeeper(*DRY).stdout


def test_what_can_not_be_approved_is_not_priced_as_an_audit(stage: Stage) -> None:  # noqa: F811
    stage.during_training = forecasting(unaudited("rule accuracy asks for more"))
    ran = gatekeeper(*DRY)
    assert ran.code == 2
    assert "problem   rule accuracy asks for more\n" in ran.stdout
    assert "audit (" not in ran.stdout


# The ledger


def test_without_a_ledger_nothing_is_said_of_earlier_runs(here: Path) -> None:  # noqa: F811
    shutil.rmtree(here / ".gatekeeper")
    ran = gatekeeper(*DRY)
    assert (ran.code, "none was read" in ran.stdout) == (0, True)
    assert _json()["ledger"] is None
    named = gatekeeper(*DRY, "--ledger", "nowhere.sqlite")
    assert named.code == 2
    assert "nowhere.sqlite" in named.stderr


def test_the_ledger_is_asked_and_not_written(here: Path) -> None:  # noqa: F811
    _write_policy(here, total="1.0e+7")
    _count_earlier_run(here)
    database = here / ".gatekeeper/ledger.sqlite"
    before = open_ledger(str(database), key=here / ".gatekeeper/ledger.key").head()
    found = _json()["ledger"]
    assert open_ledger(str(database), key=here / ".gatekeeper/ledger.key").head() == before
    assert (found["attempt"], found["attempts_left"], found["runs"], found["objection"]) == (2, 1, 1, None)
    plan = sample_forecast().plan
    alone = account(plan.mechanism, plan.budget.delta).epsilon.high
    assert found["total_before"] >= alone * (1 - 1e-9)
    assert found["total_after"] > 1.5 * found["total_before"]
    assert found["total_left"] == found["total_limit"] - found["total_after"]
    text = gatekeeper(*DRY).stdout
    assert "attempt 2 of 3, 1 left; 1 private runs on these units before" in text
    assert "total_epsilon 10000000 leaves 9.99" in text
    assert 0 < found["total_left"] - float(text.split("leaves ")[1].split()[0]) < 10  # down, in six digits
    assert 0 <= float(text.split("so far, ≤ ")[1].split()[0]) - found["total_after"] < 0.001


def _refused(ran: Ran, said: str) -> None:
    assert ran.code == 1, ran.stderr
    assert "REFUSED before its first step" in ran.stdout
    assert said in ran.stdout


def test_a_run_that_the_ledger_would_decline_is_refused(here: Path) -> None:  # noqa: F811
    _count_earlier_run(here)
    _refused(gatekeeper(*DRY), "this would be attempt 2 of policy tiny on these units; it allows 1")
    _write_policy(here, total="2.0")
    _refused(gatekeeper(*DRY), "total_epsilon allows 2")


# JSON


def test_the_json_is_what_its_schema_says(here: Path, stage: Stage) -> None:  # noqa: F811
    schema = json.loads(gatekeeper("certify", "--dry-run-schema").stdout)
    check = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    found = _json()
    check.validate(found)
    assert found["schema"] == "urn:gatekeeper:dry-run:v1"
    assert found["cost"]["audit"][1]["seconds"] == {"high": 9600.0, "low": 600.0}
    stage.during_training = forecasting(unaudited("a problem"))
    check.validate(json.loads(gatekeeper(*DRY, "--format", "json").stdout))
    for spoilt in ({**found, "more": 1}, {name: value for name, value in found.items() if name != "ledger"}):
        assert not check.is_valid(spoilt)


@pytest.mark.parametrize("more", [("--format", "sarif"), ("-o", "json:report.json")])
def test_a_dry_run_has_no_report(stage: Stage, more: tuple[str, ...]) -> None:  # noqa: F811
    ran = gatekeeper(*DRY, *more)
    assert ran.code == 2
    assert "dry" in ran.stderr
    assert stage.calls == []
