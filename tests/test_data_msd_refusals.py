"""Decathlon folders that are wrong in one way each: the file, the field and the remedy are named."""

from __future__ import annotations

import gzip
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from gatekeeper.core.scan_spec import MergedClass, ScanSpec
from gatekeeper.data import load
from gatekeeper.errors import DataError
from tests.data_layouts import write_table
from tests.scans import AFFINE, decathlon, edit_manifest, hounsfield, labels_of, scan_spec, write_nifti

SCAN = ScanSpec(window=(-160.0, 240.0))
IMAGE, MASK = "imagesTr/liver_1.nii.gz", "labelsTr/liver_1.nii.gz"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("good"), cases=3)


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "set"))


def refusal(root: Path, scan: ScanSpec = SCAN, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(scan_spec("msd", root, scan, **options))
    assert caught.value.where
    assert caught.value.hint
    return caught.value


@dataclass(frozen=True)
class Bad:
    """What is done to a folder, which file is named, and what is said."""

    name: str
    spoil: Callable[[Path], object]
    file: str
    says: str


def entries(image: str = IMAGE, mask: str = MASK) -> dict[str, object]:
    first = {"image": "imagesTr/liver_0.nii.gz", "label": "labelsTr/liver_0.nii.gz"}
    return {"training": [first, {"image": image, "label": mask}], "numTraining": 2}


def header_of(path: Path, **fields: object) -> None:
    """Overwrite fields of a stored header."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    header = nibabel.Nifti1Header(bytes(raw[:348]), check=False)  # type: ignore[no-untyped-call]
    for name, value in fields.items():
        header[name] = value
    raw[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(raw)))


def unpacked(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip_a_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(raw)


def nan(root: Path) -> None:
    values = hounsfield(1).astype(np.float32)
    values[0, 0, 0] = np.nan
    write_nifti(root / IMAGE, values)


def moved(root: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 3] += 4.0
    write_nifti(root / MASK, labels_of(hounsfield(1)), affine=affine)


def outside(root: Path, place: str) -> None:
    target = root.parent / "outside.nii.gz"
    (root / place).rename(target)
    (root / place).symlink_to(target)


def unknown_value(root: Path, value: float) -> None:
    mask = labels_of(hounsfield(1)).astype(np.float32)
    mask[0, 0, 0] = value
    write_nifti(root / MASK, mask)


BAD = (
    Bad("truncated", lambda root: cut(root / IMAGE), IMAGE, "truncated or damaged"),
    Bad("not-gzip", lambda root: (root / IMAGE).write_bytes(b"PK" * 400), IMAGE, "truncated or damaged"),
    Bad("empty", lambda root: (root / IMAGE).write_bytes(b""), IMAGE, "not a NIfTI file"),
    Bad("checksum", lambda root: flip_a_byte(root / IMAGE), IMAGE, "truncated or damaged"),
    Bad("not-nifti", lambda root: (root / IMAGE).write_bytes(gzip.compress(b"x" * 999)), IMAGE, "not a NIfTI file"),
    Bad("too-short", lambda root: unpacked(root / IMAGE, lambda raw: raw[:-2]), IMAGE, "ends after 990 bytes"),
    Bad("too-long", lambda root: unpacked(root / IMAGE, lambda raw: raw + b"\0"), IMAGE, "the file goes on"),
    Bad("pair", lambda root: header_of(root / IMAGE, magic=b"ni1"), IMAGE, "not a NIfTI file"),
    Bad("huge", lambda root: header_of(root / IMAGE, dim=[3, 9999, 9999, 999, 1, 1, 1, 1]), IMAGE, "the limit for one"),
    Bad("no-axis", lambda root: header_of(root / IMAGE, dim=[3, 4, 0, 10, 1, 1, 1, 1]), IMAGE, "field dim"),
    Bad("many-axes", lambda root: header_of(root / IMAGE, dim=[5, 4, 8, 2, 1, 5, 1, 1]), IMAGE, "three axes"),
    Bad("offset", lambda root: header_of(root / IMAGE, vox_offset=1.0), IMAGE, "field vox_offset is 1"),
    Bad("infinite-slope", lambda root: header_of(root / IMAGE, scl_slope=np.inf), IMAGE, "scl_slope"),
    Bad("no-orientation", lambda root: header_of(root / IMAGE, sform_code=0, qform_code=0), IMAGE, "left and right"),
    Bad("flat-affine", lambda root: header_of(root / IMAGE, srow_x=[0] * 4), IMAGE, "affine"),
    Bad("nan-affine", lambda root: header_of(root / IMAGE, srow_x=[np.nan] * 4), IMAGE, "affine"),
    Bad("metres", lambda root: header_of(root / IMAGE, xyzt_units=1), IMAGE, "not in millimetres"),
    Bad("complex", lambda root: write_nifti(root / IMAGE, hounsfield(1) * 1j), IMAGE, "of the type complex"),
    Bad("no-type", lambda root: header_of(root / IMAGE, datatype=233), IMAGE, "field datatype is 233"),
    Bad("nan", nan, IMAGE, "infinite or no number"),
    Bad("channels", lambda root: write_nifti(root / IMAGE, np.zeros((4, 8, 10, 2))), IMAGE, "2 channels where 1"),
    Bad("empty-image", lambda root: write_nifti(root / IMAGE, np.zeros((4, 8, 10))), IMAGE, "one grey value alone"),
    Bad("mask-shape", lambda root: write_nifti(root / MASK, np.zeros((4, 8, 9))), MASK, "the mask has 4×9×8 voxels"),
    Bad("mask-moved", moved, MASK, "lies up to 4.0 mm beside its image"),
    Bad("mask-unknown", lambda root: unknown_value(root, 7), MASK, "the mask has the value 7"),
    Bad("mask-between", lambda root: unknown_value(root, 0.5), MASK, "the mask has the value 0.5"),
    Bad("mask-negative", lambda root: unknown_value(root, -1), MASK, "the mask has the value -1"),
    Bad("mask-nan", lambda root: unknown_value(root, np.nan), MASK, "the mask has the value nan"),
    Bad("mask-missing", lambda root: (root / MASK).unlink(), MASK, "field training[1].label"),
    Bad("image-missing", lambda root: (root / IMAGE).unlink(), IMAGE, "field training[1].image"),
    Bad("link-out", lambda root: outside(root, IMAGE), IMAGE, "leads out of the data folder"),
    Bad("mask-link-out", lambda root: outside(root, MASK), MASK, "leads out of the data folder"),
    Bad("other-size", lambda root: [write_nifti(root / p, np.ones((4, 8, 9))) for p in (IMAGE, MASK)], IMAGE, "9×8"),
)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_file_is_named_with_what_is_wrong(bad: Bad, root: Path) -> None:
    bad.spoil(root)
    error = refusal(root)
    assert error.where == str(root / bad.file)
    assert bad.says in error.message


MANIFESTS = (
    ("training", {"training": []}, "training must list"),
    ("training-text", {"training": "all"}, "training must list"),
    ("entry", {"training": ["x"], "numTraining": 1}, "training[0] must name"),
    ("count", {"numTraining": 4}, "numTraining is 4, and training lists 3"),
    ("twice", entries(image="imagesTr/liver_0.nii.gz"), "names liver_0.nii.gz again"),
    ("mask-twice", entries(mask="labelsTr/liver_0.nii.gz"), "names liver_0.nii.gz again"),
    ("up", entries(image="../set/imagesTr/liver_1.nii.gz"), "training[1].image is '../set"),
    ("up-inside", entries(mask="labelsTr/../labelsTr/liver_1.nii.gz"), "training[1].label is"),
    ("absolute", entries(image="/etc/passwd.nii.gz"), "training[1].image is '/etc"),
    ("backslash", entries(image="..\\x.nii.gz"), "training[1].image is"),
    ("suffix", entries(image="imagesTr/liver_1.mha"), "training[1].image is"),
    ("number", entries(image=7), "training[1].image is 7"),  # type: ignore[arg-type]
    ("control", entries(image="a\nb.nii.gz"), "training[1].image is"),
    ("labels", {"labels": {}}, "labels must map numbers"),
    ("labels-list", {"labels": ["liver"]}, "labels must map numbers"),
    ("labels-key", {"labels": {"background": 0}}, "labels has the key 'background'"),
    ("labels-large", {"labels": {"0": "background", "99999": "x"}}, "labels has the key '99999'"),
    ("labels-name", {"labels": {"0": "background", "1": 5}}, "labels.1 is no name"),
    ("labels-same", {"labels": {"0": "x", "1": "x"}}, "gives two values the same name"),
    ("labels-zero", {"labels": {"1": "a", "2": "b"}}, "must say what 0 means"),
    ("modality", {"modality": {"0": "CT", "2": "MR"}}, "numbers the channels [0, 2]"),
    ("modality-none", {"modality": None}, "modality must map"),
)


@pytest.mark.parametrize(("fields", "says"), [row[1:] for row in MANIFESTS], ids=[row[0] for row in MANIFESTS])
def test_a_bad_manifest_is_named_with_its_field(fields: dict[str, object], says: str, root: Path) -> None:
    edit_manifest(root, **fields)
    error = refusal(root)
    assert error.where == str(root / "dataset.json")
    assert says in error.message


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(text: str, root: Path) -> None:
    (root / "dataset.json").write_text(text)
    assert refusal(root).where == str(root / "dataset.json")


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert "can't be read" in error.message
    assert "imagesTr" in str(error.hint)


def test_a_small_file_that_unpacks_to_much_is_refused_before_memory_fills(root: Path) -> None:
    path = root / IMAGE
    raw = gzip.decompress(path.read_bytes())
    with gzip.open(path, "wb") as stream:
        stream.write(raw)
        for _ in range(40):
            stream.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    assert "goes on" in refusal(root).message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_header_that_promises_more_than_the_file_holds_costs_no_memory(root: Path) -> None:
    header_of(root / IMAGE, dim=[3, 512, 512, 512, 1, 1, 1, 1])
    header_of(root / MASK, dim=[3, 512, 512, 512, 1, 1, 1, 1])
    assert "ends after" in refusal(root, ScanSpec(window=(0.0, 1.0), size=(8, 10))).message


@pytest.mark.parametrize(
    ("scan", "options", "says"),
    [
        (ScanSpec(), {}, "need a window"),
        (ScanSpec(window=(0.0, 1.0), channel="T1w"), {}, "'T1w' is not in the field modality"),
        (
            ScanSpec(window=(0.0, 1.0), labels=(MergedClass(name="organ", values=(1, 9)),)),
            {},
            "data.scan.labels.organ names the value 9",
        ),
        (SCAN, {"unit": "image"}, "would protect a single slice"),
        (SCAN, {"unit": "patient"}, "unit 'patient' is not a column"),
        (SCAN, {"label": "dx"}, "label 'dx' is not a column"),
        (ScanSpec(window=(0.0, 1.0), size=(1024, 1024), spacing=(1e-4, 1e-4)), {}, "the limit is"),
    ],
)
def test_what_the_candidate_can_not_have_is_refused(
    scan: ScanSpec, options: dict[str, str], says: str, root: Path
) -> None:
    assert says in refusal(root, scan, **options).message


def test_several_channels_must_be_told_apart(root: Path) -> None:
    edit_manifest(root, modality={"0": "FLAIR", "1": "T1w"})
    error = refusal(root)
    assert "FLAIR, T1w" in error.message
    assert "such as FLAIR" in str(error.hint)


def test_a_table_must_speak_of_every_case_once(root: Path, tmp_path: Path) -> None:
    rows = [{"case": f"liver_{case}", "patient": "p"} for case in (0, 2)]
    path = write_table(tmp_path / "t.csv", rows, columns=("case", "patient"))
    scan = ScanSpec(window=(0.0, 1.0), table=str(path))
    assert refusal(root, scan, unit="patient").where == str(root / IMAGE)
    write_table(path, [*rows, rows[0]], columns=("case", "patient"))
    error = refusal(root, scan, unit="patient")
    assert (error.where, "already in line 2" in error.message) == (f"{path}:4", True)
    write_table(path, [{"patient": "p"}], columns=("patient",))
    assert "none of the columns case" in refusal(root, scan, unit="patient").message


def test_one_volume_in_two_cases_is_refused(root: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        shutil.copy(root / folder / "liver_0.nii.gz", root / folder / "liver_1.nii.gz")
    assert "'liver_0' and 'liver_1'" in refusal(root).message


def test_a_file_that_may_not_be_read_is_named(root: Path) -> None:
    (root / IMAGE).unlink()
    os.mkfifo(root / IMAGE)
    assert "no such file" in refusal(root).message
