"""Tables of file names beside a tree of folders, as RadImageNet has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.data import detect, load
from gatekeeper.data.dataset import Dataset
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, spec, write_image, write_table

CLASSES = ("CT/abd/normal", "MR/knee/acl", "US/thyroid/usn")
ROOT = "radiology_ai"


def listed(*, images: int = 4, prefix: str = f"{ROOT}/") -> list[dict[str, str]]:
    """Rows of a table: a class in each folder, two images a patient."""
    return [
        {
            "filename": f"{prefix}{folder}/{folder.split('/')[-1]}{image:06d}.png",
            "label": folder.split("/")[-1],
            "patient_id": f"{folder[:2]}-{image // 2}",
        }
        for folder in CLASSES
        for image in range(images)
    ]


def tree(
    root: Path, rows: list[dict[str, str]] | None = None, *, columns: tuple[str, ...] = ("filename", "label")
) -> Path:
    """The published layout: a tree in `radiology_ai`, the tables of the three parts beside it."""
    rows = listed() if rows is None else rows
    for index, row in enumerate(rows):
        write_image(root / row["filename"], index)
    parts = {"train": rows[::2], "val": rows[3::4], "test": rows[1::4]}
    for part, own in parts.items():
        write_table(root / f"RadiologyAI_{part}.csv", [{c: row[c] for c in columns} for row in own], columns=columns)
    return root


def read(path: Path, **options: object) -> Dataset:
    return load(spec("radimagenet", path, **{"test": None, **options}))  # type: ignore[arg-type]


def refusal(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert caught.value.hint
    return caught.value


def edited(root: Path, old: str, new: str) -> Path:
    """The set of `root` with one passage of its training table replaced."""
    tree(root)
    table = root / "RadiologyAI_train.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    return root


def test_the_published_tables_are_the_split_and_validation_is_left_out(tmp_path: Path) -> None:
    data = read(tree(tmp_path))
    assert (data.train.units, data.test.units) == (6, 3)
    assert data.unit == "image"
    assert data.classes == ("acl", "normal", "usn")
    assert data.train.names[0] == "radiology_ai/CT/abd/normal/normal000000.png"
    assert "asks for another" in refusal(tmp_path, test=0.2).message


def test_a_column_of_owners_is_the_unit(tmp_path: Path) -> None:
    rows = listed()
    tree(tmp_path, rows)
    for part, own in {"train": rows[:2] + rows[4:6] + rows[8:10], "test": rows[2:4]}.items():
        write_table(tmp_path / f"RadiologyAI_{part}.csv", own, columns=("filename", "label", "patient_id"))
    (tmp_path / "RadiologyAI_val.csv").unlink()
    data = read(tmp_path, unit="patient_id")
    assert (data.train.units, len(data.train.images)) == (3, 6)
    write_table(tmp_path / "RadiologyAI_test.csv", rows[1:2], columns=("filename", "label", "patient_id"))
    write_table(tmp_path / "RadiologyAI_train.csv", [rows[0], *rows[4:]], columns=("filename", "label", "patient_id"))
    assert "'CT-0' has images on both sides" in refusal(tmp_path, unit="patient_id").message


def test_the_class_may_be_that_of_the_folders(tmp_path: Path) -> None:
    assert read(tree(tmp_path), label="folder").classes == CLASSES


def test_one_table_takes_a_seeded_split(tmp_path: Path) -> None:
    tree(tmp_path)
    for part in ("train", "val", "test"):
        (tmp_path / f"RadiologyAI_{part}.csv").unlink()
    write_table(
        tmp_path / "all.csv",
        [{k: row[k] for k in ("filename", "label")} for row in listed()],
        columns=("filename", "label"),
    )
    data = read(tmp_path, test=0.25)
    assert data.train.units + data.test.units == 12
    assert data.digest(salt=SALT) == read(tmp_path / "all.csv", test=0.25).digest(salt=SALT)
    (tmp_path / "all.csv").unlink()
    folders = read(tmp_path, test=0.25)
    assert folders.classes == CLASSES
    assert folders.train.names == data.train.names


def test_names_may_start_with_the_folders_own(tmp_path: Path) -> None:
    outside = read(tree(tmp_path / "a"))
    inside = tmp_path / "b" / ROOT
    tree(tmp_path / "b")
    for part in ("train", "val", "test"):
        (tmp_path / "b" / f"RadiologyAI_{part}.csv").rename(inside / f"RadiologyAI_{part}.csv")
    assert read(inside).digest(salt=SALT) == outside.digest(salt=SALT)


def test_sizes_and_channels_are_converted(tmp_path: Path) -> None:
    assert read(tree(tmp_path), image_size=(6, 5), channels=1).train.images.shape[1:] == (1, 6, 5)


def test_the_layout_is_detected(tmp_path: Path) -> None:
    found = detect(tree(tmp_path, columns=("filename", "label", "patient_id")))
    assert (found.format, found.unit, found.split.test) == ("radimagenet", "patient_id", None)
    assert detect(tree(tmp_path)).unit == "image"
    found = detect(tmp_path / "RadiologyAI_train.csv")
    assert (found.format, found.split.test) == ("radimagenet", 0.2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("filename", "file", "no column 'filename'"),
        ("label", "class", "label"),
        ("normal000000.png", "absent.png", "there is no file"),
        ("radiology_ai/CT/abd/normal/normal000000.png", "../normal000000.png", "leads out of the folder"),
        ("radiology_ai/CT/abd/normal/normal000000.png", "/etc/hostname", "leads out of the folder"),
        ("radiology_ai/CT", "radiology_ai/CT/../CT", "leads out of the folder"),
        ("radiology_ai/CT/abd/normal/normal000000.png", r"..\normal000000.png", "leads out of the folder"),
        ("normal000002", "normal000000", "is already at"),
        ("normal000000.png", "normal000001.png", "is already at"),
        (",normal\n", ",\n", "label is empty"),
        (",normal\n", ",normal,more\n", "3 fields, the header 2"),
    ],
)
def test_a_mistake_in_a_table_is_named_by_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    error = refusal(edited(tmp_path, old, new))
    assert message in error.message
    assert ".csv:" in str(error.where)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "set")
    image = root / listed()[0]["filename"]
    image.rename(tmp_path / "outside.png")
    image.symlink_to(tmp_path / "outside.png")
    assert "leads out of the data folder" in refusal(root).message


def test_a_folder_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "set")
    (root / ROOT / "CT").rename(tmp_path / "CT")
    (root / ROOT / "CT").symlink_to(tmp_path / "CT")
    assert "leads out of the data folder" in refusal(root).message


def test_a_truncated_image_and_mixed_shapes_are_named(tmp_path: Path) -> None:
    image = tree(tmp_path) / listed()[4]["filename"]
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(tmp_path).message
    write_image(image, 4, shape=(9, 8, 3))
    error = refusal(tmp_path)
    assert (error.where, "data.image_size" in str(error.hint)) == (str(image), True)


def test_an_empty_image_that_occurs_twice_is_refused_as_the_published_set_has_them(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / listed()[4]["filename"]).write_bytes((root / listed()[0]["filename"]).read_bytes())
    assert "identical image is in two units" in refusal(root).message


def test_a_choice_of_tables_and_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there are no images" in refusal(tmp_path / "empty").message
    root = tree(tmp_path / "set")
    (root / "more.csv").write_text("filename,label\na,b\n")
    assert "a choice of tables" in refusal(root).message
    assert "no such file" in refusal(tmp_path / "absent").message


def test_an_image_outside_of_the_class_folders_has_no_class(tmp_path: Path) -> None:
    write_image(tmp_path / "US" / "thyroid" / "usn1.png")
    error = refusal(tmp_path)
    assert "lies in 2 folders" in error.message
    assert refusal(tmp_path, unit="patient").message


def test_names_that_are_not_ascii_are_kept(tmp_path: Path) -> None:
    rows = [{**row, "filename": row["filename"].replace("normal0", "Müller0")} for row in listed()]
    assert read(tree(tmp_path, rows)).train.names[0].endswith("/Müller000000.png")
