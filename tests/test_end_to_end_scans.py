"""The argument about scans: a Decathlon folder and a DICOM tree through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from tests.data_layouts import write_table
from tests.scans import blotches, decathlon, dicom_tree
from tests.test_end_to_end import Bench

CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {{name: tiny-scans}}
spec:
  data: {data}
  model: {{network: {network}, width: 4}}
  training:
    epochs: 1
    expected_batch: 24
    clipping_norm: 1.0
    optimizer: {{name: nadam, lr: 5.0e-3}}
    epsilon: 3.0e+1
    delta: 1.0e-4
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {{name: tiny-scans, version: 1, owner: tests}}
spec:
  max_attempts: 1
  privacy: {{unit: {unit}, epsilon: {{max: 1.0e+12}}, delta: {{max: 1.0e-4}}}}
  rules:
    - {{id: useful, metric: {metric}, min: 0.0, min_units: 20}}
    - id: reconstruction
      risk: reconstruction
      adversary: {{observes: one-step}}
      similarity: {{measure: ncc, above_null: 0.99}}
      max: 0.05
      worst: {{max: 0.1}}
  audit: {{units: 70, worst_units: 10, noise_draws: 2, positive_control: {{min: 0.9}}, negative_control: {{max: 0.1}}}}
"""
SLICES = "{format: msd, path: scans, unit: case, split: {test: 0.3}, scan: {window: [-1024, 1000], size: [16, 16]}}"
FILES = (
    "{format: dicom, path: scans, unit: patient, label: finding, split: {test: 0.3}, "
    "scan: {window: [-1024, 1000], table: labels.csv}}"
)


def bench(path: Path, *, data: str, network: str, unit: str, metric: str) -> Bench:
    made = Bench(path)
    (path / "candidate.yaml").write_text(CANDIDATE.format(data=data, network=network))
    (path / "policy.yaml").write_text(POLICY.format(unit=unit, metric=metric))
    return made


def certify(on: Bench) -> tuple[int, str, str]:
    done = on.run("certify", "candidate.yaml", "--policy", "policy.yaml", "--no-sign", "-o", "json:report.json")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_slices_of_a_decathlon_folder_are_judged_by_case(tmp_path: Path) -> None:
    decathlon(tmp_path / "scans", cases=110, shape=(2, 16, 16), draw=blotches)
    code, out, err = certify(bench(tmp_path, data=SLICES, network="unet", unit="case", metric="dice"))
    assert code == 0, out + err
    dataset = json.loads((tmp_path / "report.json").read_text())["facts"]["evidence"]["dataset"]
    assert (dataset["format"], dataset["task"], dataset["unit"]) == ("msd", "segmentation", "case")
    assert (dataset["train_units"], dataset["train_images"], dataset["max_images_per_unit"]) == (77, 154, 2)
    assert (dataset["image_shape"], dataset["classes"]) == ([1, 16, 16], ["background", "liver", "lesion"])


def labelled_tree(root: Path) -> None:
    """A tree of 110 patients, and a table of what they have; the folders say nothing."""
    dicom_tree(root / "scans", patients=110, slices=2, side=(16, 16), draw=blotches)
    rows = [{"PatientID": f"KH-{40 + patient}", "finding": ("well", "ill")[patient % 2]} for patient in range(110)]
    write_table(root / "labels.csv", rows, columns=("PatientID", "finding"))
    (root / "scans" / "README.txt").write_text("about")


@pytest.mark.slow
def test_dicom_files_are_judged_by_patient_and_no_patient_is_named(tmp_path: Path) -> None:
    labelled_tree(tmp_path)
    code, out, err = certify(bench(tmp_path, data=FILES, network="mlp", unit="patient", metric="accuracy"))
    assert code == 0, out + err
    assert "data: 1 files are no DICOM images and are passed over" in err
    dataset = json.loads((tmp_path / "report.json").read_text())["facts"]["evidence"]["dataset"]
    assert (dataset["format"], dataset["unit"], dataset["train_units"]) == ("dicom", "patient", 77)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "scans" not in path.parts]
    naming = {path.name for path in written if b"KH-" in path.read_bytes()}
    assert naming == {"labels.csv", "identities.json"}  # the user's, and the private one that the ledger is asked with
    assert "KH-" not in out + err


@pytest.mark.slow
def test_text_in_the_pixels_is_refused_before_the_ledger_is_asked(tmp_path: Path) -> None:
    made = bench(tmp_path, data=FILES, network="mlp", unit="patient", metric="accuracy")
    dicom_tree(tmp_path / "scans", patients=3, slices=1)
    path = next((tmp_path / "scans").rglob("*.dcm"))
    dataset = pydicom.dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    (tmp_path / "labels.csv").write_text("PatientID,finding\n")
    code, out, err = certify(made)
    assert code == 2
    assert "text is burned into the pixels" in err
    assert "KH-" not in out + err
    assert json.loads(made.here("ledger", "show", "--format", "json").stdout)["runs"] == []
