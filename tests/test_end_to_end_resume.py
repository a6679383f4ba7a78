"""Certify, killed and stopped, and gone on with: certificate, ledger and accounting agree on every step."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.codec import from_plain
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.privacy import account
from tests.test_end_to_end import ENVIRONMENT, PATIENCE, TWIN_RULE, Bench
from tests.test_end_to_end_ledger import _runs

PER_EPOCH = 6  # 154 training units, 24 a step
EPOCHS = 40


class Patient(Bench):
    """A bench whose candidate trains long enough to be killed, with steps to do again."""

    def plan(self, *, allowance: int, sampling: str = "poisson") -> None:
        path = self.path / "candidate.yaml"
        more = f"    resume_allowance: {allowance}\n    sampling: {sampling}\n"
        path.write_text(path.read_text().replace("epochs: 6\n", f"epochs: {EPOCHS}\n") + more)
        policy = self.path / "policy.yaml"
        policy.write_text(policy.read_text().replace("max: 0.05\n", "max: 0.2\n"))
        self.edit("policy.yaml", TWIN_RULE, "")  # no twin: it takes time

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start gatekeeper in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "gatekeeper", *arguments],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def claims(self) -> int:
        """Lines of the journal of the only run's training."""
        return sum(
            path.read_bytes().count(b"\n") for path in (self.path / ".gatekeeper/runs").glob("*/training/journal")
        )

    def stop(self, process: subprocess.Popen[str], number: int, *, when: Callable[[], bool]) -> tuple[int, str]:
        """Send a signal when it is time; exit code and stderr."""
        while process.poll() is None and not when():
            time.sleep(0.005)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
        return process.returncode, stderr

    def facts(self, result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        """The facts of a certified run's report, checked against ledger, mechanism and release."""
        assert result.returncode == 0, result.stderr
        facts: dict[str, Any] = json.loads(result.stdout)["facts"]
        record = facts["evidence"]["record"]
        steps = record["mechanism"]["steps"]
        assert steps == EPOCHS * PER_EPOCH + record["redone_steps"]
        (run,) = _runs(self)
        assert (run["settled"], run["conclusion"], run["mechanism"]) == (True, "approved", record["mechanism"])
        assert run["reservation"]["mechanism"] == facts["evidence"]["plan"]["mechanism"]
        spent = account(from_plain(record["mechanism"], Mechanism), facts["guarantee"]["delta"]).epsilon.high
        assert facts["guarantee"]["epsilon"]["high"] == facts["total"]["epsilon"]["high"] == pytest.approx(spent)
        assert (facts["ledger"]["runs"], facts["ledger"]["attempts"]) == (1, 1)
        verified = self.verify()
        assert verified.returncode == 0, verified.stderr
        return facts


CERTIFY = ("certify", "candidate.yaml", "--policy", "policy.yaml", "--key", "release.key", "--out", "out")
CERTIFY = (*CERTIFY, "--format", "json")


@pytest.fixture
def bench(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


@pytest.mark.slow
def test_a_training_that_is_asked_to_stop_loses_nothing_and_says_how_to_go_on(bench: Patient) -> None:
    bench.plan(allowance=0, sampling="balls-and-bins")
    code, stderr = bench.stop(bench.start(*CERTIFY), signal.SIGTERM, when=lambda: bench.claims() > 0)
    assert code == 130
    assert "interrupted; to go on: gatekeeper certify" in stderr
    command = shlex.split(stderr.strip().splitlines()[-1].partition("to go on: gatekeeper ")[2])
    (run,) = _runs(bench)
    assert (run["settled"], run["conclusion"]) == (False, "failed")
    record = bench.facts(bench.run(*command))["evidence"]["record"]
    assert (record["redone_steps"], record["starts"]) == (0, 2)


@pytest.mark.slow
def test_killed_in_training_and_after_it_the_steps_that_are_done_again_count(bench: Patient) -> None:
    bench.plan(allowance=100)  # blocks of five steps
    assert bench.stop(bench.start(*CERTIFY), signal.SIGKILL, when=lambda: bench.claims() > 5)[0] == -signal.SIGKILL
    (path,) = (bench.path / ".gatekeeper/runs").iterdir()
    resume = (*CERTIFY, "--resume", str(path))
    assert bench.stop(bench.start(*resume), signal.SIGKILL, when=lambda: bench.claims() > 20)[0] == -signal.SIGKILL
    model = path / "model.onnx"
    assert bench.stop(bench.start(*resume), signal.SIGKILL, when=model.exists)[0] == -signal.SIGKILL
    trained = model.read_bytes()
    result = bench.run(*CERTIFY, "--resume")
    record = bench.facts(result)["evidence"]["record"]
    assert f"resuming {path.relative_to(bench.path)}: goes on with the training" in result.stderr
    assert (record["redone_steps"], record["starts"]) == (10, 3), "a training that is complete is not repeated"
    assert model.read_bytes() == trained
    assert not (path / "training").exists()
    again = bench.certify("--resume", str(path), out="other")
    assert again.returncode == 2
    assert "has its verdict already: approved" in again.stderr


@pytest.mark.slow
def test_what_was_killed_without_an_allowance_is_refused_and_stays_counted_in_full(bench: Patient) -> None:
    bench.plan(allowance=0)
    bench.stop(bench.start(*CERTIFY), signal.SIGKILL, when=lambda: bench.claims() > 0)
    result = bench.run(*CERTIFY, "--resume")
    assert result.returncode == 2
    assert "training.resume_allowance (now 0)" in result.stderr
    (run,) = _runs(bench)
    assert run["settled"] is False
    assert run["mechanism"] == run["reservation"]["mechanism"]
    assert not bench.models()


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins"])
def test_killed_at_twenty_random_moments_everything_agrees(bench: Patient, sampling: str) -> None:
    bench.plan(allowance=200, sampling=sampling)  # blocks of ten steps
    generator, deaths, arguments = random.Random(20), 0, CERTIFY
    while deaths < 20:
        claims = bench.claims() + generator.randint(1, 2)  # so few that twenty deaths come before the end
        moment = time.monotonic() + generator.uniform(1.0, 20.0)
        process = bench.start(*arguments)
        code, stderr = bench.stop(
            process,
            signal.SIGKILL,
            when=lambda claims=claims, moment=moment: bench.claims() >= claims or time.monotonic() > moment,
        )
        if code != -signal.SIGKILL:
            assert code == 2, stderr
            assert "no run of this candidate and policy was interrupted" in stderr, "killed before it was counted"
            arguments = CERTIFY
            continue
        deaths += 1
        assert bench.here("ledger", "check").returncode == 0
        for run in _runs(bench):
            assert run["mechanism"] == run["reservation"]["mechanism"], "nothing counts for less than was reserved"
        begun = any((bench.path / ".gatekeeper/runs").glob("*/permit.json"))
        arguments = (*CERTIFY, "--resume") if begun else CERTIFY
    record = bench.facts(bench.run(*arguments))["evidence"]["record"]
    assert record["starts"] > 2
    assert record["redone_steps"] == 10 * (record["starts"] - 1)
