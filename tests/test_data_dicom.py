"""DICOM trees: values, windows, series, labels, units, against pydicom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset as Fields
from pydicom.pixels import apply_modality_lut, apply_rescale, apply_windowing

from gatekeeper.core.data_spec import SplitSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data import detect, dicom, load
from gatekeeper.data.dicom_frames import FrameFields
from gatekeeper.data.dicom_header import read_instance
from gatekeeper.data.dicom_pixels import planes
from gatekeeper.data.dicom_sources import volumes
from gatekeeper.data.dicom_stacks import stack
from gatekeeper.data.dicom_tree import read_tree
from gatekeeper.data.records import ImageTable
from gatekeeper.data.windows import rounded
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, pixels, write_table
from tests.once import once
from tests.scans import as_grey, dicom_file, dicom_tree, hounsfield, scan_spec

SOFT = (-160.0, 240.0)
FLAT = ScanSpec(window=SOFT)
SOLID = ScanSpec(dimensions=3, window=SOFT)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "dicom-tree", lambda path: dicom_tree(path) and None)


def table(root: Path, scan: ScanSpec = FLAT, **options: object) -> ImageTable:
    return dicom.read(scan_spec("dicom", root, scan, **options))


def grey_of(path: Path, scan: ScanSpec) -> np.ndarray:
    (plane,) = planes(read_instance(path, number=1), scan)
    return rounded(plane)


def test_each_slice_is_an_image_with_its_folders_class(tree: Path) -> None:
    data = table(tree)
    assert data.images.shape == (24, 1, 8, 10)
    assert set(data.units) == {f"KH-{40 + patient}" for patient in range(6)}
    row = data.image_names.index("well/scan-0/3-1.dcm")
    assert np.array_equal(data.images[row, 0], as_grey(hounsfield(0)[1], *SOFT))
    assert data.labels[row] == "well"


def test_a_series_is_a_volume_sorted_by_position(tree: Path) -> None:
    data = table(tree, SOLID)
    assert data.images.shape == (6, 1, 4, 8, 10)
    row = data.units.index("KH-42")
    assert np.array_equal(data.images[row, 0], as_grey(hounsfield(2), *SOFT))


def test_a_series_is_sorted_along_its_own_normal(tmp_path: Path) -> None:
    volume = hounsfield(0)
    for place in range(4):  # sagittal, stored from left to right: the normal points to the left
        dicom_file(
            tmp_path / "a" / f"{9 - place}.dcm",
            volume[place],
            ImagePositionPatient=[3.0 * place, 5.0, 7.0],
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
            height=place,
        )
    (series,) = volumes(tree := read_tree(tmp_path), SOLID, dict.fromkeys(tree.instances, "a"))
    assert series.stack is not None
    heights = [frame.position[0] for frame in series.stack.frames]
    assert heights == [9.0, 6.0, 3.0, 0.0]
    assert series.stack.spacing == (3.0, 0.5, 0.7)


def test_volumes_are_resampled_to_a_spacing(tree: Path) -> None:
    scan = ScanSpec(dimensions=3, window=SOFT, spacing=(1.25, 0.5, 0.7), size=(8, 8, 8))
    data = table(tree, scan)
    assert data.images.shape == (6, 1, 8, 8, 8)
    own = as_grey(hounsfield(0), *SOFT)[:, :, 1:9]
    assert np.abs(data.images[data.units.index("KH-40"), 0, 0].astype(int) - own[0]).max() <= 0


def test_images_are_resampled_to_a_spacing(tree: Path) -> None:
    assert table(tree, ScanSpec(window=SOFT, spacing=(0.25, 0.35))).images.shape == (24, 1, 16, 20)


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, 10), (-2, 3)])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_values_are_rescaled_as_pydicom_does(slope: float, intercept: float, kind: type, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 3000, (8, 10)).astype(kind)
    path = dicom_file(tmp_path / "a.dcm", stored, RescaleSlope=slope, RescaleIntercept=intercept)
    dataset = pydicom.dcmread(path)
    own = apply_rescale(dataset.pixel_array, dataset)
    assert np.array_equal(own, apply_modality_lut(dataset.pixel_array, dataset))
    assert np.array_equal(grey_of(path, FLAT), as_grey(own, *SOFT))


def test_fewer_bits_than_are_allocated_keep_their_sign(tmp_path: Path) -> None:
    own = np.array([[-2048, -1], [0, 2047]] * 2, dtype=np.int16)
    stored = own & 0x0FFF | 0x5000  # the four upper bits are not the value's
    path = dicom_file(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11)
    assert np.array_equal(grey_of(path, ScanSpec(window=(-2048.0, 2047.0))), as_grey(own, -2048, 2047))


def test_monochrome1_is_inverted_after_the_window(tmp_path: Path) -> None:
    values = hounsfield(0)[0]
    path = dicom_file(tmp_path / "a.dcm", values, PhotometricInterpretation="MONOCHROME1")
    grey = (np.clip(values, *SOFT) + 160.0) * 255 / 400
    assert np.array_equal(grey_of(path, FLAT), np.floor(255 - grey + 0.5))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(photometric: str, tmp_path: Path) -> None:
    values = hounsfield(0)[0]
    values[3, 3], values[4, 4] = 500, 900
    fields = {"PixelPaddingValue": 500, "PhotometricInterpretation": photometric}
    one = grey_of(dicom_file(tmp_path / "a.dcm", values, **fields), FLAT)  # type: ignore[arg-type]
    assert one[3, 3] == 0
    assert one[4, 4] == (0 if photometric == "MONOCHROME1" else 255)
    fields["PixelPaddingRangeLimit"] = 1000
    both = grey_of(dicom_file(tmp_path / "b.dcm", values, **fields), FLAT)  # type: ignore[arg-type]
    assert both[3, 3] == both[4, 4] == 0
    assert (both[(values >= 500) & (values <= 1000)] == 0).all()


@pytest.mark.parametrize(("kind", "stored", "written"), [(np.int16, -2000, 63536), (np.uint16, 63536, -2000)])
def test_padding_may_be_written_in_the_other_sign(kind: type, stored: int, written: int, tmp_path: Path) -> None:
    values = np.full((8, 10), 100, dtype=kind)
    values[0, 0] = stored
    path = dicom_file(tmp_path / "a.dcm", values, PhotometricInterpretation="MONOCHROME1")
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "US" if written > 0 else "SS", written)
    dataset.save_as(path)
    assert grey_of(path, FLAT).tolist()[0][:2] == [0, 89]


def test_padding_has_no_part_in_an_images_own_window(tmp_path: Path) -> None:
    values = np.arange(-400, 400, dtype=np.int16).reshape(20, 40)
    values[:10, :20] = -3000
    path = dicom_file(tmp_path / "a.dcm", values, PixelPaddingValue=-3000)
    inside = values[values != -3000]
    low, high = np.percentile(inside, 0.5, method="lower"), np.percentile(inside, 99.5, method="higher")
    assert np.array_equal(grey_of(path, ScanSpec(window_of="per-image")), as_grey(values, low, high))


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
def test_the_files_own_window_is_pydicoms(function: str | None, tmp_path: Path) -> None:
    values = hounsfield(0)[0]
    path = dicom_file(
        tmp_path / "a.dcm", values, WindowCenter=[40, 500], WindowWidth=[400, 2000], VOILUTFunction=function
    )
    dataset = pydicom.dcmread(path)
    oracle = apply_windowing(values, dataset, index=0).astype(float)  # over the range of 16 bits with a sign
    expected = (oracle + 2.0**15) / (2.0**16 - 1) * 255
    assert np.abs(grey_of(path, ScanSpec(window_of="file")) - expected).max() <= 0.5 + 1e-6


def test_a_volume_has_one_window_of_its_own(tmp_path: Path) -> None:
    volume = np.arange(320, dtype=np.int16).reshape(4, 8, 10)
    for patient in (1, 2, 3):
        for place in range(4):
            folder = tmp_path / ("a", "b")[patient % 2]
            path, values = folder / f"{patient}-{place}.dcm", volume[place] * patient
            dicom_file(path, values, patient=f"P-{patient}", series=f"1.{patient}", height=place)
    data = table(tmp_path, ScanSpec(dimensions=3, window_of="per-image"))
    low, high = np.percentile(volume, 0.5, method="lower"), np.percentile(volume, 99.5, method="higher")
    assert np.array_equal(data.images[data.units.index("P-1"), 0], as_grey(volume, low, high))


def test_bytes_without_a_window_stay_as_they_are(tmp_path: Path) -> None:
    values = pixels(0, shape=(8, 10))
    path = dicom_file(tmp_path / "a.dcm", values, Modality="US", RescaleSlope=None, RescaleIntercept=None)
    assert np.array_equal(grey_of(path, ScanSpec()), values)


def test_frames_of_a_file_are_images_of_one_unit(tmp_path: Path) -> None:
    for patient in range(4):
        frames = pixels(patient, shape=(3, 8, 10))
        fields = {"NumberOfFrames": 3, "Rows": 8, "Columns": 10, "Modality": "US"}
        path = tmp_path / ("a", "b")[patient % 2] / f"{patient}.dcm"
        dicom_file(path, frames, patient=f"P-{patient}", series=f"1.{patient}", **fields)  # type: ignore[arg-type]
    data = load(scan_spec("dicom", tmp_path, ScanSpec()))
    assert (data.train.units, len(data.train.images)) == (3, 9)
    names = table(tmp_path, ScanSpec()).image_names
    assert names[:2] == ("a/0.dcm frame 1", "a/0.dcm frame 2")


def test_enhanced_frames_have_their_own_scaling_and_place() -> None:
    path = get_testdata_file("eCT_Supplemental.dcm", download=False)
    assert path
    instance = read_instance(Path(path), number=1)
    dataset = pydicom.dcmread(path)
    assert "RescaleIntercept" not in dataset  # it lies in the shared functional groups
    first, second = planes(instance, FLAT)
    own = dataset.pixel_array.astype(float) - 1024
    assert np.array_equal(rounded(first), as_grey(own[0], *SOFT))
    assert np.array_equal(rounded(second), as_grey(own[1], *SOFT))
    pile = stack([instance])
    assert pile.frames[0].orientation == (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # so the normal points to the feet
    assert [frame.position[2] for frame in pile.frames] == [-149.0, -159.0]
    assert pile.spacing[0] == 10.0
    assert [rounded(plane).tolist() for plane in planes(instance, FLAT, indices=[1])] == [rounded(second).tolist()]


def test_colours_are_kept_or_made_grey(tmp_path: Path) -> None:
    colours = [pixels(patient) for patient in range(3)]
    for patient, own in enumerate(colours):
        dicom_file(tmp_path / "ab"[patient % 2] / f"{patient}.dcm", own, patient=f"P-{patient}", series=f"1.{patient}")
    data = table(tmp_path, ScanSpec())
    assert np.array_equal(data.images[0], np.moveaxis(colours[0], -1, 0))
    assert table(tmp_path, ScanSpec(), channels=1).images.shape == (3, 1, 8, 8)


def labels_table(root: Path, key: str, rows: list[tuple[str, str, str]]) -> Path:
    named = [{key: value, "finding": label, "owner": owner} for value, label, owner in rows]
    return write_table(root.parent / f"{key}.csv", named, columns=(key, "finding", "owner"))


@pytest.mark.parametrize("key", ["SOPInstanceUID", "SeriesInstanceUID", "PatientID"])
def test_labels_and_owners_come_from_a_table(key: str, tree: Path, tmp_path: Path) -> None:
    instances = read_tree(tree).instances
    of = {"SOPInstanceUID": "uid", "SeriesInstanceUID": "series", "PatientID": "patient"}[key]
    owners = {getattr(own, of): f"family-{int(own.patient[-1]) // 2}" for own in instances}
    rows = [(value, "ill" if owner == "family-1" else "well", owner) for value, owner in owners.items()]
    scan = ScanSpec(window=SOFT, table=str(labels_table(tmp_path / "x", key, rows)))
    data = table(tree, scan, unit="owner", label="finding", split=SplitSpec(test=0.4))
    assert set(data.units) == {"family-0", "family-1", "family-2"}
    assert data.labels == tuple("ill" if unit == "family-1" else "well" for unit in data.units)


@pytest.mark.slow
def test_the_digest_is_the_same_wherever_the_tree_lies(tree: Path, tmp_path: Path) -> None:
    first = load(scan_spec("dicom", tree, FLAT))
    again = load(scan_spec("dicom", dicom_tree(tmp_path / "other"), FLAT))
    assert first.digest(salt=SALT) == again.digest(salt=SALT)
    assert first.train.names == again.train.names


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    root = dicom_tree(tmp_path, slices=1)
    (root / "LICENSE").write_text("terms")
    (root / "notes.csv").write_text("a,b\n")
    (root / "well" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (root / ".hidden").write_bytes(bytes(9))
    data = load(scan_spec("dicom", root, FLAT))
    assert data.notes == ("4 files are no DICOM images and are passed over",)


def test_images_of_one_grey_value_are_left_out_and_counted(tmp_path: Path) -> None:
    root = dicom_tree(tmp_path)
    for patient in (0, 2):
        dicom_file(
            root / "well" / "blank" / f"{patient}.dcm",
            np.full((8, 10), -1000, dtype=np.int16),
            patient=f"KH-{40 + patient}",
            series=f"1.2.3.{patient + 1}",
        )
    assert load(scan_spec("dicom", root, FLAT)).notes == ("2 of 26 images have one grey value and are left out",)


def test_names_beyond_ascii_and_without_suffix_are_read(tmp_path: Path) -> None:
    for patient in range(3):
        path = tmp_path / ("gesund", "Läsion")[patient % 2] / f"Schnitt {patient}"
        dicom_file(
            path,
            hounsfield(patient)[0],
            patient=f"Ж-{patient}",
            series=f"1.{patient}",
            SpecificCharacterSet="ISO_IR 192",
        )
    data = table(tmp_path)
    assert set(data.units) == {"Ж-0", "Ж-1", "Ж-2"}
    assert set(data.labels) == {"gesund", "Läsion"}


def test_a_tree_is_detected_and_the_proposal_loads(tree: Path) -> None:
    proposal = detect(tree)
    assert (proposal.format, proposal.unit, proposal.label) == ("dicom", "patient", None)
    assert proposal.scan == ScanSpec(window=SOFT)
    assert load(proposal).train.units == 5


def test_a_table_beside_the_files_is_proposed(tmp_path: Path) -> None:
    root = dicom_tree(tmp_path, slices=1)
    rows = [{"PatientID": f"KH-{40 + patient}", "diagnosis": "ab"[patient % 2]} for patient in range(6)]
    path = write_table(root / "labels.csv", rows, columns=("PatientID", "diagnosis"))
    proposal = detect(root)
    assert proposal.label == "diagnosis"
    assert proposal.scan is not None
    assert proposal.scan.table == str(path)
    assert load(proposal).classes == ("a", "b")


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs pydicom") as caught:
        table(tmp_path / "not looked at")
    assert caught.value.hint == 'pip install "gatekeeper[medical]"'


def test_other_formats_load_no_medical_package() -> None:
    code = "import sys, gatekeeper.data.readers as r; print([n for n in ('pydicom', 'nibabel') if n in sys.modules])"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_shared_group_speaks_for_all_frames(tmp_path: Path) -> None:
    instance = read_instance(dicom_file(tmp_path / "a.dcm", hounsfield(0)[0]), number=1)
    item = Fields()
    item.RescaleSlope = 3
    shared = Fields()
    shared.PixelValueTransformationSequence = [item]
    dataset = Fields()
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.RescaleSlope = 1
    fields = FrameFields(dataset, 5, instance)
    assert fields.numbers("RescaleSlope", group="PixelValueTransformationSequence") == (3.0,)
