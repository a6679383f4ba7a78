"""Detection: what is proposed for a folder or file, and that the proposal loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.core.data_spec import DATA_FORMATS
from gatekeeper.data import FORMATS, detect, load
from gatekeeper.data.readers import READERS
from gatekeeper.errors import DataError
from tests.data_layouts import class_folders, ham10000, ham_rows, medmnist_arrays, write_image, write_table


def test_every_format_has_a_reader_and_a_description() -> None:
    assert tuple(READERS) == DATA_FORMATS
    assert tuple(entry.name for entry in FORMATS) == DATA_FORMATS


def test_descriptions_load_neither_numpy_nor_pillow() -> None:
    code = "import sys, gatekeeper.data; print([n for n in ('numpy', 'PIL', 'sklearn') if n in sys.modules])"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_archive_is_taken_for_medmnist(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **medmnist_arrays())
    proposal = detect(tmp_path / "a.npz")
    assert (proposal.format, proposal.unit, proposal.split.test) == ("medmnist", "image", None)
    assert load(proposal).train.units == 6


def test_class_folders_are_an_image_folder(tmp_path: Path) -> None:
    proposal = detect(class_folders(tmp_path))
    assert (proposal.format, proposal.unit, proposal.split.test) == ("image-folder", "image", 0.2)
    assert (proposal.image_size, proposal.channels) == (None, None)
    assert load(proposal).train.units == 8


@pytest.mark.parametrize(("owners", "images", "unit"), [(20, 2, "folder"), (4, 10, "image"), (20, 1, "image")])
def test_many_folders_of_several_images_are_owners(tmp_path: Path, owners: int, images: int, unit: str) -> None:
    for number in range(owners * images):
        owner = number % owners
        write_image(tmp_path / "ab"[owner % 2] / f"patient-{owner}" / f"{number}.png", number)
    assert detect(tmp_path).unit == unit
    assert load(detect(tmp_path)).unit == unit
    write_image(tmp_path / "a" / "stray.png", 999)
    assert detect(tmp_path).unit == "image"


def test_a_given_split_is_kept(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    for seed, name in enumerate(("naevus", "melanoma")):
        write_image(tmp_path / "test" / name / "x.png", 900 + seed)
    proposal = detect(tmp_path)
    assert proposal.split.test is None
    assert load(proposal).test.units == 2


@pytest.mark.parametrize("target", ["folder", "file"])
def test_a_table_is_taken_for_ham10000_by_lesion(tmp_path: Path, target: str) -> None:
    root = ham10000(tmp_path)
    proposal = detect(root if target == "folder" else root / "HAM10000_metadata.csv")
    assert (proposal.format, proposal.unit, proposal.label) == ("ham10000", "lesion_id", None)
    assert load(proposal).train.units == 5


def test_patients_are_proposed_before_lesions(tmp_path: Path) -> None:
    rows = [{**row, "patient_id": f"p{index // 3}"} for index, row in enumerate(ham_rows())]
    root = ham10000(tmp_path)
    write_table(root / "HAM10000_metadata.csv", rows, columns=tuple(rows[0]))
    assert detect(root).unit == "patient_id"


def test_another_label_column_is_proposed(tmp_path: Path) -> None:
    rows = [{"image_id": row["image_id"], "diagnosis": row["dx"]} for row in ham_rows()]
    root = ham10000(tmp_path)
    write_table(root / "HAM10000_metadata.csv", rows, columns=("image_id", "diagnosis"))
    proposal = detect(root)
    assert (proposal.unit, proposal.label) == ("image", "diagnosis")
    assert load(proposal).classes == ("mel", "nv")


def test_a_size_is_proposed_where_sizes_differ(tmp_path: Path) -> None:
    write_image(class_folders(tmp_path) / "naevus" / "x.png", 99, shape=(9, 8, 3))
    proposal = detect(tmp_path)
    assert proposal.image_size == (64, 64)
    assert load(proposal).train.images.shape[1:] == (3, 64, 64)


def test_colour_is_proposed_where_some_images_are_grey(tmp_path: Path) -> None:
    write_image(class_folders(tmp_path) / "naevus" / "x.png", 99, shape=(8, 8))
    assert detect(tmp_path).channels == 3


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    bad = class_folders(tmp_path) / "naevus" / "bad.png"
    bad.write_text("x")
    with pytest.raises(DataError, match=r"bad\.png"):
        detect(tmp_path)


def test_an_unknown_layout_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        detect(tmp_path)
    on_disk = [entry for entry in FORMATS if entry.name not in ("digits", "factory") and "phantom" not in entry.name]
    assert all(f"{entry.name}: {entry.layout}" in str(caught.value.hint) for entry in on_disk)


@pytest.mark.parametrize(
    ("name", "says"),
    [("scan.dcm", "folder that holds it"), ("set/1.PNG", "CLASS/…/IMAGE"), ("set/1.nii.gz", "need a dataset.json")],
)
def test_what_a_layout_lacks_is_said_where_files_show_it(tmp_path: Path, name: str, says: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    with pytest.raises(DataError, match="no known layout") as caught:
        detect(file.parent if file.parent != tmp_path else file)
    assert says in str(caught.value.hint)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        detect(tmp_path / "absent")
