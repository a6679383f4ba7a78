"""A candidate that brings its own code and weights, through the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from tests.test_end_to_end import Bench

FACTORY = """\
from torch import nn

def make(*, image_shape, classes):
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(height * width, classes),
    )
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    (tmp_path / "mine.py").write_text(FACTORY, encoding="utf-8")
    _replace(tmp_path / "candidate.yaml", "{network: mlp, width: 8}", "{factory: mine.py:make, trainable: ['4.*']}")
    return bench


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def _allow(bench: Bench) -> str:
    digest = hashlib.sha256((bench.path / "mine.py").read_bytes()).hexdigest()
    _replace(bench.path / "policy.yaml", "  audit:", f'  allow_code: ["mine.py@sha256:{digest}"]\n  audit:')
    return digest


@pytest.mark.slow
def test_code_that_is_not_allowed_costs_no_attempt(bench: Bench) -> None:
    before = bench.here("ledger", "show").stdout
    refused = bench.certify()
    assert refused.returncode == 2
    digest = hashlib.sha256((bench.path / "mine.py").read_bytes()).hexdigest()
    assert f'"mine.py@sha256:{digest}"' in refused.stderr
    assert bench.here("ledger", "show").stdout == before
    assert not bench.models()


@pytest.mark.slow
def test_code_that_changed_since_it_was_allowed_does_not_run(bench: Bench) -> None:
    _allow(bench)
    (bench.path / "mine.py").write_text("raise SystemExit('ran')\n" + FACTORY, encoding="utf-8")
    refused = bench.certify()
    assert refused.returncode == 2
    assert "doesn't allow the code of mine.py" in refused.stderr


@pytest.mark.slow
def test_weights_that_do_not_fit_cost_no_attempt(bench: Bench) -> None:
    _allow(bench)
    _replace(bench.path / "candidate.yaml", "trainable:", "base: none.safetensors, trainable:")
    before = bench.here("ledger", "show").stdout
    refused = bench.certify()
    assert refused.returncode == 2
    assert "none.safetensors: the weights can't be read" in refused.stderr
    assert bench.here("ledger", "show").stdout == before


@pytest.mark.slow
def test_allowed_code_with_a_frozen_backbone_is_certified_and_verified(bench: Bench) -> None:
    digest = _allow(bench)
    assert bench.certify("--dry-run").returncode == 0
    certified = bench.certify()
    assert certified.returncode == 0, certified.stdout + certified.stderr
    assert f"code that the policy allows: mine.py@sha256:{digest}" in " ".join(certified.stdout.split())
    assert bench.verify().returncode == 0


@pytest.mark.slow
def test_training_starts_from_converted_weights_and_the_certificate_names_them(bench: Bench) -> None:
    _replace(
        bench.path / "candidate.yaml",
        "{factory: mine.py:make, trainable: ['4.*']}",
        "{network: mlp, width: 8, base: w.safetensors, base_skip: [head.*], trainable: [head.*, features.3.*]}",
    )
    # Features that differ: of units whose gradients are alike none can be picked, and the audit of the code is blind.
    spread = 0.03 * torch.randn((8, 768), generator=torch.Generator().manual_seed(0))
    torch.save(
        {"features.1.weight": spread, "features.1.bias": torch.zeros(8), "features.3.weight": torch.eye(8),
         "features.3.bias": torch.zeros(8)},
        bench.path / "w.pth",
    )  # fmt: skip
    assert bench.here("weights", "convert", "w.pth", "w.safetensors").returncode == 0
    certified = bench.certify()
    assert certified.returncode in (0, 1), certified.stderr
    digest = hashlib.sha256((bench.path / "w.safetensors").read_bytes()).hexdigest()
    assert f"weights of sha256 {digest}" in " ".join(certified.stdout.split())
