"""Medical Segmentation Decathlon folders: orientation, window, grid, classes, units, against nibabel."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from gatekeeper.core.data_spec import SplitSpec
from gatekeeper.core.scan_spec import MergedClass, ScanSpec
from gatekeeper.data import detect, load, msd
from gatekeeper.data.nifti import read_volume
from gatekeeper.data.nifti_header import read_header
from gatekeeper.data.records import ImageTable
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, write_table
from tests.scans import AFFINE, as_grey, decathlon, edit_manifest, hounsfield, labels_of, scan_spec, write_nifti

SOFT = (-160.0, 240.0)
FLAT = ScanSpec(window=SOFT)


def table(root: Path, scan: ScanSpec = FLAT, **options: object) -> ImageTable:
    return msd.read(scan_spec("msd", root, scan, **options))


def upright(path: Path) -> np.ndarray:
    """The scan's own numbers in the order of axial slices, as nibabel sees them."""
    canonical = nibabel.as_closest_canonical(nibabel.load(path))  # type: ignore[no-untyped-call]
    return np.asarray(canonical.get_fdata()[::-1, ::-1, :].transpose(2, 1, 0))


def test_slices_are_axial_and_in_the_window(tmp_path: Path) -> None:
    data = table(decathlon(tmp_path))
    oracle = upright(tmp_path / "imagesTr" / "liver_0.nii.gz")
    mask = upright(tmp_path / "labelsTr" / "liver_0.nii.gz")
    assert oracle.shape == (4, 10, 8)
    assert data.images.shape == (24, 1, 10, 8)
    assert np.array_equal(data.images[:4, 0], as_grey(oracle, *SOFT))
    assert data.masks is not None
    assert np.array_equal(data.masks[:4], mask)
    assert data.image_names[:2] == ("liver_0 slice 0000", "liver_0 slice 0001")
    assert data.units[:5] == ("liver_0",) * 4 + ("liver_1",)
    assert data.classes == ("background", "liver", "lesion")


def test_slices_lie_as_those_of_a_dicom_series(tmp_path: Path) -> None:
    values = np.zeros((4, 8, 10), dtype=np.int16)
    values[3, 0, 9] = 1000  # by the affine: low in the body, on the right hand, in front
    path = write_nifti(tmp_path / "a.nii.gz", values)
    right, front, up = (AFFINE @ [3, 0, 9, 1])[:3]
    assert (right, front, up) == (90.0, -26.5, 0.0)
    assert right == max((AFFINE @ [0, j, 0, 1])[0] for j in range(8))
    depth, height, width = np.argwhere(read_volume(read_header(path)) == 1000)[0]
    assert (depth, height, width) == (0, 0, 7 - 7)


@pytest.mark.parametrize("order", [np.eye(4), AFFINE, np.diag([-2.0, -2.0, 3.0, 1.0])], ids=["RAS", "turned", "LPS"])
def test_any_orientation_gives_the_same_images(order: np.ndarray, tmp_path: Path) -> None:
    """The same body, stored along other axes."""
    body = nibabel.Nifti1Image(hounsfield(0, shape=(6, 7, 5)), np.diag([2.0, 2.0, 3.0, 1.0]))  # type: ignore[no-untyped-call]
    wanted = nibabel.orientations.io_orientation(order)
    turned = body.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(body.affine), wanted)
    )
    nibabel.save(body, tmp_path / "a.nii.gz")
    nibabel.save(turned, tmp_path / "b.nii.gz")
    first, second = read_header(tmp_path / "a.nii.gz"), read_header(tmp_path / "b.nii.gz")
    assert first.spacing == second.spacing == (3.0, 2.0, 2.0)
    assert np.allclose(first.affine, second.affine)
    assert np.array_equal(read_volume(first), read_volume(second))


def test_every_slice_is_counted_from_the_first(tmp_path: Path) -> None:
    data = table(decathlon(tmp_path), ScanSpec(window=SOFT, every=3))
    assert data.image_names[:3] == ("liver_0 slice 0000", "liver_0 slice 0003", "liver_1 slice 0000")


def test_volumes_are_whole(tmp_path: Path) -> None:
    data = table(decathlon(tmp_path), ScanSpec(dimensions=3, window=SOFT))
    assert data.images.shape == (6, 1, 4, 10, 8)
    assert np.array_equal(data.images[2, 0], as_grey(upright(tmp_path / "imagesTr" / "liver_2.nii.gz"), *SOFT))
    assert data.image_names == data.units == tuple(f"liver_{case}" for case in range(6))


def test_volumes_are_resampled_as_scipy_does(tmp_path: Path) -> None:
    scan = ScanSpec(dimensions=3, window=SOFT, spacing=(2.0, 0.75, 1.5), size=(8, 16, 8))
    data = table(decathlon(tmp_path), scan)
    own = upright(tmp_path / "imagesTr" / "liver_0.nii.gz")  # 4×10×8 of 4×1.5×1.5 mm
    grey = (np.clip(own, *SOFT) - SOFT[0]) / 400 * 255
    zoomed = ndimage.zoom(grey, (2, 2, 1), order=1, grid_mode=True, mode="nearest")[:, 2:18]
    assert data.images.shape == (6, 1, 8, 16, 8)
    assert np.abs(data.images[0, 0] - zoomed).max() <= 0.5 + 1e-9
    mask = ndimage.zoom(
        upright(tmp_path / "labelsTr" / "liver_0.nii.gz"), (2, 2, 1), order=0, grid_mode=True, mode="nearest"
    )
    assert data.masks is not None
    assert np.array_equal(data.masks[0], mask[:, 2:18])


def test_slices_are_resized_with_their_masks(tmp_path: Path) -> None:
    data = table(decathlon(tmp_path), ScanSpec(window=SOFT, size=(16, 16)))
    assert data.images.shape == (24, 1, 16, 16)
    assert data.masks is not None
    assert set(np.unique(data.masks)) == {0, 1, 2}


def test_classes_are_merged_and_the_rest_is_background(tmp_path: Path) -> None:
    decathlon(tmp_path)
    merged = table(tmp_path, ScanSpec(window=SOFT, labels=(MergedClass(name="organ", values=(2, 1)),)))
    only = table(tmp_path, ScanSpec(window=SOFT, labels=(MergedClass(name="tumour", values=(2,)),)))
    plain = table(tmp_path)
    assert plain.masks is not None
    assert merged.masks is not None
    assert only.masks is not None
    assert merged.classes == ("background", "organ")
    assert np.array_equal(merged.masks, (plain.masks > 0).astype(np.uint8))
    assert np.array_equal(only.masks, (plain.masks == 2).astype(np.uint8))
    assert only.labels[:4] == ("tumour", "tumour", "tumour", "background")


def test_one_channel_of_several_is_taken_by_name(tmp_path: Path) -> None:
    decathlon(tmp_path, modality={"0": "FLAIR", "1": "T1w"})
    for case in range(6):
        both = np.stack([hounsfield(case), hounsfield(case + 50)], axis=-1)
        write_nifti(tmp_path / "imagesTr" / f"liver_{case}.nii.gz", both)
    data = table(tmp_path, ScanSpec(window_of="per-image", channel="T1w"))
    own = upright(write_nifti(tmp_path / "other.nii.gz", hounsfield(50)))
    low, high = np.percentile(own, 0.5, method="lower"), np.percentile(own, 99.5, method="higher")
    assert np.array_equal(data.images[:4, 0], as_grey(own, low, high))


def test_stored_values_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4000, (4, 8, 10)).astype(np.uint16)
    image = nibabel.Nifti1Image(values, AFFINE)  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(0.5, -1024)
    decathlon(tmp_path)
    image.to_filename(tmp_path / "imagesTr" / "liver_0.nii.gz")
    data = table(tmp_path)
    assert np.array_equal(data.images[:4, 0], as_grey(upright(tmp_path / "imagesTr" / "liver_0.nii.gz"), *SOFT))


def test_masks_may_be_stored_as_reals(tmp_path: Path) -> None:
    first = table(decathlon(tmp_path))
    write_nifti(tmp_path / "labelsTr" / "liver_0.nii.gz", labels_of(hounsfield(0)).astype(np.float64))
    again = table(tmp_path)
    assert first.masks is not None
    assert again.masks is not None
    assert np.array_equal(first.masks, again.masks)


def test_slices_of_one_grey_value_are_left_out_and_counted(tmp_path: Path) -> None:
    decathlon(tmp_path)
    for case in (0, 1):
        values = hounsfield(case)
        values[0] = -1024  # the topmost slice, in both
        write_nifti(tmp_path / "imagesTr" / f"liver_{case}.nii.gz", values)
    data = load(scan_spec("msd", tmp_path, FLAT))
    assert data.notes == ("2 of 24 slices have one grey value and are left out",)
    assert len(data.train.images) + len(data.test.images) == 22


def test_a_case_is_on_one_side_with_all_its_slices(tmp_path: Path) -> None:
    data = load(scan_spec("msd", decathlon(tmp_path), FLAT))
    assert (data.train.units, data.test.units) == (4, 2)
    assert data.task == "segmentation"
    assert data.unit == "case"


def test_a_table_says_whose_each_case_is(tmp_path: Path) -> None:
    decathlon(tmp_path / "set")
    rows = [{"case": f"liver_{case}", "patient": f"p{case // 2}"} for case in range(6)]
    owners = write_table(tmp_path / "owners.csv", rows, columns=("case", "patient"))
    scan = ScanSpec(window=SOFT, table=str(owners))
    data = load(scan_spec("msd", tmp_path / "set", scan, unit="patient", split=SplitSpec(test=0.4)))
    assert set(data.train.names) | set(data.test.names) == {"p0", "p1", "p2"}
    by = load(scan_spec("msd", tmp_path / "set", scan, split=SplitSpec(test=0.4, by="patient")))
    assert by.train.units + by.test.units == 6


def test_the_digest_depends_on_neither_place_nor_the_manifests_order(tmp_path: Path) -> None:
    first = load(scan_spec("msd", decathlon(tmp_path / "a"), FLAT)).digest(salt=SALT)
    decathlon(tmp_path / "b")
    listed = [
        {"image": f"imagesTr/liver_{n}.nii.gz", "label": f"labelsTr/liver_{n}.nii.gz"} for n in reversed(range(6))
    ]
    edit_manifest(tmp_path / "b", training=listed)
    assert load(scan_spec("msd", tmp_path / "b", FLAT)).digest(salt=SALT) == first


def test_names_beyond_ascii_are_read(tmp_path: Path) -> None:
    decathlon(tmp_path)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder / "liver_0.nii.gz").rename(tmp_path / folder / "Müller_0.nii.gz")
    text = (tmp_path / "dataset.json").read_text().replace("liver_0", "Müller_0")
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    assert "Müller_0" in table(tmp_path).units


def test_the_folder_is_detected_and_the_proposal_loads(tmp_path: Path) -> None:
    proposal = detect(decathlon(tmp_path))
    assert (proposal.format, proposal.unit) == ("msd", "case")
    assert proposal.scan == ScanSpec(every=4, window=SOFT, size=(128, 128))
    assert load(proposal).train.images.shape[1:] == (1, 128, 128)


def test_a_proposal_for_magnetic_resonance_names_its_channel(tmp_path: Path) -> None:
    proposal = detect(decathlon(tmp_path, modality={"0": "FLAIR", "1": "T1w"}))
    assert proposal.scan is not None
    assert (proposal.scan.window, proposal.scan.window_of, proposal.scan.channel) == (None, "per-image", "FLAIR")


def test_without_nibabel_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "nibabel", raising=False)
    with pytest.raises(DataError, match="needs nibabel") as caught:
        table(tmp_path / "not looked at")
    assert caught.value.hint == 'pip install "gatekeeper[medical]"'


NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("anatomical.nii", 0),
        ("example4d.nii.gz", 1),
        ("example_nifti2.nii.gz", 0),
        ("functional.nii", 19),
        ("reoriented_anat_moved.nii", 0),
        ("resampled_anat_moved.nii", 0),
        ("standard.nii.gz", 0),
    ],
)
def test_real_files_are_read_as_nibabel_reads_them(name: str, channel: int) -> None:
    path = NIBABEL / name
    if not path.is_file():
        pytest.skip("nibabel is installed without its test data")
    header = read_header(path)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))  # type: ignore[no-untyped-call]
    data = np.asarray(canonical.get_fdata())
    data = data[..., channel] if data.ndim == 4 else data
    own = read_volume(header, channel=channel) * header.slope + header.intercept
    assert np.array_equal(own, data[::-1, ::-1].transpose(2, 1, 0), equal_nan=True)
    assert header.spacing == pytest.approx(nibabel.affines.voxel_sizes(canonical.affine)[::-1])
