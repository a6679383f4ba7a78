"""Evidence that is kept, reused and judged again, through the command line, with a real training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.test_end_to_end import Bench

CACHE = ("--cache", "cache", "--cache-key", "cache.key")


@pytest.mark.slow
def test_a_release_of_reused_evidence_is_the_release_of_the_run_that_trained(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.certify(*CACHE, "-q", out="one")
    assert first.returncode == 0, first.stderr
    shutil.rmtree(tmp_path / ".gatekeeper/runs")
    second = bench.certify(*CACHE, "-q", "--format", "json", out="two")
    assert second.returncode == 0, second.stderr
    assert "cache: reused run" in second.stderr
    assert json.loads(second.stdout)["notices"][0]["kind"] == "reuse"
    assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "two/model.onnx").read_bytes()
    verified = bench.verify("two")
    assert verified.returncode == 0, verified.stderr
    (run,) = json.loads(bench.here("ledger", "show", "--format", "json").stdout)["runs"]

    bench.edit("policy.yaml", "min: 0.1,", "min: 0.99,")
    refused = bench.run("check", "two", "--public-key", "release.pub", "--policy", "policy.yaml")
    assert (refused.returncode, "RE-JUDGED: REFUSED" in refused.stdout) == (1, True), refused.stderr
    path = f".gatekeeper/runs/{run['reservation']['run']}"
    checked = bench.run("check", path, "--cache-key", "cache.key", "--policy", "policy.yaml", "--format", "json")
    assert (checked.returncode, json.loads(checked.stdout)["verdict"]) == (1, "refused"), checked.stderr

    bench.edit("policy.yaml", "min: 0.99,", "min: 0.1,")
    bench.edit("candidate.yaml", "patients: 110", "patients: 111")
    audit = bench.run(
        *("certify", "candidate.yaml", "--policy", "policy.yaml", "--audit-only", "--exit-zero", *CACHE, "-q")
    )
    assert audit.returncode == 0, audit.stderr
    assert "cache: nothing that this version reads is kept" in audit.stderr, "of an audit, and a release is none"
    assert len(json.loads(bench.here("ledger", "show", "--format", "json").stdout)["runs"]) == 1
