"""The argument about masks: tiny slices and volumes through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.test_end_to_end import Bench

CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {{name: tiny-masks}}
spec:
  data:
    format: phantom-abdomen
    unit: patient
    split: {{test: 0.3, seed: 1}}
    phantom: {{patients: 110, seed: 3, dimensions: {dimensions}, size: {size}}}
  model: {{network: {network}, width: 4}}
  training:
    epochs: 2
    expected_batch: 24
    clipping_norm: 1.0
    optimizer: {{name: nadam, lr: 5.0e-3}}
    epsilon: 3.0e+1
    delta: 1.0e-4
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: tiny-masks, version: 1, owner: tests}
spec:
  max_attempts: 1
  privacy: {unit: patient, epsilon: {max: 1.0e+12}, delta: {max: 1.0e-4}}
  rules:
    - {id: dice, metric: dice, min: 0.0, min_units: 20}
    - {id: lesions, metric: dice, class: lesion, min: 0.0, min_units: 10}
    - {id: drop, metric: dice, class: liver, max_drop: 0.99, baseline: non-private, min_units: 20}
    - id: reconstruction
      risk: reconstruction
      adversary: {observes: one-step}
      similarity: {measure: ncc, above_null: 0.99}
      max: 0.05
      worst: {max: 0.1}
  audit: {units: 70, worst_units: 10, noise_draws: 2, positive_control: {min: 0.9}, negative_control: {max: 0.1}}
"""
SLICES = {"dimensions": 2, "size": "[16, 16]", "network": "unet"}
VOLUMES = {"dimensions": 3, "size": "[8, 16, 16]", "network": "unet3d"}


def masks_bench(path: Path, kind: dict[str, object]) -> Bench:
    bench = Bench(path)
    (path / "candidate.yaml").write_text(CANDIDATE.format(**kind))
    (path / "policy.yaml").write_text(POLICY)
    return bench


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(SLICES, id="slices"), pytest.param(VOLUMES, id="volumes")])
def test_a_segmentation_is_released_verified_and_takes_other_sizes(kind: dict[str, object], tmp_path: Path) -> None:
    bench = masks_bench(tmp_path, kind)
    result = bench.certify("-o", "json:report.json", "-o", "text:report.txt")
    assert result.returncode == 0, result.stderr + result.stdout
    assert bench.verify().returncode == 0
    evidence = json.loads((tmp_path / "report.json").read_text())["facts"]["evidence"]
    assert evidence["dataset"]["task"] == "segmentation"
    subjects = [("dice", None), ("dice", "liver"), ("dice", "lesion")]
    for name in ("measurements", "baseline", "drops"):
        assert [(m["metric"], m["class_name"]) for m in evidence["utility"][name]] == subjects
    assert "dice of lesion" in (tmp_path / "report.txt").read_text()
    assert not list(tmp_path.rglob("twin*"))
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    larger = (24,) * kind["dimensions"]  # type: ignore[operator]
    (logits,) = session.run(None, {"pixels": np.zeros((1, 1, *larger), dtype=np.float32)})
    assert logits.shape == (1, 3, *larger)


@pytest.mark.slow
def test_a_policy_for_classifiers_is_refused_before_the_ledger_is_asked(tmp_path: Path) -> None:
    bench = masks_bench(tmp_path, SLICES)
    text = POLICY.replace("{id: dice, metric: dice, min: 0.0", "{id: mcc, metric: mcc, min: 0.0")
    (tmp_path / "policy.yaml").write_text(text)
    result = bench.certify()
    assert result.returncode == 2
    assert "rule mcc judges mcc, which is no metric of segmentation" in result.stderr
    assert "use dice in rule mcc" in result.stderr
    assert json.loads(bench.here("ledger", "show", "--format", "json").stdout)["runs"] == []
