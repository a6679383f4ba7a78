"""Certify and the ledger, through the command line: every run counts, whatever becomes of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.codec import canonical
from tests.test_end_to_end import ENVIRONMENT, Bench, released_bench

LEDGER = ".gatekeeper/ledger.sqlite"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def spent(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Bench:
    """A bench that released a model with all the ε that its policy allows in total."""
    shutil.copytree(released_bench(tmp_path_factory).path, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path)


def _runs(bench: Bench) -> list[dict[str, Any]]:
    """The ledger's runs, as `ledger show` prints them for machines."""
    shown = bench.here("ledger", "show", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    runs: list[dict[str, Any]] = json.loads(shown.stdout)["runs"]
    return runs


def _head(bench: Bench) -> str:
    shown = json.loads(bench.here("ledger", "show", "--format", "json").stdout)["head"]
    return f"{shown['ledger']}:{shown['length']}:{shown['digest']}"


@pytest.mark.slow
def test_a_second_run_on_the_same_units_composes_with_the_first(bench: Bench) -> None:
    bench.write(attempts=3)
    before = _head(bench)
    first, second = (bench.certify("--format", "json", out=out) for out in ("one", "two"))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    one, two = (json.loads(result.stdout)["facts"] for result in (first, second))
    assert one["total"]["epsilon"] == one["guarantee"]["epsilon"]
    assert one["guarantee"]["epsilon"]["high"] < two["total"]["epsilon"]["high"]
    assert (one["ledger"]["runs"], two["ledger"]["runs"]) == (1, 2)
    assert (one["ledger"]["attempts"], two["ledger"]["attempts"]) == (1, 2)
    assert two["ledger"]["non_private_runs"] == 2, "the twins are counted, and never summed"
    assert [run["conclusion"] for run in _runs(bench)] == ["approved", "approved"]

    verify = ("verify", "two", "--public-key", "release.pub", "--policy", "policy.yaml", "--ledger-head")
    assert bench.here(*verify, before).returncode == 0
    ledger, _, digest = before.split(":")
    for wrong, said in (
        (f"{'0' * 32}:1:{digest}", "not in 0000"),
        (f"{ledger}:900:{digest}", "before the remembered 900"),
        ("nonsense", "ID:LENGTH:DIGEST"),
    ):
        refused = bench.here(*verify, wrong)
        assert refused.returncode in (2, 4)
        assert said in refused.stderr


def test_a_run_that_would_pass_the_total_is_refused_before_its_first_step(spent: Bench) -> None:
    spent.edit("policy.yaml", "max_attempts: 1", "max_attempts: 3")
    (before,) = (spent.path / ".gatekeeper/runs").iterdir()
    result = spent.certify(out="two")
    assert result.returncode == 1, result.stderr
    assert "REFUSED before its first step" in result.stderr
    assert "total_epsilon allows 1000" in result.stderr
    assert not (spent.path / "two").exists()
    (latest,) = set((spent.path / ".gatekeeper/runs").iterdir()) - {before}
    assert not (latest / "evidence.json").exists()
    assert not (latest / "model.onnx").exists()
    assert len(_runs(spent)) == 1


def test_one_attempt_too_many_never_begins(spent: Bench) -> None:
    result = spent.certify(out="two")
    assert result.returncode == 1
    assert "attempt 2 of policy tiny" in result.stderr


@pytest.mark.slow
def test_sign_believes_the_ledger_and_not_the_run_directory(bench: Bench) -> None:
    bench.write(attempts=2)
    command = ("candidate.yaml", "--policy", "policy.yaml", "--no-sign", "-q")
    for _ in range(2):
        assert bench.run("certify", *command).returncode == 0
    run = sorted((bench.path / ".gatekeeper/runs").iterdir())[-1]
    sign = ("sign", str(run), "--policy", "policy.yaml", "--key", "release.key", "--ledger", LEDGER, "--out")
    assert bench.run(*sign, "honest").returncode == 0

    kept = (run / "ledger.json").read_text()
    own = json.loads(kept)
    own["spends"] = [spend for spend in own["spends"] if spend["run"] == own["run"]]
    for forged in (
        {**own, "runs": 1, "non_private_runs": 1, "attempts": 1},
        {**json.loads(kept), "attempts": 1},
        own,
    ):
        (run / "ledger.json").write_text(canonical(forged))
        refused = bench.run(*sign, "forged")
        assert refused.returncode == 2, refused.stderr
        assert "the ledger does not confirm the run" in refused.stderr
        assert not (bench.path / "forged").exists()


@pytest.mark.slow
def test_a_refused_run_counts_like_any_other(bench: Bench) -> None:
    bench.write(epsilon="1.0e+12", minimum="0.99", attempts=3)
    assert bench.certify().returncode == 1
    (run,) = _runs(bench)
    assert run["conclusion"] == "refused"
    assert run["settled"] is True


def test_certify_never_makes_a_ledger(bench: Bench) -> None:
    result = bench.certify("--ledger", "other.sqlite")
    assert result.returncode == 2
    assert "gatekeeper ledger init" in result.stderr
    assert not (bench.path / "other.sqlite").exists()
    assert not (bench.path / ".gatekeeper/runs").exists()


def test_certify_finds_an_edited_ledger(spent: Bench) -> None:
    with sqlite3.connect(spent.path / LEDGER) as database:
        database.execute("DROP TRIGGER ledger_entries_no_update")
        edited = database.execute(
            "UPDATE ledger_entries SET payload = replace(payload, '\"noise_multiplier\":', '\"noise_multiplier\":9')"
        )
        assert edited.rowcount > 0
    result = spent.certify(out="two")
    assert result.returncode == 2
    assert "ledger" in result.stderr
    assert spent.here("ledger", "check").returncode == 4


def _certify_in_background(bench: Bench) -> subprocess.Popen[bytes]:
    command = ("certify", "candidate.yaml", "--policy", "policy.yaml", "--no-sign", "-q")
    return subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", *command],
        cwd=bench.path,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _began(bench: Bench) -> Iterator[Path]:
    """Runs whose private part was allowed to train."""
    yield from (bench.path / ".gatekeeper/runs").glob("*/permit.json")


@pytest.mark.slow
def test_however_a_run_is_killed_the_ledger_never_understates(bench: Bench) -> None:
    bench.write(attempts=100)
    policy = bench.path / "policy.yaml"
    policy.write_text(policy.read_text().replace("max: 0.05\n", "max: 0.2\n"))  # what 80 units can show at 99.95 %
    generator = random.Random(7)
    for _ in range(10):
        process = _certify_in_background(bench)
        time.sleep(generator.uniform(0.5, 9.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert bench.here("ledger", "check").returncode == 0
        counted = _runs(bench)
        # A run may be counted without its permit (killed between the two), never the other way round.
        assert {path.parent.name for path in _began(bench)} <= {run["reservation"]["run"] for run in counted}
        for run in counted:
            assert run["mechanism"] == run["reservation"]["mechanism"], "nothing counts for less than was reserved"
    assert any(True for _ in _began(bench)), "at least one run was killed after its first step"
