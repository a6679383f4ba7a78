"""A model trained in bfloat16 is released as float32, and its certificate says how it was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_end_to_end import CANDIDATE, Bench


@pytest.mark.slow
def test_a_training_in_bfloat16_is_certified_and_verified(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    candidate = CANDIDATE.replace("clipping_norm: 1.0\n", "clipping_norm: 1.0\n    precision: bfloat16\n")
    (tmp_path / "candidate.yaml").write_text(candidate.format(epsilon="1.0e+3"))
    planned = bench.certify("--dry-run")
    assert "the network in bfloat16" in planned.stdout, planned.stderr
    result = bench.certify("-o", "text:report.txt", "-o", "json:report.json")
    assert result.returncode == 0, result.stderr
    report = " ".join((tmp_path / "report.txt").read_text().split())
    assert "what layers see and send back is bfloat16" in report
    evidence = json.loads((tmp_path / "report.json").read_text())["facts"]["evidence"]
    assert {evidence[part]["precision"] for part in ("plan", "record")} == {"bfloat16"}
    assert bench.verify().returncode == 0
