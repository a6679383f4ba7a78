"""NumPy arrays, honest and hostile: archives and folders of files, labels and masks, images and volumes."""

from __future__ import annotations

import dataclasses
import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gatekeeper.data import detect, images, load
from gatekeeper.data.dataset import Dataset
from gatekeeper.data.pixels import to_8_bits
from gatekeeper.errors import DataError, InvalidValueError
from tests.data_layouts import SALT, pixels, spec

COUNT = 8


def arrays(**changes: Any) -> dict[str, NDArray[Any]]:
    """Eight grey images of four patients and two classes; None takes an array away."""
    whole: dict[str, Any] = {
        "images": pixels(0, shape=(COUNT, 8, 8)),
        "labels": np.arange(COUNT) % 2,
        "patient": np.array([f"p{row // 2}" for row in range(COUNT)]),
        **changes,
    }
    return {name: array for name, array in whole.items() if array is not None}


def archive(folder: Path, **changes: Any) -> Path:
    np.savez_compressed(folder / "set.npz", **arrays(**changes))
    return folder / "set.npz"


def files(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays(**changes).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def read(path: Path, *, window: tuple[float, float] | None = None, **options: Any) -> Dataset:
    asked = spec("numpy", path, **{"unit": "patient", **options})
    return load(dataclasses.replace(asked, window=window))


def refusal(path: Path, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert str(path) in str(caught.value.where)
    assert caught.value.hint
    return caught.value


def all_images(data: Dataset) -> NDArray[np.uint8]:
    return np.concatenate([data.train.images, data.test.images])


def masked(*, volumes: bool = False) -> dict[str, NDArray[Any]]:
    shape = (COUNT, 4, 8, 8) if volumes else (COUNT, 8, 8)
    masks = np.zeros(shape, dtype=np.int64)
    masks[:, ..., 2:4, 2:4] = 1
    masks[::2, ..., 5, 5] = 2
    return {"images": pixels(0, shape=shape), "masks": masks}


def test_units_are_those_of_the_column_and_groups_those_of_another(tmp_path: Path) -> None:
    data = read(archive(tmp_path, clinic=np.arange(COUNT) // 4), by="clinic", test=0.5)
    assert data.unit == "patient"
    assert {data.train.units, data.test.units} == {2}
    assert not set(data.train.groups) & set(data.test.groups)
    assert data.classes == ("0", "1")


def test_an_archive_and_a_folder_of_files_are_read_alike(tmp_path: Path) -> None:
    assert read(archive(tmp_path)).digest(salt=SALT) == read(files(tmp_path / "set")).digest(salt=SALT)


def test_a_folder_is_read_alike_from_files_in_the_order_of_fortran(tmp_path: Path) -> None:
    turned = np.asfortranarray(arrays()["images"])
    assert read(files(tmp_path / "f", images=turned)).digest(salt=SALT) == read(archive(tmp_path)).digest(salt=SALT)


def test_where_the_unit_is_the_image_names_are_those_given_or_numbers(tmp_path: Path) -> None:
    data = read(archive(tmp_path), unit="image")
    assert "image-000003" in data.train.names + data.test.names
    names = np.array([f"scan {row} of Müller" for row in range(COUNT)])
    data = read(archive(tmp_path, names=names), unit="image")
    assert set(data.train.names + data.test.names) == set(names.tolist())


def test_the_split_may_be_given(tmp_path: Path) -> None:
    sides = np.array(["train"] * 6 + ["test"] * 2)
    data = read(archive(tmp_path, split=sides), test=None)
    assert data.test.names == ("p3",)
    assert "asks for another" in refusal(archive(tmp_path, split=sides), test=0.3).message


def test_labels_may_be_text_or_numbers_of_named_classes(tmp_path: Path) -> None:
    assert read(archive(tmp_path, labels=np.array(["mel", "nv"] * 4))).classes == ("mel", "nv")
    assert read(archive(tmp_path, classes=np.array(["nv", "mel"]))).classes == ("mel", "nv")
    assert read(archive(tmp_path, stage=np.arange(COUNT)[:, None] % 2 + 1), label="stage").classes == ("1", "2")


@pytest.mark.parametrize("volumes", [False, True])
def test_masks_make_a_segmentation(tmp_path: Path, volumes: bool) -> None:
    given = masked(volumes=volumes)
    path = archive(tmp_path, **given, labels=None, classes=np.array(["nothing", "liver", "lesion"]))
    data = read(path, label="mask", unit="image")
    assert data.task == "segmentation"
    assert data.classes == ("nothing", "liver", "lesion")
    rows = [int(name.removeprefix("image-")) for name in data.train.names]
    assert np.array_equal(data.train.masks, given["masks"][rows])
    assert np.array_equal(data.train.images[:, 0], given["images"][rows])
    assert spec("numpy", path, label="mask").task == "segmentation"
    unnamed = read(archive(tmp_path, **given, labels=None), label="mask")
    assert unnamed.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [
        ((8, 9), (1, 8, 9)),
        ((8, 9, 1), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((5, 8, 9), (1, 5, 8, 9)),
        ((5, 8, 9, 1), (1, 5, 8, 9)),
        ((5, 8, 3, 1), (1, 5, 8, 3)),
        ((5, 8, 9, 3), (3, 5, 8, 9)),
    ],
)
def test_channels_come_first(tmp_path: Path, shape: tuple[int, ...], becomes: tuple[int, ...]) -> None:
    given = pixels(0, shape=(COUNT, *shape))
    data = read(archive(tmp_path, images=given), unit="image")
    assert data.train.images.shape[1:] == becomes
    row = int(data.train.names[0].removeprefix("image-"))
    assert np.array_equal(np.moveaxis(data.train.images[0], 0, -1).ravel(), given[row].ravel())


def test_images_are_resized_and_turned_grey(tmp_path: Path) -> None:
    data = read(archive(tmp_path, images=pixels(0, shape=(COUNT, 8, 9, 3))), image_size=(6, 5), channels=1)
    assert data.train.images.shape[1:] == (1, 6, 5)
    assert read(archive(tmp_path, images=pixels(0, shape=(COUNT, 8, 9, 1))), channels=3).train.images.shape[1] == 3
    with pytest.raises(DataError, match="taken as it is"):
        read(archive(tmp_path, images=pixels(0, shape=(COUNT, 5, 8, 9))), image_size=(6, 5))
    with pytest.raises(InvalidValueError, match="takes no image_size with masks"):
        spec("numpy", tmp_path, label="mask", image_size=(6, 5))


@given(value=st.floats(0, 1), low=st.floats(-1000, 999), width=st.floats(0.001, 1000))
def test_a_window_is_linear_and_monotone(value: float, low: float, width: float) -> None:
    inside = np.array([low - 1, low, low + value * width, low + width, low + 2 * width])
    found = to_8_bits(inside, window=(low, low + width), where="x").tolist()
    assert found == sorted(found)
    assert (found[0], found[1], found[3], found[4]) == (0, 0, 255, 255)
    assert abs(found[2] - 255 * value) <= 0.5 + 1e-6 * (1 + abs(low) / width)


def test_floats_and_windows_become_8_bits(tmp_path: Path) -> None:
    given = arrays()["images"]
    scaled = read(archive(tmp_path, images=(given / 255).astype(np.float32)))
    densities = read(archive(tmp_path, images=given.astype(np.int16) - 100), window=(-100, 155))
    plain = read(archive(tmp_path)).digest(salt=SALT)
    assert scaled.digest(salt=SALT) == densities.digest(salt=SALT) == plain


def with_value(value: float, dtype: str = "float32") -> NDArray[Any]:
    whole = np.random.default_rng(0).random((COUNT, 8, 8)).astype(dtype)
    whole[3, 1, 2] = value
    return whole


@pytest.mark.parametrize(
    ("changes", "options", "message", "place"),
    [
        ({"images": with_value(np.nan)}, {}, "the pixel at (1, 2) is nan", "images[3]"),
        ({"images": with_value(np.inf)}, {"window": (0, 1)}, "is inf", "images[3]"),
        ({"images": with_value(1.25)}, {}, "is 1.25, outside of [0, 1]", "images[3]"),
        ({"images": pixels(0, shape=(COUNT, 8, 8)).astype(np.uint16)}, {}, "no window says", "images[0]"),
        ({"images": np.zeros((COUNT, 8, 8), dtype=bool)}, {}, "must be numbers, got bool", "images[0]"),
        ({"images": np.zeros((COUNT, 8, 8), dtype=complex)}, {"window": (0, 1)}, "must be numbers", "images[0]"),
        ({"images": np.zeros((COUNT, 8, 8), dtype="U1")}, {}, "must be numbers, got <U1", "images[0]"),
        ({"images": pixels(0, shape=(COUNT, 64))}, {}, "must have the shape (images", "images"),
        ({"images": pixels(0, shape=(0, 8, 8))}, {}, "must have the shape (images", "images"),
        ({"images": pixels(0, shape=(COUNT, 2, 2, 2, 2))}, {}, "two or three axes", "images[0]"),
        ({"images": pixels(0, shape=(COUNT, 3, 8, 8))}, {}, "has its channels first, or", "images[0]"),
        ({"images": pixels(0, shape=(COUNT, 1, 8, 9))}, {}, "has its channels first, or", "images[0]"),
        ({"labels": np.arange(COUNT - 1)}, {}, "must have the shape (8,), got (7,)", "labels"),
        ({"labels": np.zeros((COUNT, 3), dtype=int)}, {}, "must have the shape (8,)", "labels"),
        ({"labels": np.zeros(COUNT)}, {}, "whole numbers or text, got float64", "labels"),
        ({"labels": np.zeros(COUNT, dtype=bool)}, {}, "whole numbers or text, got bool", "labels"),
        ({"labels": np.array([b"a"] * COUNT)}, {}, "whole numbers or text, got |S1", "labels"),
        ({"labels": np.array(["a", "", *"bababa"])}, {}, "is empty", "labels[1]"),
        ({"labels": np.array(["a", " b", *"bababa"])}, {}, "blanks around", "labels[1]"),
        ({"patient": np.array(["a", "b\nc", *"bababa"])}, {}, "control character", "patient[1]"),
        ({"names": np.array(["a", "b", "a", *"cdefg"])}, {}, "already that of image 0", "names[2]"),
        ({"split": np.array(["train", "val"] * 4)}, {"test": None}, "is 'val', not train or test", "split[1]"),
        ({"labels": None}, {}, "there is no array 'labels'", ""),
        ({"images": None}, {}, "there is no array 'images'", ""),
        ({}, {"unit": "patiend"}, "there is no array 'patiend'", ""),
        ({}, {"by": "clinic"}, "there is no array 'clinic'", ""),
        ({}, {"label": "mask"}, "there is no array 'masks'", ""),
        ({"classes": np.array(["nv"])}, {}, "two or more different names", "classes"),
        ({"classes": np.array(["nv", "nv"])}, {}, "two or more different names", "classes"),
        ({"classes": np.array(["nv", "mel"]), "labels": np.arange(COUNT)}, {}, "is '2', and there are 2", "labels[2]"),
        ({"masks": np.zeros((COUNT, 8, 8))}, {"label": "mask"}, "masks must be whole numbers", "masks"),
        ({"masks": np.zeros((COUNT, 8, 9), dtype=int)}, {"label": "mask"}, "of shape (8, 8, 8)", "masks"),
        ({"masks": np.zeros((COUNT, 8, 8), dtype=int)}, {"label": "mask"}, "class indices 0 … 0", "masks"),
        ({"masks": np.full((COUNT, 8, 8), -1)}, {"label": "mask"}, "class indices -1 … -1", "masks"),
        ({"masks": np.full((COUNT, 8, 8), 300)}, {"label": "mask"}, "0 … 255", "masks"),
    ],
)
@pytest.mark.parametrize("layout", [archive, files])
def test_what_does_not_fit_is_refused_with_its_place_and_a_remedy(
    tmp_path: Path, layout: Any, changes: dict[str, Any], options: dict[str, Any], message: str, place: str
) -> None:
    folder = tmp_path if layout is archive else tmp_path / "set"
    error = refusal(layout(folder, **changes), **options)
    assert message in error.message
    assert str(error.where).endswith(place)


def trap() -> bytes:
    """A pickle that fails the test where it is unpickled."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def header_only(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": "|u1"})
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read"),
        (b"no array", "can't be read"),
        (trap(), "never unpickled"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "unsupported .npy version (9, 0)"),
        (header_only((2**40, 2**30, 8)), "declares"),
        (header_only((COUNT, 8, 8)) + bytes(COUNT * 64 - 1), "declares"),
        (header_only((COUNT, 8, 8)) + bytes(COUNT * 64 + 1), "declares"),
    ],
)
def test_a_malformed_array_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = files(tmp_path / "set")
    (folder / "images.npy").write_bytes(content)
    assert message in refusal(folder).message
    path = tmp_path / "raw.npz"
    with zipfile.ZipFile(path, "w") as out:
        for name in ("labels", "patient"):
            out.write(folder / f"{name}.npy", f"{name}.npy")
        out.writestr("images.npy", content)
    assert message in refusal(path).message


def bomb(folder: Path, *, size: int) -> Path:
    """An archive of a few kilobytes whose images are that many zeros."""
    path = folder / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, array in arrays(images=np.zeros((size // 64, 8, 8), dtype=np.uint8)).items():
            stream = io.BytesIO()
            np.save(stream, array)
            out.writestr(f"{name}.npy", stream.getvalue())
    return path


def test_an_archive_that_unpacks_into_too_much_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(tmp_path, size=2**24)
    monkeypatch.setattr(images, "MAX_TOTAL_BYTES", 2**22)
    tracemalloc.start()
    assert "unpacks into" in refusal(path).message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


def test_a_member_that_inflates_further_than_it_claims_is_cut_off(tmp_path: Path) -> None:
    path = bomb(tmp_path, size=2**24)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")  # of images.npy, in the central directory; its size is at offset 24
    data[entry + 24 : entry + 28] = (2**16).to_bytes(4, "little")
    path.write_bytes(data)
    assert "declares" in refusal(path).message


def test_an_array_stored_twice_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as out:
        out.writestr("images.npy", header_only((1, 8, 8)) + bytes(64))
    assert "more than one array 'images'" in refusal(path).message


@pytest.mark.parametrize("name", ["../images.npy", "images", "/images.npy"])
def test_a_member_by_another_name_is_no_array(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path, images=None)
    with zipfile.ZipFile(path, "a") as out:
        out.writestr(name, header_only((COUNT, 8, 8)) + bytes(COUNT * 64))
    assert "array" in refusal(path).message or "NAME.npy" in refusal(path).message
    assert not list(tmp_path.parent.glob("images*"))


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = files(tmp_path / "set")
    (folder / "images.npy").rename(tmp_path / "images.npy")
    (folder / "images.npy").symlink_to(tmp_path / "images.npy")
    with pytest.raises(DataError, match="leads out of the data folder"):
        read(folder)


def test_a_folder_without_arrays_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    assert "no .npy files" in refusal(tmp_path).message
    assert "no such file" in refusal(tmp_path / "absent").message


def test_an_image_of_two_patients_is_refused(tmp_path: Path) -> None:
    given = arrays()["images"]
    given[5] = given[0]
    assert "'p0' and 'p2'" in refusal(archive(tmp_path, images=given)).message


def test_a_mutated_file_is_read_or_refused(tmp_path: Path) -> None:
    path = archive(tmp_path)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        mutated = bytearray(whole)
        mutated[generator.integers(len(whole))] ^= generator.integers(1, 256)
        path.write_bytes(mutated)
        try:
            read(path)
        except DataError:
            refused += 1
    assert refused > 20


def test_arrays_are_detected(tmp_path: Path) -> None:
    found = detect(archive(tmp_path))
    assert (found.format, found.unit, found.label) == ("numpy", "patient", None)
    folder = files(tmp_path / "set", **masked(), labels=None, split=np.array(["train", "test"] * 4))
    found = detect(folder)
    assert (found.format, found.label, found.split.test) == ("numpy", "mask", None)
