"""The ready examples, as a user runs them: minutes each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOOD_CELLS = Path(os.environ.get("GATEKEEPER_BCCD", ROOT.parent / "shared" / "data" / "bccd"))

pytestmark = pytest.mark.slow


def _certify(directory: Path, candidate: Path, policy: str) -> tuple[int, dict]:
    """Exit code and report of certifying a candidate under a ready policy, in an empty directory."""
    if not (directory / ".gatekeeper/ledger.sqlite").exists():
        subprocess.run([sys.executable, "-m", "gatekeeper", "ledger", "init"], cwd=directory, check=True)
    command = [
        sys.executable,
        "-m",
        "gatekeeper",
        "certify",
        str(candidate),
        "--policy",
        str(ROOT / "policies" / policy),
    ]
    result = subprocess.run(
        [*command, "--no-sign", "-q", "--format", "json"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert result.returncode in (0, 1), result.stderr
    assert not [path for path in directory.rglob("*.onnx") if ".gatekeeper" not in path.parts]
    return result.returncode, json.loads(result.stdout)


def _failed(report: dict) -> set[str]:
    return {finding["rule"] for finding in report["findings"] if finding["status"] == "failed"}


def test_digits_pass_against_one_step_and_fail_against_all(tmp_path: Path) -> None:
    code, report = _certify(tmp_path, ROOT / "examples" / "digits.yaml", "digits.yaml")
    assert (code, _failed(report)) == (0, set())
    code, report = _certify(tmp_path, ROOT / "examples" / "digits.yaml", "digits-strict.yaml")
    assert code == 1
    assert _failed(report) == {"reconstruction-all-steps", "reconstruction-all-steps/worst"}


def test_lesions_at_a_billion_are_refused_because_they_can_be_reconstructed(tmp_path: Path) -> None:
    code, report = _certify(tmp_path, ROOT / "examples" / "lesions-1e9.yaml", "demo.yaml")
    assert code == 1
    assert _failed(report) == {"reconstruction-one-step", "reconstruction-one-step/worst"}


@pytest.mark.parametrize(("candidate", "policy"), [("abdomen.yaml", "abdomen.yaml"), ("abdomen-3d.yaml", "liver.yaml")])
def test_livers_are_outlined_and_no_scan_comes_back(candidate: str, policy: str, tmp_path: Path) -> None:
    code, report = _certify(tmp_path, ROOT / "examples" / candidate, policy)
    assert (code, _failed(report)) == (0, set())
    evidence = report["facts"]["evidence"]
    assert evidence["dataset"]["task"] == "segmentation"
    assert evidence["model"]["spatial_multiple"] == 8
    measured = {m["class_name"]: m for m in evidence["utility"]["measurements"]}
    assert set(measured) == {None, "liver", "lesion"}
    assert measured["liver"]["units"] == evidence["dataset"]["test_groups"]
    assert measured["lesion"]["units"] <= evidence["dataset"]["test_groups"]


def _blood_cells(directory: Path, *, example: str = "blood-cells.yaml", **changes: str) -> Path:
    """A blood-cell example, with the data where they are and some settings changed."""
    if not BLOOD_CELLS.is_dir():
        pytest.skip(f"the blood-cell images are not in {BLOOD_CELLS}")
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")
    for key, value in {"path": str(BLOOD_CELLS), **changes}.items():
        text, count = re.subn(rf"^(    {key}: ).*$", rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert count == 1, key
    path = directory / "candidate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.bccd
def test_blood_cells_pass_at_a_million(tmp_path: Path) -> None:
    code, report = _certify(tmp_path, _blood_cells(tmp_path), "blood-cells.yaml")
    assert (code, _failed(report)) == (0, set())
    card = report["facts"]["evidence"]["dataset"]
    assert (card["train_units"], card["test_units"]) == (291, 73)


@pytest.mark.bccd
def test_blood_cells_come_back_at_a_quadrillion(tmp_path: Path) -> None:
    policy = (ROOT / "policies" / "blood-cells.yaml").read_text(encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(policy.replace("epsilon: {max: 1.0e+9}", "epsilon: {max: 1.0e+15}"))
    code, report = _certify(
        tmp_path, _blood_cells(tmp_path, epsilon="1.0e+15", epochs="20"), str(tmp_path / "policy.yaml")
    )
    assert code == 1
    assert {"reconstruction-one-step", "reconstruction-one-step/worst"} <= _failed(report)


@pytest.mark.bccd
def test_blood_cells_are_fine_tuned_at_eight(tmp_path: Path) -> None:
    candidate = _blood_cells(tmp_path, example="blood-cells-finetune.yaml")
    code, report = _certify(tmp_path, candidate, "blood-cells.yaml")
    assert (code, _failed(report)) == (0, set())
    assert report["facts"]["evidence"]["record"]["provenance"]["base_weights"]
