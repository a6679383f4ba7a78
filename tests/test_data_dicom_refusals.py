"""DICOM trees that are wrong in one way each: file, field and remedy are named, and no patient."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from gatekeeper.core.data_spec import SplitSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data import dicom, load
from gatekeeper.data.dicom_codestream import frame_size
from gatekeeper.data.dicom_sources import Source, flat
from gatekeeper.data.dicom_tree import Tree
from gatekeeper.data.masking import masked, pseudonym
from gatekeeper.errors import DataError
from tests.data_layouts import write_table
from tests.once import once
from tests.scans import dicom_file, dicom_tree, scan_spec

FLAT = ScanSpec(window=(-160.0, 240.0))
SOLID = ScanSpec(dimensions=3, window=(-160.0, 240.0))
FILE = "well/scan-0/0-0.dcm"
FIRST = "ill/scan-1/0-0.dcm"
NEXT = "well/scan-0/3-1.dcm"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "dicom-refusals", lambda path: dicom_tree(path, patients=3) and None)


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "set"))


def refusal(root: Path, scan: ScanSpec = FLAT, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(scan_spec("dicom", root, scan, **options))
    assert caught.value.where
    assert caught.value.hint
    return caught.value


def edit(path: Path, **fields: object) -> None:
    """Change fields of a stored file; None removes one."""
    dataset = pydicom.dcmread(path)
    for name, value in fields.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def corpus(root: Path, name: str) -> None:
    """A file of pydicom's own in the place of one of ours."""
    source = get_testdata_file(name, download=False)
    assert source
    shutil.copy(source, root / FILE)


@dataclass(frozen=True)
class Bad:
    """What is done to a tree, which file is named, what is said, and of what it is made."""

    name: str
    spoil: Callable[[Path], object]
    file: str
    says: str
    scan: ScanSpec = FLAT


def field(name: str, value: object, says: str, *, scan: ScanSpec = FLAT, file: str = FILE) -> Bad:
    return Bad(f"{name}-{str(value)[:12]}", lambda root: edit(root / file, **{name: value}), file, says, scan)


def nobody(patient: str | None, says: str) -> Bad:
    def spoil(root: Path) -> None:
        for path in (root / FILE).parent.iterdir():
            edit(path, PatientID=patient)

    return Bad(f"nobody-{patient}", spoil, FILE, says)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda root: (root / FILE).write_bytes(change((root / FILE).read_bytes()))


def compressed(root: Path, code: bytes, syntax: pydicom.uid.UID) -> None:
    dataset = pydicom.dcmread(root / FILE)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([code])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(root / FILE)


# A frame header that speaks of 65,500×65,500 pixels.
HUGE_JPEG = b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\x00\xff\xd9"
HUGE_J2K = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + (65500).to_bytes(4, "big") * 2 + bytes(8) + bytes(24)

BAD = (
    Bad("empty", raw(lambda data: b""), FILE, "not marked as DICOM"),
    Bad("text-named-dcm", raw(lambda data: b"hello"), FILE, "not marked as DICOM"),
    Bad("no-preamble", raw(lambda data: data[132:]), FILE, "not marked as DICOM"),
    Bad("header-cut", raw(lambda data: data[:300]), FILE, ""),
    Bad("pixels-cut", raw(lambda data: data[:-20]), FILE, ""),
    Bad(
        "unknown-kind",
        raw(lambda data: data.replace(b"\x28\x00\x52\x10DS", b"\x28\x00\x52\x10D\x00")),
        FILE,
        "can't be read",
    ),
    Bad("garbage", raw(lambda data: data[:132] + b"\xff" * 500), FILE, ""),
    Bad("deflated", lambda root: corpus(root, "image_dfl.dcm"), FILE, "deflated as a whole"),
    Bad("report", lambda root: corpus(root, "reportsi.dcm"), FILE, "has no image"),
    Bad("segmentation", lambda root: corpus(root, "liver_1frame.dcm"), FILE, "BitsAllocated and BitsStored are 1 and"),
    Bad("dose", lambda root: corpus(root, "rtdose_1frame.dcm"), FILE, "BitsAllocated and BitsStored are 32 and"),
    Bad(
        "table-of-values",
        lambda root: corpus(root, "mlut_18.dcm"),
        FILE,
        "ModalityLUTSequence",
        ScanSpec(window=(0.0, 1.0), size=(8, 8)),
    ),
    field("PixelData", None, "no pixels"),
    field("PixelData", b"", "no pixels"),
    field("PixelData", bytes(158), "PixelData has 158 bytes, and the header speaks of 160"),
    field("PixelData", bytes(320), "PixelData has 320 bytes, and the header speaks of 160"),
    field("Rows", None, "the field Rows is missing"),
    field("Rows", 0, "the field Rows must be a whole number from 1"),
    Bad("huge", lambda root: edit(root / FILE, Rows=60000, Columns=60000), FILE, "Rows × Columns are 60000×60000"),
    field("NumberOfFrames", 3, "PixelData has 160 bytes, and the header speaks of 480"),
    field("SOPInstanceUID", None, "the field SOPInstanceUID is missing"),
    field("SeriesInstanceUID", None, "the field SeriesInstanceUID is missing"),
    field("BitsStored", 17, "BitsStored are 16 and 17"),
    field("HighBit", 11, "HighBit is 11"),
    field("SamplesPerPixel", 3, "SamplesPerPixel is 3, and MONOCHROME2 has 1"),
    field("PhotometricInterpretation", "ARGB", "PhotometricInterpretation is 'ARGB'"),
    field("PixelRepresentation", 2, "PixelRepresentation must be a whole number from 0 to 1"),
    nobody("", "PatientID is empty"),
    nobody(None, "PatientID is empty"),
    nobody("ANONYMOUS", "a word that de-identification writes"),
    nobody("De-Identified", "a word that de-identification writes"),
    field("PatientID", ["a", "b"], "PatientID has several values"),
    field("PatientID", "other", "they name two patients", file=NEXT),
    field("BurnedInAnnotation", "YES", "text is burned into the pixels"),
    field("RescaleSlope", 0, "RescaleSlope is 0"),
    field("RescaleSlope", None, "RescaleSlope has no RescaleIntercept beside it"),
    Bad("not-hounsfield", lambda root: edit(root / FILE, RescaleSlope=None, RescaleIntercept=None), FILE, "Hounsfield"),
    Bad("sizes", lambda root: edit(root / NEXT, Rows=4, PixelData=bytes(80)), NEXT, "it gives an image of 4×10"),
    Bad("no-window", lambda root: None, FIRST, "16 bits with a sign need a window", ScanSpec()),
    Bad("file-window", lambda root: None, FIRST, "the file proposes no window", ScanSpec(window_of="file")),
    Bad(
        "sigmoid",
        lambda root: edit(root / FIRST, WindowCenter=1, WindowWidth=9, VOILUTFunction="SIGMOID"),
        FIRST,
        "VOILUTFunction is 'SIGMOID'",
        ScanSpec(window_of="file"),
    ),
    Bad(
        "narrow",
        lambda root: edit(root / FIRST, WindowCenter=1, WindowWidth=1),
        FIRST,
        "WindowWidth is 1",
        ScanSpec(window_of="file"),
    ),
    Bad(
        "flat",
        lambda root: edit(root / FILE, PixelData=bytes(160)),
        FILE,
        "no window of its own",
        ScanSpec(window_of="per-image"),
    ),
    field("PixelSpacing", [0, 0], "doesn't say its spacing", scan=ScanSpec(window=(0.0, 1.0), spacing=(1.0, 1.0))),
    Bad("huge-jpeg", lambda root: compressed(root, HUGE_JPEG, JPEGBaseline8Bit), FILE, "has 65500×65500 pixels"),
    Bad("huge-j2k", lambda root: compressed(root, HUGE_J2K, JPEG2000Lossless), FILE, "has 65500×65500 pixels"),
    Bad("broken-j2k", lambda root: compressed(root, b"\xff\x4f\xff\x51", JPEG2000Lossless), FILE, "can't be decoded"),
    Bad("video", lambda root: compressed(root, b"x", pydicom.uid.MPEG2MPML), FILE, "no decoder is installed"),
    Bad("no-class", lambda root: (root / FILE).rename(root / "x.dcm"), "x.dcm", "lies in no class folder"),
    Bad(
        "twice",
        lambda root: shutil.copy(root / FILE, root / "well" / "z.dcm"),
        "well/z.dcm",
        "has the SOPInstanceUID of",
    ),
    Bad("binary", lambda root: (root / "blob").write_bytes(bytes(500)), "blob", "not marked as DICOM"),
    Bad("link", lambda root: (root / "well" / "l").symlink_to("/etc/hostname"), "well/l", "leads out"),
    field("ImagePositionPatient", None, "frame 1 doesn't say where it lies", scan=SOLID),
    field("ImagePositionPatient", [1, 2], "ImagePositionPatient must hold 3", scan=SOLID),
    Bad(
        "doubled",
        lambda root: edit(root / FILE, ImagePositionPatient=[-10, -20, 2.5]),
        NEXT,
        "at the same place",
        SOLID,
    ),
    Bad("missing", lambda root: (root / NEXT).unlink(), "well/scan-0/2-2.dcm", "1 slices are missing", SOLID),
    Bad(
        "mixed-spacing",
        lambda root: edit(root / NEXT, ImagePositionPatient=[-10, -20, 1.6]),
        NEXT,
        "slices lie 1.6 mm apart, others",
        SOLID,
    ),
    field("ImagePositionPatient", [-15, -20, 2.5], "5.0 mm beside the first", scan=SOLID, file=NEXT),
    field("ImageOrientationPatient", [0, 1, 0, 0, 0, 1], "its direction", scan=SOLID, file=NEXT),
    field("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "no pair of perpendicular", scan=SOLID),
    field("PixelSpacing", [1, 1], "its PixelSpacing is not that of", scan=SOLID, file=NEXT),
    Bad(
        "rows-in-series",
        lambda root: edit(root / NEXT, Rows=4, PixelData=bytes(80)),
        NEXT,
        "its size (Rows, Columns) is not that of",
        SOLID,
    ),
    Bad(
        "two-classes",
        lambda root: (root / FILE).rename(root / "ill" / "zz.dcm"),
        "well/scan-0/1-3.dcm",
        "it has another label than",
        SOLID,
    ),
    Bad(
        "single",
        lambda root: [(root / f"well/scan-0/{name}.dcm").unlink() for name in ("1-3", "2-2", "3-1")],
        FILE,
        "a single frame",
        SOLID,
    ),
)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_file_is_named_with_what_is_wrong_and_no_patient(bad: Bad, root: Path) -> None:
    bad.spoil(root)
    error = refusal(root, bad.scan)
    assert error.where == str(root / bad.file)
    assert bad.says in error.message
    assert "KH-4" not in f"{error.message} {error.hint}"
    assert "Doe" not in str(error)


def test_a_window_for_grey_is_refused_for_colours(tmp_path: Path) -> None:
    for patient in range(3):
        colour = np.random.default_rng(patient).integers(0, 255, (8, 8, 3)).astype(np.uint8)
        dicom_file(
            tmp_path / "ab"[patient % 2] / f"{patient}.dcm", colour, patient=f"P-{patient}", series=f"1.{patient}"
        )
    assert "a window maps grey values" in refusal(tmp_path).message
    assert "the series has colours" in refusal(tmp_path, ScanSpec(dimensions=3)).message
    dicom_file(tmp_path / "a" / "grey.dcm", colour[..., 0].copy(), patient="P-9", series="1.9")
    assert "one is grey and one has colours" in refusal(tmp_path, ScanSpec()).message


def test_one_patient_for_all_files_is_refused(root: Path) -> None:
    for path in root.rglob("*.dcm"):
        edit(path, PatientID="Q-1")
    error = refusal(root)
    assert error.message == "PatientID is the same in all files: everybody would be one unit"
    assert "Q-1" not in str(error)
    assert load(scan_spec("dicom", root, FLAT, unit="series")).train.units == 2


@pytest.mark.parametrize("spelling", ["kh-40", "KH -40"])
def test_one_patient_in_two_spellings_is_refused(spelling: str, root: Path) -> None:
    for path in (root / "well" / "scan-2").iterdir():
        edit(path, PatientID=spelling)
    error = refusal(root)
    assert error.message == f"its PatientID differs from that of {root / FILE} in case or blanks alone"
    assert spelling not in str(error)
    assert load(scan_spec("dicom", root, FLAT, unit="series")).train.units == 2


@pytest.mark.parametrize("folder", ["KH-{}", "patient kh-{} of 2024", "Doe John {}"])
def test_folders_of_patients_are_not_taken_for_classes(folder: str, root: Path) -> None:
    for number in range(3):
        next(root.glob(f"*/scan-{number}")).rename(root / folder.format(40 + number))
    error = refusal(root)
    assert error.message.startswith(("a class is named after", "each class is of one patient"))
    assert "KH-4" not in str(error).upper()


def test_classes_of_one_patient_for_all_files_are_read(root: Path) -> None:
    for number in range(3):
        folder = next(root.glob(f"*/scan-{number}")).rename(root / f"grade-{number}")
        for path in folder.iterdir():
            edit(path, PatientID="Q-1")
    with pytest.raises(DataError, match="no training image has the class"):
        load(scan_spec("dicom", root, FLAT, unit="series"))


def test_a_table_may_give_each_patient_a_class_of_their_own(root: Path, tmp_path: Path) -> None:
    rows = [{"PatientID": f"KH-4{number}", "label": f"device {number}"} for number in range(3)]
    path = write_table(tmp_path / "t.csv", rows, columns=("PatientID", "label"))
    error = refusal(root, ScanSpec(window=(-160.0, 240.0), table=str(path)))
    assert "no training image has the class 'device" in error.message


def test_a_short_identifier_in_a_classs_name_is_no_name(root: Path) -> None:
    (root / "ill").rename(root / "grade 1")
    for path in (root / "grade 1" / "scan-1").iterdir():
        edit(path, PatientID="1")
    assert load(scan_spec("dicom", root, FLAT)).classes == ("grade 1", "well")


def test_patients_are_no_label(root: Path, tmp_path: Path) -> None:
    rows = [{"PatientID": f"KH-4{number}", "label": "ab"[number % 2]} for number in range(3)]
    path = write_table(tmp_path / "t.csv", rows, columns=("PatientID", "label"))
    scan = ScanSpec(window=(0.0, 1.0), table=str(path))
    assert "named after its only patient" in refusal(root, scan, label="PatientID").message


def test_one_file_with_colours_among_grey_ones_is_named(root: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    dicom_file(root / "well/scan-0/9.dcm", colour, patient="KH-40", series="1.2.3.1", height=10.0)
    error = refusal(root, ScanSpec(dimensions=3, window=(0.0, 1.0), size=(4, 8, 10)))
    assert (error.message, error.where) == ("the series has colours", str(root / "well/scan-0/9.dcm"))


def test_a_file_that_becomes_another_patients_while_it_is_read_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(tree: Tree, scan: ScanSpec) -> tuple[Source, ...]:
        edit(root / FILE, PatientID="KH-49")
        return flat(tree, scan)

    monkeypatch.setattr(dicom, "flat", changing)
    error = refusal(root)
    assert (error.message, error.where) == ("the file changed while it was read", str(root / FILE))


def test_annotations_that_are_known_are_accepted(root: Path) -> None:
    edit(root / FILE, BurnedInAnnotation="YES")
    scan = ScanSpec(window=(-160.0, 240.0), annotations_known=True)
    assert load(scan_spec("dicom", root, scan)).train.units == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unit": "image"}, "a single image of a person"),
        ({"unit": "PatientID"}, "unit 'PatientID' is not a column"),
        ({"split": SplitSpec(test=0.5, by="site")}, "split.by 'site' is not a column"),
        ({"label": "dx"}, "label 'dx' is not a column"),
    ],
)
def test_a_column_that_there_is_not_is_refused(options: dict[str, Any], says: str, root: Path) -> None:
    assert says in refusal(root, **options).message


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ([("KH-40", "a"), ("KH-41", "b")], None, "has no row for it (column PatientID)"),
        ([("KH-40", "a"), ("KH-41", "b"), ("KH-42", "a"), ("KH-49", "a")], 5, "no file has the PatientID of this row"),
        ([("KH-40", "a"), ("KH-40", "b")], 3, "the PatientID is already in line 2"),
        ([("KH-40", "a"), ("KH-41 ", "b")], 3, "the PatientID is something, with blanks"),
        ([("KH-40", "a"), ("KH-41", ""), ("KH-42", "a")], 3, "the label is empty"),
    ],
)
def test_a_table_that_does_not_fit_is_named_by_its_line(
    rows: list[tuple[str, str]], line: int | None, says: str, root: Path, tmp_path: Path
) -> None:
    path = write_table(
        tmp_path / "t.csv", [{"PatientID": own, "label": label} for own, label in rows], columns=("PatientID", "label")
    )
    error = refusal(root, ScanSpec(window=(0.0, 1.0), table=str(path)))
    assert error.where == (str(root / "well/scan-2/0-0.dcm") if line is None else f"{path}:{line}")
    assert says in error.message
    assert "KH-4" not in str(error)


def test_a_table_without_a_header_shows_nobody(root: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("KH-40,a\nKH-41,b\nKH-42,a\n")
    error = refusal(root, ScanSpec(window=(0.0, 1.0), table=str(tmp_path / "t.csv")))
    assert "the first line must name them" in str(error)
    assert "KH-4" not in str(error)


def test_a_table_that_is_missing_is_named_by_its_key(root: Path, tmp_path: Path) -> None:
    error = refusal(root, ScanSpec(window=(0.0, 1.0), table=str(tmp_path / "none.csv")))
    assert "check data.scan.table" in str(error.hint)


@pytest.mark.parametrize("columns", [("label",), ("SOPInstanceUID", "patient")])
def test_a_table_without_key_or_with_a_column_of_dicoms_own_is_refused(
    columns: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    path = write_table(tmp_path / "t.csv", [dict.fromkeys(columns, "x")], columns=columns)
    error = refusal(root, ScanSpec(window=(0.0, 1.0), table=str(path)))
    assert error.where == f"{path}:1"


def test_a_patient_in_a_path_is_shown_by_a_pseudonym_and_the_files_number(root: Path) -> None:
    (root / "well" / "scan-0").rename(root / "well" / "KH-40")
    edit(root / "well" / "KH-40" / "0-0.dcm", BurnedInAnnotation="YES")
    error = refusal(root)
    assert "KH-40" not in str(error)
    assert re.fullmatch(
        re.escape(str(root)) + r"/well/#[0-9a-f]{8}/0-0\.dcm \(file 5 in the order of names\)", str(error.where)
    )


def test_two_patients_with_one_image_are_shown_by_pseudonyms(root: Path) -> None:
    (root / "well" / "scan-0").rename(root / "well" / "KH-40")
    pixels_ = pydicom.dcmread(root / "well/KH-40/0-0.dcm").PixelData
    edit(root / "well" / "scan-2" / "0-0.dcm", PixelData=pixels_)
    error = refusal(root)
    assert "KH-4" not in str(error)
    assert pseudonym("KH-40") in error.message
    assert pseudonym("KH-42") in error.message
    assert "/0-0.dcm = well/scan-2/0-0.dcm" in error.message


def test_owners_of_a_table_are_shown_by_pseudonyms(root: Path, tmp_path: Path) -> None:
    rows = [
        {"SOPInstanceUID": pydicom.dcmread(path).SOPInstanceUID, "label": "ab"[row % 2], "doctor": f"Smith-{row % 2}"}
        for row, path in enumerate(sorted(root.rglob("*.dcm")))
    ]
    path = write_table(tmp_path / "t.csv", rows, columns=("SOPInstanceUID", "label", "doctor"))
    scan = ScanSpec(window=(-160.0, 240.0), table=str(path))
    error = refusal(root, scan, split=SplitSpec(test=0.5, by="doctor"))
    assert "has two values of doctor" in error.message
    assert "Smith" not in str(error)
    assert "KH-4" not in str(error)


def test_an_identifier_is_masked_where_it_stands_alone() -> None:
    assert masked("a/1/12/x1.dcm", secret="1") == f"a/{pseudonym('1')}/12/x1.dcm"
    assert masked("a/Kh_40/kh_40.dcm", secret="KH_40") == f"a/{pseudonym('KH_40')}/{pseudonym('KH_40')}.dcm"
    assert masked("a/.*/b", secret=".*") == f"a/{pseudonym('.*')}/b"
    assert masked("a/b", secret="") == "a/b"
    assert masked("1-2/12/112", secret="1-2") == f"{pseudonym('1-2')}/{pseudonym('1-2')}/112"


@pytest.mark.parametrize("name", ["IMRN-12345x", "mrn12345", "MRN 12345.dcm"])
def test_a_long_identifier_is_masked_in_every_spelling(name: str) -> None:
    assert pseudonym("MRN-12345") in masked(f"a/{name}/b", secret="MRN-12345")
    assert pseudonym("a") != pseudonym("b")


def test_a_frames_size_is_read_before_it_is_decoded() -> None:
    assert frame_size(HUGE_JPEG) == (65500, 65500)
    assert frame_size(HUGE_J2K) == (65500, 65500)
    assert frame_size(b"\x00\x00\x00\x0cjP  " + b"x" * 9 + HUGE_J2K) == (65500, 65500)
    for none in (b"", b"RLE", HUGE_JPEG[:3], HUGE_JPEG[:14], HUGE_J2K[:20], b"\xff\xd8" + bytes(50)):
        assert frame_size(none) is None


def test_nothing_of_a_file_is_printed_while_it_is_read(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = (root / FILE).read_bytes()
    (root / FILE).write_bytes(data.replace(b"Doe^KH-40", b"Doe^\xff\xfe-40"))
    edit_raw = (root / NEXT).read_bytes().replace(b"0.5\\0.7", b"0,5\\0.7")
    (root / NEXT).write_bytes(edit_raw)
    last = root / "well/scan-0/2-2.dcm"
    syntax = b"1.2.840.10008.1.2.1"
    assert syntax in last.read_bytes()
    last.write_bytes(last.read_bytes().replace(syntax, b"1.2.840.1(008.1.2.1"))
    assert "no decoder is installed" in refusal(root).message
    last.unlink()
    load(scan_spec("dicom", root, FLAT))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
