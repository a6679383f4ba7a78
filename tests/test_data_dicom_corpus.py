"""The files that pydicom ships for its own tests: each is decoded as pydicom does, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import data_store
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_color_lut, apply_rescale

from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.dicom_file import quiet
from gatekeeper.data.dicom_header import read_instance
from gatekeeper.data.dicom_pixels import planes
from gatekeeper.data.windows import rounded
from gatekeeper.errors import DataError
from tests.scans import as_grey

WINDOW = (-200.0, 400.0)
# Small ones of every kind: values with and without sign, palettes, colours in every form, compressions, byte orders.
DECODED = (
    *("CT_small.dcm", "693_J2KI.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"),
    *("MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm"),
    *("emri_small.dcm", "emri_small_RLE.dcm", "emri_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm", "vlut_04.dcm"),
    *("SC_rgb.dcm", "SC_rgb_rle_2frame.dcm", "SC_ybr_full_uncompressed.dcm", "SC_ybr_full_422_uncompressed.dcm"),
    *("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_small_odd_jpeg.dcm"),
    *("color-pl.dcm", "ExplVR_BigEnd.dcm", "examples_palette.dcm", "GDCMJ2K_TextGBR.dcm"),
)
REFUSED = {
    "OT-PAL-8-face.dcm": "malformed",
    "SC_rgb_16bit.dcm": "BitsStored are 16 and 16",
    "SC_rgb_rle_32bit.dcm": "BitsStored are 32 and 32",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "no pixels",
    "liver_1frame.dcm": "BitsStored are 1 and 1",
    "mlut_18.dcm": "ModalityLUTSequence",
    "JPEG-lossy.dcm": "can't be decoded",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a compressed frame says",
    "JPEGLSNearLossless_16.dcm": "StudyInstanceUID is missing",
    "MR_truncated.dcm": "PixelData has 8130 bytes",
    "badVR.dcm": "NumberOfFrames must be a whole number",
    "image_dfl.dcm": "deflated",
    "meta_missing_tsyntax.dcm": "TransferSyntaxUID is missing",
    "rtdose_1frame.dcm": "BitsStored are 32 and 32",
    "rtplan_truncated.dcm": "no image",
    "reportsi.dcm": "no image",
    "waveform_ecg.dcm": "no image",
}
LONG = {"color3d_jpeg_baseline.dcm"}  # 120 frames


def ours(path: Path) -> list[np.ndarray]:
    """Every frame through the reader, grey of more than 8 bits through the window."""
    instance = read_instance(path, number=1)
    scan = ScanSpec() if instance.colour or instance.bits == 8 else ScanSpec(window=WINDOW)
    return [rounded(plane) for plane in planes(instance, scan)]


def theirs(path: Path) -> np.ndarray:
    """What pydicom makes of the file, mapped by the definition of the window; padding stays below it."""
    with quiet():
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            palette = apply_color_lut(stored, dataset)
            own = palette >> 8 if palette.dtype.itemsize == 2 else palette
        elif dataset.SamplesPerPixel == 3 or dataset.BitsStored == 8:
            own = stored
        else:
            inner = dataset.get("SharedFunctionalGroupsSequence") or [dataset]
            scaled = (inner[0].get("PixelValueTransformationSequence") or [dataset])[0]
            values = apply_rescale(stored, scaled)
            if dataset.PhotometricInterpretation == "MONOCHROME1":
                grey = (np.clip(values.astype(float), *WINDOW) - WINDOW[0]) * 255 / (WINDOW[1] - WINDOW[0])
                own = np.floor(255 - grey + 0.5).astype(np.uint8)
            else:
                own = as_grey(values, *WINDOW)
        return own if int(dataset.get("NumberOfFrames") or 1) > 1 else own[np.newaxis]


# pydicom's own functions would ask the network for what is missing.
FILES = {
    path.name: path
    for root in (Path(data_store.__file__).parent, Path(pydicom.__file__).parent / "data" / "test_files")
    for path in root.rglob("*.dcm")
}


def path_of(name: str) -> Path:
    return FILES[name]


@pytest.mark.parametrize("name", DECODED)
def test_a_file_is_decoded_as_pydicom_decodes_it(name: str) -> None:
    assert np.array_equal(np.stack(ours(path_of(name))), theirs(path_of(name)))


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(DataError) as caught:
        ours(path_of(name))
    assert REFUSED[name] in caught.value.message
    assert caught.value.where == str(path_of(name))
    assert caught.value.hint


@pytest.mark.slow
def test_every_file_is_decoded_as_pydicom_decodes_it_or_refused() -> None:
    decoded, refused = [], []
    for name in sorted(set(FILES) - LONG):
        try:
            own = ours(path_of(name))
        except DataError:
            refused.append(name)
        else:
            assert np.array_equal(np.stack(own), theirs(path_of(name))), name
            decoded.append(name)
    assert set(REFUSED) <= set(refused)
    assert set(DECODED) <= set(decoded)
    assert len(decoded) > 80


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "emri_small.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_a_damaged_file_is_decoded_or_refused_and_nothing_else_happens(name: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    whole = np.frombuffer(path_of(name).read_bytes(), dtype=np.uint8)
    for _ in range(150):
        damaged = whole.copy()
        places = draw.integers(132, draw.choice([1500, len(whole)]), draw.choice([1, 3, 10]))
        damaged[places] = draw.integers(0, 256, len(places))
        path = tmp_path / "a.dcm"
        path.write_bytes(damaged.tobytes())
        try:
            instance = read_instance(path, number=1)
            frames = list(planes(instance, ScanSpec() if instance.colour else ScanSpec(window_of="per-image")))
        except DataError:
            continue
        assert len(frames) == instance.frames
