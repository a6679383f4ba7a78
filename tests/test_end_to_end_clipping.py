"""A model trained with an adaptive clipping norm is released, and verification recomputes its privacy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_end_to_end import CANDIDATE, Bench


@pytest.mark.slow
def test_adaptive_clipping_is_certified_and_verified(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    adaptive = CANDIDATE.replace("clipping_norm: 1.0", "clipping_norm: adaptive")
    (tmp_path / "candidate.yaml").write_text(adaptive.format(epsilon="1.0e+3"))
    planned = bench.certify("--dry-run")
    assert "clipping adaptive, from C = 1" in planned.stdout, planned.stderr
    result = bench.certify("-o", "text:report.txt")
    assert result.returncode == 0, result.stderr
    report = " ".join((tmp_path / "report.txt").read_text().split())
    assert "adaptive clipping norm, 1.0 to begin with" in report
    assert "By the noisy counts," in report
    assert bench.verify().returncode == 0
