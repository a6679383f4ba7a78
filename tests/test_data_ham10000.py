"""Metadata tables beside their images: columns, units, and everything that can be wrong with a CSV file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatekeeper.data import load, tables
from gatekeeper.data.dataset import Dataset
from gatekeeper.errors import DataError
from tests.data_layouts import HEADER, SALT, ham10000, ham_rows, pixels, spec, write_image, write_table


def read(path: Path, **options: object) -> Dataset:
    return load(spec("ham10000", path, **{"unit": "lesion_id", **options}))  # type: ignore[arg-type]


def refusal(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return caught.value


def metadata(root: Path) -> Path:
    return root / "HAM10000_metadata.csv"


def edited(root: Path, old: str, new: str) -> Path:
    """The set of `root` with one passage of its table replaced."""
    ham10000(root)
    text = metadata(root).read_bytes().decode()
    assert old in text
    metadata(root).write_bytes(text.replace(old, new, 1).encode())
    return root


def test_lesions_are_units_with_all_their_images(tmp_path: Path) -> None:
    data = read(ham10000(tmp_path / "moles"))
    assert data.classes == ("mel", "nv")
    assert data.train.units + data.test.units == 6
    assert len(data.train.images) + len(data.test.images) == 12
    assert data.name == "moles"
    row = data.train.names.index("HAM_0") if "HAM_0" in data.train.names else None
    side, unit = (data.train, row) if row is not None else (data.test, data.test.names.index("HAM_0"))
    assert np.array_equal(side.images[side.unit_of == unit][0], np.moveaxis(pixels(0), -1, 0))


def test_image_is_the_column_image_id(tmp_path: Path) -> None:
    data = read(ham10000(tmp_path), unit="image")
    assert set(data.train.names + data.test.names) == {row["image_id"] for row in ham_rows()}


def test_any_column_can_be_label_unit_and_group(tmp_path: Path) -> None:
    rows = ham_rows(lesions=8)
    for index, row in enumerate(rows):
        row |= {"sex": f"person-{index // 4}", "localization": ("arm", "leg")[index // 2 % 2]}
    data = read(ham10000(tmp_path, rows), by="sex", label="localization")
    assert data.classes == ("arm", "leg")
    assert set(data.train.groups) | set(data.test.groups) == {f"person-{person}" for person in range(4)}
    assert not set(data.train.groups) & set(data.test.groups)


def test_digest_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    first = read(ham10000(tmp_path)).digest(salt=SALT)
    write_table(metadata(tmp_path), ham_rows()[::-1])
    assert read(tmp_path).digest(salt=SALT) == first


@pytest.mark.parametrize("style", ["bom", "crlf", "cr", "quoted", "blank-lines", "no-final-newline"])
def test_dialects_of_csv_are_read_alike(tmp_path: Path, style: str) -> None:
    first = read(ham10000(tmp_path)).digest(salt=SALT)
    lines = metadata(tmp_path).read_bytes().decode().splitlines()
    quoted = ['"' + line.replace(",", '","') + '"' for line in lines]
    text = {
        "bom": "\ufeff" + "\n".join(lines),
        "crlf": "\r\n".join(lines) + "\r\n",
        "cr": "\r".join(lines) + "\r",
        "quoted": "\n".join(quoted) + "\n",
        "blank-lines": "\n\n".join(lines) + "\n\n\n",
        "no-final-newline": "\n".join(lines),
    }[style]
    metadata(tmp_path).write_bytes(text.encode())
    assert read(tmp_path).digest(salt=SALT) == first


def test_a_quoted_comma_is_part_of_its_field(tmp_path: Path) -> None:
    rows = ham_rows()
    for row in rows:
        row["dx"] = f"{row['dx']}, certain"
    assert read(ham10000(tmp_path, rows)).classes == ("mel, certain", "nv, certain")


def test_files_that_the_table_does_not_mention_are_passed_over(tmp_path: Path) -> None:
    root = ham10000(tmp_path)
    write_image(root / "extra" / "ISIC_unlisted.png", 99)
    (root / "LICENSE").write_text("terms")
    assert len(read(root).train.images)


def test_the_table_itself_may_be_the_path(tmp_path: Path) -> None:
    ham10000(tmp_path)
    assert read(metadata(tmp_path)).digest(salt=SALT) == read(tmp_path).digest(salt=SALT)


def test_any_single_table_with_the_columns_will_do(tmp_path: Path) -> None:
    ham10000(tmp_path)
    metadata(tmp_path).rename(tmp_path / "cases.csv")
    (tmp_path / "hmnist_8_8_L.csv").write_text("pixel0000,label\n1,2\n")
    assert read(tmp_path).train.units


def test_the_first_publishers_table_has_no_suffix(tmp_path: Path) -> None:
    first = read(ham10000(tmp_path)).digest(salt=SALT)
    metadata(tmp_path).rename(tmp_path / "HAM10000_metadata")
    assert read(tmp_path).digest(salt=SALT) == first


def test_two_tables_are_refused(tmp_path: Path) -> None:
    ham10000(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(metadata(tmp_path).read_bytes())
    assert "HAM10000_metadata.csv, metadata.csv" in refusal(tmp_path).message


def test_no_table_is_refused(tmp_path: Path) -> None:
    assert "no metadata table" in refusal(tmp_path).message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "lesionid"}, "unit 'lesionid' is not a column"),
        ({"by": "patient_id"}, "split.by 'patient_id' is not a column"),
        ({"label": "dxx"}, "no column 'dxx'"),
    ],
)
def test_a_missing_column_is_refused_with_those_there_are(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    error = refusal(ham10000(tmp_path), **options)
    assert error.where == f"{metadata(tmp_path)}:1"
    assert message in error.message
    assert all(name in str(error.hint) for name in HEADER)


def test_a_misspelt_column_is_guessed(tmp_path: Path) -> None:
    assert "did you mean 'lesion_id'?" in str(refusal(ham10000(tmp_path), unit="lesionid").hint)


def test_semicolons_are_recognised_as_the_mistake(tmp_path: Path) -> None:
    ham10000(tmp_path)
    metadata(tmp_path).write_text(metadata(tmp_path).read_text().replace(",", ";"))
    assert "semicolons" in str(refusal(tmp_path).hint)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("image_id", "image_ids", 1, "no column 'image_id'"),
        ("dx_type", "dx", 1, "'dx' is there twice"),
        ("HAM_1,ISIC_1_0", ",ISIC_1_0", 4, "lesion_id is empty"),
        ("HAM_1,ISIC_1_0,", "HAM_1,,", 4, "image_id is empty"),
        ("ISIC_1_0,mel", "ISIC_1_0,", 4, "dx is empty"),
        ("ISIC_1_0,mel", "ISIC_1_0, mel", 4, "blanks around"),
        ("ISIC_1_0,mel", 'ISIC_1_0,"me\nl"', 4, "control character"),
        ("ISIC_1_0", "ISIC_0_0", 4, "already in line 2"),
        ("ISIC_1_0", "ISIC_9_9", 4, "no image file for the image_id 'ISIC_9_9' (1 of 12 rows)"),
        ("ISIC_1_0", "../outside", 4, "no image file"),
        ("ISIC_1_0,mel", "ISIC_1_0,mel,extra", 4, "8 fields, the header 7"),
        ("ISIC_1_0,mel,histo", "ISIC_1_0,mel", 4, "6 fields, the header 7"),
        ("ISIC_1_0,mel", 'ISIC_1_0,"me"l', 4, "not CSV"),
        ("ISIC_1_0,mel", 'ISIC_1_0,"mel', 4, "not CSV"),
    ],
)
def test_a_mistake_in_the_table_is_named_by_its_line(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    error = refusal(edited(tmp_path, old, new))
    assert message in error.message
    assert error.where == f"{metadata(tmp_path)}:{line}"
    assert error.hint


def test_lines_are_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    root = edited(tmp_path, "histo,50.0,female,back", '"his\nto",50.0,female,back')
    metadata(root).write_text(metadata(root).read_text().replace("HAM_1,", ",", 1))
    assert refusal(root).where == f"{metadata(root)}:5"


def test_what_is_not_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    root = ham10000(tmp_path)
    metadata(root).write_bytes(metadata(root).read_bytes().replace(b"HAM_1", b"HAM_\xe9", 1))
    error = refusal(root)
    assert "UTF-8" in error.message
    assert error.where == f"{metadata(root)}:4"


@pytest.mark.parametrize("text", ["", "\n", "lesion_id,image_id,dx\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    metadata(tmp_path).write_text(text)
    assert "no rows" in refusal(tmp_path).message


def test_a_null_byte_is_refused(tmp_path: Path) -> None:
    assert refusal(edited(tmp_path, "ISIC_1_0,mel", "ISIC_1_0,m\0l")).where == f"{metadata(tmp_path)}:4"


def test_a_huge_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_CSV_BYTES", 100)
    assert "the limit is 100" in refusal(ham10000(tmp_path)).message


def test_an_image_with_two_files_is_refused(tmp_path: Path) -> None:
    root = ham10000(tmp_path)
    write_image(root / "elsewhere" / "ISIC_1_0.jpg", 99)
    error = refusal(root)
    assert "has two files" in error.message
    assert error.where == f"{metadata(root)}:4"


def test_a_corrupt_image_is_named(tmp_path: Path) -> None:
    bad = ham10000(tmp_path) / "part_1" / "ISIC_1_0.png"
    bad.write_bytes(b"")
    error = refusal(tmp_path)
    assert error.where == str(bad)
    assert "empty" in error.message


def test_one_image_in_two_lesions_is_refused(tmp_path: Path) -> None:
    root = ham10000(tmp_path)
    (root / "part_1" / "ISIC_3_0.png").write_bytes((root / "part_1" / "ISIC_1_0.png").read_bytes())
    message = refusal(root).message
    assert "'HAM_1' and 'HAM_3'" in message


def test_a_lesion_of_two_patients_is_refused(tmp_path: Path) -> None:
    error = refusal(edited(tmp_path, "female", "male"), by="sex")
    assert "lesion_id 'HAM_0' has two values of sex: 'male' and 'female'" in error.message
