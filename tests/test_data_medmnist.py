"""MedMNIST archives, honest and hostile."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gatekeeper.data import images, load
from gatekeeper.data.dataset import Dataset
from gatekeeper.errors import DataError
from tests.data_layouts import SALT, medmnist_arrays, pixels, spec


def archive(folder: Path, **changes: NDArray[np.generic] | None) -> Path:
    arrays = {**medmnist_arrays(), **changes}
    np.savez_compressed(folder / "toymnist.npz", **{name: a for name, a in arrays.items() if a is not None})
    return folder / "toymnist.npz"


def read(path: Path, **options: object) -> Dataset:
    return load(spec("medmnist", path, test=None, **options))  # type: ignore[arg-type]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(path) in str(caught.value.where)
    return caught.value.message


def npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def raw_archive(folder: Path, **members: bytes) -> Path:
    path = folder / "raw.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in {**{name: npy(a) for name, a in medmnist_arrays().items()}, **members}.items():
            out.writestr(f"{name}.npy", data)
    return path


def test_the_given_split_is_kept_and_validation_left_out(tmp_path: Path) -> None:
    data = read(archive(tmp_path))
    arrays = medmnist_arrays()
    assert np.array_equal(data.train.images[:, 0], arrays["train_images"])
    assert np.array_equal(data.test.images[:, 0], arrays["test_images"])
    assert np.array_equal(data.test.labels, arrays["test_labels"].ravel())
    assert data.classes == ("0", "1", "2")
    assert data.name == "toymnist, without its validation part"


def test_an_archive_without_validation_part_is_read(tmp_path: Path) -> None:
    assert read(archive(tmp_path, val_images=None, val_labels=None)).name == "toymnist"


def test_colour_comes_channels_first(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", **medmnist_arrays(colour=True))
    data = read(tmp_path / "c.npz")
    assert np.array_equal(data.train.images, np.moveaxis(medmnist_arrays(colour=True)["train_images"], -1, 1))


def test_sizes_and_channels_are_converted(tmp_path: Path) -> None:
    assert read(archive(tmp_path), image_size=(6, 5), channels=3).train.images.shape[1:] == (3, 6, 5)
    np.savez(tmp_path / "c.npz", **medmnist_arrays(colour=True))
    assert read(tmp_path / "c.npz", channels=1).train.images.shape[1:] == (1, 8, 8)


def test_digest_ignores_compression_and_order(tmp_path: Path) -> None:
    first = read(archive(tmp_path)).digest(salt=SALT)
    np.savez(tmp_path / "toymnist.npz", **dict(reversed(medmnist_arrays().items())))
    assert read(tmp_path / "toymnist.npz").digest(salt=SALT) == first


def test_fortran_order_is_read_alike(tmp_path: Path) -> None:
    turned = np.asfortranarray(medmnist_arrays()["train_images"])
    assert read(archive(tmp_path, train_images=turned)).digest(salt=SALT) == read(archive(tmp_path)).digest(salt=SALT)


def test_a_split_over_the_given_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leave out split\.test"):
        load(spec("medmnist", archive(tmp_path), test=0.2))


def test_an_image_on_both_sides_is_refused(tmp_path: Path) -> None:
    arrays = medmnist_arrays()
    arrays["test_images"][1] = arrays["train_images"][4]
    message = refusal(archive(tmp_path, test_images=arrays["test_images"]))
    assert "'train-000004' and 'test-000001'" in message


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    assert repr(name) in refusal(archive(tmp_path, **{name: None}))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_images", pixels(0, shape=(6, 8, 8)).astype(np.float32), "uint8"),
        ("train_images", pixels(0, shape=(6, 8, 8)).astype(np.uint16), "uint8"),
        ("train_images", pixels(0, shape=(6, 8, 8, 8)), "shape"),
        ("train_images", pixels(0, shape=(6, 64)), "shape"),
        ("train_images", pixels(0, shape=(0, 8, 8)), "shape"),
        ("train_images", pixels(0, shape=(6, 9, 8)), "training images are"),
        ("train_labels", np.zeros((6, 14), dtype=np.uint8), "labels must have the shape"),
        ("train_labels", np.zeros((5, 1), dtype=np.uint8), "labels must have the shape"),
        ("train_labels", np.zeros((6, 1)), "whole numbers"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, array: NDArray[np.generic], message: str
) -> None:
    assert message in refusal(archive(tmp_path, **{name: array}))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    assert "never unpickled" in refusal(raw_archive(tmp_path, train_labels=stream.getvalue()))


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (2**40, 2**30, 8), "fortran_order": False, "descr": "|u1"})
    assert "declares" in refusal(raw_archive(tmp_path, train_images=header.getvalue()))


def test_an_archive_that_unpacks_into_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_TOTAL_BYTES", 100)
    assert "unpacks into" in refusal(archive(tmp_path))


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")  # the first entry of the central directory; its size is at offset 24
    data[entry + 24 : entry + 28] = (2**30).to_bytes(4, "little")
    path.write_bytes(data)
    assert "unpacks into" in refusal(path)


def test_resizing_beyond_the_memory_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(DataError, match="image_size"):
        read(archive(tmp_path), image_size=(1024, 1024))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nothing else", b"not an archive"])
def test_what_is_not_an_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    assert "can't be read" in refusal(tmp_path / "a.npz")


def test_a_member_that_is_not_an_array_is_refused(tmp_path: Path) -> None:
    assert "can't be read" in refusal(raw_archive(tmp_path, test_labels=b"no array"))


def test_an_unknown_npy_version_is_refused(tmp_path: Path) -> None:
    assert "version" in refusal(raw_archive(tmp_path, test_labels=b"\x93NUMPY\x09\x00" + bytes(100)))


def test_an_array_stored_twice_is_refused(tmp_path: Path) -> None:
    path = raw_archive(tmp_path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as out:
        out.writestr("train_images.npy", npy(medmnist_arrays()["train_images"]))
    assert "more than one array 'train_images'" in refusal(path)


def test_a_compression_that_numpy_never_writes_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as out:
        for name, array in medmnist_arrays().items():
            out.writestr(f"{name}.npy", npy(array))
    assert "unknown way" in refusal(tmp_path / "a.npz")


def test_a_mutated_archive_is_read_or_refused(tmp_path: Path) -> None:
    data = raw_archive(tmp_path).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        mutated = bytearray(data)
        mutated[generator.integers(len(data))] ^= generator.integers(1, 256)
        (tmp_path / "m.npz").write_bytes(mutated)
        try:
            read(tmp_path / "m.npz")
        except DataError:
            refused += 1
    assert refused > 50


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.npz")
