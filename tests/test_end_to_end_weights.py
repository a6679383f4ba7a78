"""A rule on who has the released weights alone, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_end_to_end import Bench

CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {name: digits}
spec:
  data: {format: digits, unit: image, split: {test: 0.25, seed: 1}}
  model: {network: NETWORK, width: 256}
  training:
    epochs: 10
    expected_batch: 128
    clipping_norm: 1.0
    optimizer: {name: sgd, lr: 0.1, weight_decay: 1.0e-3}
    epsilon: 1.0e+4
    delta: 1.0e-5
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: weights, version: 1, owner: tests}
spec:
  max_attempts: 1
  privacy: {unit: image, epsilon: {max: 1.0e+4}, delta: {max: 1.0e-5}}
  rules:
    - {id: accuracy, metric: accuracy, min: 0.1}
    - id: explained-weights
      risk: reconstruction
      adversary: weights-only
      attacks: [stationarity, class-inversion]
      max: 0.05
  audit:
    units: 200
    noise_draws: 1
    positive_control: {min: 0.9}
    negative_control: {max: 0.1}
    weights_only: {candidates: 140, starts: 1, iterations: 150}
"""


def _bench(path: Path, network: str) -> Bench:
    bench = Bench(path)
    (path / "candidate.yaml").write_text(CANDIDATE.replace("NETWORK", network))
    (path / "policy.yaml").write_text(POLICY)
    return bench


@pytest.mark.slow
def test_attacks_on_the_weights_are_made_judged_and_printed(tmp_path: Path) -> None:
    bench = _bench(tmp_path, "mlp")
    result = bench.certify("-o", "json:report.json", "-o", "text:report.txt")
    report = json.loads((tmp_path / "report.json").read_text())
    assert result.returncode == report["exit_code"], result.stderr
    assert report["not_measured"] == []
    findings = {finding["rule"]: finding for finding in report["findings"]}
    # So short a search of stationarity hardly brings all of the control's units back; it never passes without.
    made = {each["attack"]: each for each in report["facts"]["evidence"]["attacks"]["outcomes"]}
    control = made["stationarity"]["positive_control"]
    allowed = 0.05 * report["facts"]["evidence"]["dataset"]["train_units"]
    works = control["successes"] >= 0.2 * control["trials"] and 140 * control["successes"] / 20 > allowed
    assert findings["explained-weights"]["status"] == ("passed" if works else "inconclusive")
    assert (made["stationarity"]["candidates"], made["stationarity"]["source"]) == (140, "released-model")
    assert made["class-inversion"]["positive_control"]["trials"] == 140
    assert "weights only" in (tmp_path / "report.txt").read_text()
    run = bench.run("runs", "list").stdout.split()[0]
    explained = bench.run("explain", run)
    assert explained.returncode == 0, explained.stderr
    assert "explained-weights" in explained.stdout


@pytest.mark.slow
def test_a_network_that_stationarity_cannot_explain_is_refused_before_training(tmp_path: Path) -> None:
    bench = _bench(tmp_path, "resnet9")
    result = bench.certify()
    assert result.returncode == 2
    assert "rule explained-weights: attack stationarity can't be made on this model" in result.stderr
    assert "not measured" in result.stderr
    assert "training" not in bench.run("ledger", "show").stdout
