"""`gatekeeper data describe`: private, without names, and with the exit code that certify would give."""

from __future__ import annotations

import csv
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from gatekeeper.core.budget import Budget
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.pipeline import child
from gatekeeper.pipeline.describing import describe
from gatekeeper.privacy import account, calibrate
from gatekeeper.report.description_json import description_schema
from gatekeeper.rundir import RunDirectory
from tests.command_line import gatekeeper
from tests.data_layouts import write_image
from tests.scans import dicom_file, dicom_tree

ROOT = Path(__file__).resolve().parent.parent
POLICY = (ROOT / "policies" / "demo.yaml").read_text()
CANDIDATE = {
    "apiVersion": "gatekeeper/v1",
    "kind": "ReleaseCandidate",
    "metadata": {"name": "tiny"},
    "spec": {
        "data": {"format": "image-folder", "path": "scans", "unit": "folder", "split": {"test": 0.4, "seed": 1}},
        "model": {"network": "mlp", "width": 4},
        "training": {
            "epochs": 2,
            "expected_batch": 4,
            "clipping_norm": 1.0,
            "optimizer": {"name": "sgd", "lr": 0.1},
            "views": 1,
            "sampling": "poisson",
        },
    },
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with data, candidate and policy; the private part runs in this process."""

    def in_this_process(run: RunDirectory, task: str, *, device: DeviceChoice, quiet: bool = False) -> None:
        assert task == "describe"
        describe(run, device=device)

    monkeypatch.setattr(child, "run_private_part", in_this_process)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    write_files(tmp_path)
    yield tmp_path
    assert list((tmp_path / "tmp").iterdir()) == [], "something private stayed behind"


def write_files(folder: Path, **training: object) -> None:
    for index, name in enumerate(("mole", "melanoma")):
        for unit in range(10):
            for image in range(1 + unit % 2):
                place = folder / "scans" / name / f"mrs-smith-{index}-{unit}" / f"{image}.png"
                write_image(place, 100 * index + 10 * unit + image)
    spec = CANDIDATE["spec"]
    assert isinstance(spec, dict)
    changed = {**CANDIDATE, "spec": {**spec, "training": {**spec["training"], **training}}}
    (folder / "candidate.yaml").write_text(yaml.safe_dump(changed))
    (folder / "policy.yaml").write_text(POLICY.replace("unit: lesion", "unit: folder"))


def edit_data(folder: Path, data: Mapping[str, object]) -> None:
    candidate = yaml.safe_load((folder / "candidate.yaml").read_text())
    candidate["spec"]["data"] = data
    (folder / "candidate.yaml").write_text(yaml.safe_dump(candidate))


def edit_model(folder: Path, model: dict[str, object]) -> None:
    candidate = yaml.safe_load((folder / "candidate.yaml").read_text())
    candidate["spec"]["model"] = model
    (folder / "candidate.yaml").write_text(yaml.safe_dump(candidate))


def plant_leak(folder: Path) -> None:
    """The same image for somebody in training and somebody in the test, whoever they are."""
    for unit in range(3, 9):
        shutil.copy(folder / "scans/mole/mrs-smith-0-0/0.png", folder / f"scans/melanoma/mrs-smith-1-{unit}/0.png")


def test_clean_data_are_described_and_nobody_is_named(here: Path) -> None:
    ran = gatekeeper("data", "describe", "candidate.yaml", "--near", "off")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("PRIVATE: for the owner of the data")
    assert "stored are 3×8×8 (30)" in ran.stdout
    assert "mrs-smith" not in ran.stdout + ran.stderr
    assert "Nearly identical" not in ran.stdout
    assert "LEAK" not in ran.stdout
    assert "a step" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_a_leak_is_found_named_by_pseudonym_and_refused(here: Path) -> None:
    plant_leak(here)
    ran = gatekeeper("data", "describe", "candidate.yaml", "--names", "who.csv", "-o", "json:found.json")
    assert ran.code == 2
    assert "LEAK: 7 copies in unit-" in ran.stdout
    assert "called melanoma and mole" in ran.stdout
    assert "problem   images that two units or more hold, to the last pixel: 1, 1 of them on both sides" in ran.stdout
    assert "mrs-smith" not in ran.stdout + ran.stderr
    found = json.loads((here / "found.json").read_text())
    with (here / "who.csv").open(newline="") as file:
        legend = {row["pseudonym"]: row["unit"] for row in csv.DictReader(file)}
    (picture,) = found["data"]["exact"]["shared"]
    expected = {"mrs-smith-0-0", *(f"mrs-smith-1-{unit}" for unit in range(3, 9))}
    assert {legend[unit] for unit in picture["units"]} == expected
    for private in ("who.csv", "found.json"):
        assert stat.S_IMODE((here / private).stat().st_mode) == 0o600
    assert "mrs-smith" not in (here / "found.json").read_text()


def test_what_the_reader_left_out_is_said(here: Path) -> None:
    flat = np.zeros((1, 8, 10), dtype=np.int16)
    dicom_tree(here / "dicom", patients=6)
    dicom_file(here / "dicom/well/flat.dcm", flat[0], patient="KH-99", series="1.9")
    data = {"format": "dicom", "path": "dicom", "unit": "patient", "split": {"test": 0.4, "seed": 1}}
    edit_data(here, {**data, "scan": {"window": [-160, 240]}})
    ran = gatekeeper("data", "describe", "candidate.yaml")
    assert "warning   1 of 25 images have one grey value and are left out; units that have no other: 1" in ran.stdout
    assert "KH-" not in ran.stdout + ran.stderr


def test_folders_of_people_taken_for_classes_are_doubted(here: Path) -> None:
    path = "scans/mole"
    edit_data(here, {"format": "image-folder", "path": path, "unit": "image", "split": {"test": 0.4, "seed": 1}})
    ran = gatekeeper("data", "describe", "candidate.yaml")
    assert "warning   the names of all 10 classes are alike but for digits: are they people?" in ran.stdout


def test_data_of_ones_own_code_need_a_policy(here: Path) -> None:
    data = {"format": "factory", "factory": "scans.py:items", "unit": "patient", "split": {"test": 0.4, "seed": 1}}
    edit_data(here, data)
    ran = gatekeeper("data", "describe", "candidate.yaml")
    assert (ran.code, ran.stdout) == (2, "")
    assert "give --policy" in ran.stderr


def test_a_legend_is_never_overwritten(here: Path) -> None:
    (here / "who.csv").write_text("mine")
    ran = gatekeeper("data", "describe", "candidate.yaml", "--names", "who.csv")
    assert ran.code == 2
    assert "who.csv: can't write: File exists" in ran.stderr
    assert (here / "who.csv").read_text() == "mine"


def test_a_policy_adds_what_it_allows_and_the_noise_that_this_means(here: Path) -> None:
    write_files(here, epsilon=100.0)
    ran = gatekeeper("data", "describe", "candidate.yaml", "--policy", "policy.yaml", "-o", "json:found.json")
    found = json.loads((here / "found.json").read_text())
    assert ran.code == 2
    assert any("asks for 60 independent test units" in problem for problem in found["problems"])
    largest, own = found["budgets"]
    assert (largest["largest"], own["largest"]) == (True, False)
    assert own["epsilon"] <= own["plan"]["budget"]["epsilon"] == 100.0
    assert largest["epsilon"] <= largest["plan"]["budget"]["epsilon"] == 1e12
    slow = calibrate(
        Budget(epsilon=100.0, delta=1e-5), sampling="poisson", sampling_rate=1 / 3, steps=6, adjacency="zero-out",
        unit="folder",
    )  # fmt: skip
    assert own["plan"]["mechanism"]["noise_multiplier"] == slow.noise_multiplier
    assert own["epsilon"] == account(slow, 1e-5).epsilon.high
    assert own["snr_one_step"] == pytest.approx(1 / (3 * 64 * slow.noise_multiplier**2))
    jsonschema.validate(found, description_schema(), cls=jsonschema.Draft202012Validator)
    assert own["ncc_one_step"] == pytest.approx((1 + 192 * slow.noise_multiplier**2) ** -0.5)
    assert round_down(slow.noise_multiplier, digits=6) in ran.stdout
    assert round_up(own["epsilon"], digits=6) in ran.stdout


def test_a_network_that_can_not_be_trained_on_these_images_is_a_problem(here: Path) -> None:
    edit_model(here, {"network": "resnet18", "width": 8})
    ran = gatekeeper("data", "describe", "candidate.yaml", "--near", "off")
    assert ran.code == 2
    assert "problem   no step of the training can be taken: " in ran.stdout
    assert "a step," not in ran.stdout


def test_own_code_is_not_run_without_a_policy_that_allows_it(here: Path) -> None:
    edit_model(here, {"factory": "own.network:make"})
    ran = gatekeeper("data", "describe", "candidate.yaml", "--near", "off")
    assert ran.code == 0, ran.stderr
    assert "warning   the candidate's own code runs only where a policy allows it" in ran.stdout


def test_what_all_runs_may_spend_is_said(here: Path) -> None:
    limited = (
        (here / "policy.yaml").read_text().replace("    delta: {", "    total_epsilon: {max: 5.0e+12}\n    delta: {")
    )
    (here / "policy.yaml").write_text(limited)
    ran = gatekeeper("data", "describe", "candidate.yaml", "--policy", "policy.yaml", "--near", "off")
    assert "total_epsilon allows 5e+12 for all of them" in " ".join(ran.stdout.split())
    assert ran.stdout.count("the policy's largest") == 1
    assert "the candidate's  " not in ran.stdout


def test_a_policy_for_another_unit_is_a_problem(here: Path) -> None:
    (here / "policy.yaml").write_text(POLICY)
    ran = gatekeeper("data", "describe", "candidate.yaml", "--policy", "policy.yaml")
    assert ran.code == 2
    assert ran.stdout.count("the policy protects each lesion, the candidate's unit is folder") == 1


def test_the_json_fits_its_schema(here: Path) -> None:
    plant_leak(here)
    for arguments in ((), ("--near", "off")):
        ran = gatekeeper("data", "describe", "candidate.yaml", *arguments, "--format", "json")
        jsonschema.validate(json.loads(ran.stdout), description_schema(), cls=jsonschema.Draft202012Validator)
    printed = gatekeeper("data", "describe", "--schema")
    assert (printed.code, json.loads(printed.stdout)) == (0, description_schema())
    jsonschema.Draft202012Validator.check_schema(description_schema())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("absent.yaml",), "absent.yaml"),
        (("candidate.yaml", "--policy", "absent.yaml"), "absent.yaml"),
        (("candidate.yaml", "--near", "2"), "neither an NCC from 0.5 to 1"),
        (("candidate.yaml", "--near", "nan"), "neither an NCC from 0.5 to 1"),
        (("candidate.yaml", "-o", "markdown:x"), "is not FORMAT:PATH with one of the formats text, json"),
        (("candidate.yaml", "-o", "json:absent/x"), "its parent is no directory"),
        (("candidate.yaml", "--format", "sarif"), "sarif"),
    ],
)
def test_wrong_input_is_refused_before_data_are_read(here: Path, arguments: tuple[str, ...], says: str) -> None:
    shutil.rmtree(here / "scans")
    ran = gatekeeper("data", "describe", *arguments)
    assert ran.code == 2
    assert says in ran.stderr


@pytest.mark.slow
def test_a_child_process_reads_the_data_and_reports_what_is_wrong_with_them(tmp_path: Path) -> None:
    write_files(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gatekeeper", "data", "describe", "candidate.yaml", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    whole = run()
    assert whole.returncode == 0, whole.stderr
    assert "mrs-smith" not in whole.stdout + whole.stderr
    (tmp_path / "scans/mole/mrs-smith-0-0/0.png").write_bytes(b"no image")
    broken = run()
    assert broken.returncode == 2
    assert not broken.stdout
    assert "0.png: this is not an image that can be read" in broken.stderr
    shutil.rmtree(tmp_path / "scans")
    assert "there is no such file or folder" in run().stderr
