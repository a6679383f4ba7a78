"""Certify under torchrun: two processes, and what becomes of a run that loses one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_end_to_end import ENVIRONMENT, PATIENCE
from tests.test_end_to_end_ledger import _runs
from tests.test_end_to_end_resume import CERTIFY, Patient

pytestmark = pytest.mark.slow


class Team(Patient):
    """A bench that certifies with two processes."""

    def torchrun(self, *arguments: str) -> subprocess.Popen[str]:
        """Start two processes."""
        launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        return subprocess.Popen(
            [*launcher, "-m", "gatekeeper", *arguments],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self, word: str) -> list[int]:
        """Processes that work here with `word` among their arguments."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_text().split("\0")
                here = (process / "cwd").resolve() == self.path.resolve()
            except OSError:
                continue
            if here and word in arguments:
                found.append(int(process.name))
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Team:
    return Team(tmp_path)


def _wait(moment: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not moment():
        time.sleep(0.005)


def test_two_processes_certify_what_verifies(bench: Team) -> None:
    process = bench.torchrun(*CERTIFY)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    evidence = json.loads(stdout)["facts"]["evidence"]
    assert evidence["record"]["device"] == "2 × cpu"
    assert evidence["record"]["mechanism"] == evidence["plan"]["mechanism"]
    assert [run["conclusion"] for run in _runs(bench)] == ["approved"]
    verified = bench.verify()
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize("victim", ["the child", "the parent"])
def test_a_process_that_is_killed_fails_the_run_and_one_process_goes_on_with_it(bench: Team, victim: str) -> None:
    bench.plan(allowance=100)
    process = bench.torchrun(*CERTIFY)
    _wait(lambda: bench.claims() > 3, process)
    (child,) = bench.processes("assist")
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(child if victim == "the child" else parent, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert stdout == ""
    assert not bench.processes("gatekeeper.cli.worker"), "nobody goes on training"
    (run,) = _runs(bench)
    assert (run["settled"], run["conclusion"]) == (False, "failed"), stderr
    assert run["mechanism"] == run["reservation"]["mechanism"], "counted in full"
    assert not bench.models()
    (path,) = (bench.path / ".gatekeeper/runs").iterdir()
    record = bench.facts(bench.run(*CERTIFY, "--resume", str(path)))["evidence"]["record"]
    assert (record["starts"], record["device"]) == (2, "cpu")


def test_both_stop_when_asked_and_go_on_together(bench: Team) -> None:
    bench.plan(allowance=0, sampling="balls-and-bins")
    process = bench.torchrun(*CERTIFY)
    _wait(lambda: bench.claims() > 0, process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "interrupted; to go on: gatekeeper certify" in stderr
    (run,) = _runs(bench)
    assert (run["settled"], run["conclusion"]) == (False, "failed")
    process = bench.torchrun(*CERTIFY, "--resume")
    stdout, stderr = process.communicate(timeout=PATIENCE)
    result = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    record = bench.facts(result)["evidence"]["record"]
    assert (record["redone_steps"], record["starts"], record["device"]) == (0, 2, "2 × cpu")


def test_a_refusal_before_the_training_ends_both(bench: Team) -> None:
    assert bench.certify().returncode == 0
    process = bench.torchrun(*("other" if word == "out" else word for word in CERTIFY))
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "REFUSED before its first step" in stderr
    assert stdout == ""
    assert not bench.processes("gatekeeper.cli.worker")
