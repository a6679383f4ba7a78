"""Pixels in private files: the same as in memory, decoded once, never used half-written or changed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.core.data_spec import DataFormat, DataSpec, PhantomSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data import identities, images, load, store
from gatekeeper.data.store import blank, collected, gathered, stacked, storing_in
from gatekeeper.errors import DataError
from tests.command_line import gatekeeper
from tests.data_layouts import SALT, class_folders, ham10000, medmnist_arrays, pixels, spec, write_image
from tests.scans import decathlon, dicom_tree, scan_spec

# Digests that data sets had before pixels could lie in files: certificates and ledgers hold their like.
GOLDEN = {
    "image-folder": ("d6146e83939095ce9073bbdc79655eba913b39ac61f8c56d545251a1d7fba165", "b790fa2965d29aa1"),
    "ham10000": ("29841e0d4a6f40b97cf2895f0ca44c4565d4183d28ba8c8a2fc0e51517483b92", "ef67769d475bf54f"),
    "medmnist": ("4ad8864bb05aa67bbfd2b4db40a9f1649b33047095422e6e83c74e1ef1eeab60", "66927499affbb2e5"),
    "phantom-abdomen": ("ba189e736a2ee681763f1405f293b424d3d2bf76d6f9fdfd647bed12653fb52f", "f2d9510e6bedd74b"),
}


def specification(data_format: str, folder: Path) -> DataSpec:
    if data_format == "image-folder":
        return spec("image-folder", class_folders(folder / "folders"))
    if data_format == "ham10000":
        return spec("ham10000", ham10000(folder / "moles"), unit="lesion_id")
    if data_format == "medmnist":
        np.savez_compressed(folder / "toymnist.npz", **medmnist_arrays())
        return spec("medmnist", folder / "toymnist.npz", test=None)
    return spec("phantom-abdomen", None, unit="patient", phantom=PhantomSpec(patients=10, size=(16, 16)))


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 0)


@pytest.mark.parametrize("data_format", GOLDEN)
@pytest.mark.parametrize("large", [False, True])
def test_digests_and_identities_are_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_format: str, large: bool
) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 0 if large else 2**40)
    data = load(specification(data_format, tmp_path), storage=tmp_path / "cache")
    assert isinstance(data.train.images.base, np.memmap) == large
    names = hashlib.sha256(repr(identities(data, population=None).units).encode()).hexdigest()[:16]
    assert (data.digest(salt=SALT), names) == GOLDEN[data_format]


@pytest.mark.usefixtures("everything_is_large")
def test_decoded_images_are_kept_in_a_private_folder_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = specification("image-folder", tmp_path)
    cache = tmp_path / "runs" / "cache"
    first = load(asked, storage=cache).digest(salt=SALT)
    (kept,) = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, kept.stat().st_mode & 0o077) == (0o700, 0)
    decoded, decode = [], images._decoded
    monkeypatch.setattr(images, "_decoded", lambda *all_, **how: (decoded.append(all_[1]), decode(*all_, **how))[1])
    assert load(asked, storage=cache).digest(salt=SALT) == first
    assert len(decoded) == 1  # the first image, which says how large the others are


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "link", "folder's name"])
def test_a_kept_file_that_is_not_what_was_written_is_never_used(tmp_path: Path, damage: str) -> None:
    asked, cache = specification("image-folder", tmp_path), tmp_path / "cache"
    first = load(asked, storage=cache).digest(salt=SALT)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if damage == "link":
        kept.rename(tmp_path / "elsewhere")
        kept.symlink_to(tmp_path / "elsewhere")
    else:
        changed = {"cut": whole[:-1], "changed": whole[:-1] + bytes([whole[-1] ^ 1]), "longer": whole + b"\0"}
        kept.write_bytes(changed.get(damage, whole))
    if damage == "folder's name":
        kept.rename(kept.with_name(kept.name.replace(".pixels", "0.pixels")))
    assert load(asked, storage=cache).digest(salt=SALT) == first
    assert any(path.read_bytes() == whole for path in cache.iterdir() if not path.is_symlink())


@pytest.mark.usefixtures("everything_is_large")
def test_other_settings_and_other_files_have_other_keys(tmp_path: Path) -> None:
    root, cache = class_folders(tmp_path / "folders"), tmp_path / "cache"
    for asked in (spec("image-folder", root), spec("image-folder", root, channels=1)):
        load(asked, storage=cache)
    assert len(list(cache.iterdir())) == 2
    before = load(spec("image-folder", root), storage=cache).digest(salt=SALT)
    write_image(next(root.rglob("*.png")), 77)
    assert load(spec("image-folder", root), storage=cache).digest(salt=SALT) != before
    assert len(list(cache.iterdir())) == 3


@pytest.mark.usefixtures("everything_is_large")
def test_nothing_half_written_is_left_behind(tmp_path: Path) -> None:
    root, cache = class_folders(tmp_path / "folders"), tmp_path / "cache"
    bad = sorted(root.rglob("*.png"))[-1]
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(DataError, match="truncated"):
        load(spec("image-folder", root), storage=cache)
    assert not list(cache.iterdir())


@pytest.mark.usefixtures("everything_is_large")
def test_a_file_that_changes_between_its_digest_and_its_decoding_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(tmp_path / "folders")
    victim, rows = sorted(root.rglob("*.png"))[3], images._rows

    def changing(*arguments: object, **options: object) -> object:
        write_image(victim, 77)
        return rows(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "_rows", changing)
    with pytest.raises(DataError, match="changed while it was read") as caught:
        load(spec("image-folder", root), storage=tmp_path / "cache")
    assert caught.value.where == str(victim)


def test_a_small_data_set_leaves_no_folder_behind(tmp_path: Path) -> None:
    load(specification("image-folder", tmp_path), storage=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("everything_is_large")
def test_a_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o755)
    open_folder.chmod(0o755)
    link = tmp_path / "link"
    (tmp_path / "own").mkdir(mode=0o700)
    link.symlink_to(tmp_path / "own")
    for folder in (open_folder, link):
        with pytest.raises(DataError, match="this user's alone"):
            load(specification("image-folder", tmp_path), storage=folder)


@pytest.mark.usefixtures("everything_is_large")
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = tmp_path / "cache"
    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(DataError, match="No space left") as caught:
        load(specification("image-folder", tmp_path), storage=cache)
    assert "runs prune --cache" in str(caught.value.hint)
    assert not list(cache.iterdir())


@pytest.mark.usefixtures("everything_is_large")
def test_images_that_the_disk_has_no_room_for_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.Store, "free_bytes", 1000)
    with pytest.raises(DataError, match="GiB left"):
        load(specification("image-folder", tmp_path), storage=tmp_path / "cache")


@pytest.mark.parametrize("large", [False, True])
def test_arrays_are_put_together_alike_in_memory_and_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 200 if large else 2**40)
    whole = pixels(0, shape=(9, 3, 4, 5))
    with storing_in(tmp_path / "cache"):
        assert np.array_equal(stacked((whole[:4], whole[4:]), shape=whole.shape), whole)
        assert np.array_equal(gathered(whole, [8, 0, 3]), whole[[8, 0, 3]])
        assert np.array_equal(collected(iter(whole)), whole)
    assert not list(tmp_path.glob("cache/*"))  # spools have no names


def test_a_blank_has_no_name_and_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 1000)
    with storing_in(tmp_path / "cache"):
        small, large = blank((2, 3)), blank((5, 20, 20))
    assert [isinstance(array.base, np.memmap) for array in (small, large)] == [False, True]
    assert not list((tmp_path / "cache").iterdir())
    large[3] = 7
    assert large.sum() == 7 * 400


@pytest.mark.parametrize("portable", [False, True])
def test_the_room_of_a_blank_is_set_aside_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: bool
) -> None:
    if portable:
        monkeypatch.delattr(store.os, "posix_fallocate")
    with (tmp_path / "spool").open("w+b") as file:
        store._take_room(file, 2**20 + 1)
        status = os.fstat(file.fileno())
    assert status.st_size == 2**20 + 1
    assert status.st_blocks * 512 >= 2**20


def test_a_blank_that_the_disk_has_no_room_for_is_refused_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "LARGE_BYTES", 100)
    monkeypatch.setattr(store.os, "posix_fallocate", full)
    with storing_in(tmp_path / "cache"), pytest.raises(DataError, match="No space left"):
        blank((10, 10, 10))


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("data_format", ["msd", "dicom"])
def test_scans_are_the_same_in_files_and_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_format: DataFormat
) -> None:
    make: Callable[[Path], Path] = decathlon if data_format == "msd" else dicom_tree
    asked = scan_spec(data_format, make(tmp_path / "scans"), ScanSpec(window=(-160.0, 240.0)))
    filed = load(asked, storage=tmp_path / "cache")
    assert isinstance(filed.train.images.base, np.memmap)
    monkeypatch.setattr(store, "LARGE_BYTES", 2**40)
    assert filed.digest(salt=SALT) == load(asked).digest(salt=SALT)
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.usefixtures("everything_is_large")
def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    left, written = cache / ".0123.partial", cache / ".4567.partial"
    left.write_bytes(b"half")
    with written.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        load(specification("image-folder", tmp_path), storage=cache)
    assert (left.exists(), written.exists()) == (False, True)


@pytest.mark.usefixtures("everything_is_large")
def test_a_cache_that_is_removed_while_images_are_decoded_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cache, rows = specification("image-folder", tmp_path), tmp_path / "cache", images._rows

    def pruned(*arguments: object, **options: object) -> object:
        yield from rows(*arguments, **options)  # type: ignore[arg-type]
        shutil.rmtree(cache)

    monkeypatch.setattr(images, "_rows", pruned)
    assert load(asked, storage=cache).digest(salt=SALT) == GOLDEN["image-folder"][0]


def test_prune_removes_the_cache_where_it_is_asked_to(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "cache").mkdir(parents=True)
    (runs / "cache" / "x.pixels").write_bytes(b"x")
    kept = gatekeeper("runs", "prune", "--runs", str(runs), "--yes")
    assert kept.code == 0
    assert (runs / "cache").exists()
    removed = gatekeeper("runs", "prune", "--runs", str(runs), "--cache")
    assert (removed.code, removed.stdout.strip()) == (0, str(runs / "cache"))
    assert not (runs / "cache").exists()
    assert gatekeeper("runs", "prune", "--runs", str(runs), "--cache").stdout == ""
    (tmp_path / "precious").mkdir()
    (runs / "cache").symlink_to(tmp_path / "precious")
    assert gatekeeper("runs", "prune", "--runs", str(runs), "--cache").code == 2
    assert (tmp_path / "precious").exists()
