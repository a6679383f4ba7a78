"""Memory and work as the data grow: counted in images that are held and read, never in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gatekeeper.core.data_spec import DataSpec, SplitSpec
from gatekeeper.data import identities, images, load, store
from tests.bench.scale import certify, resident_bytes, tree
from tests.data_layouts import class_folders, spec

# A fresh process that reads, digests and names the units of a folder of arrays, and says what memory it took.
READING = """\
import sys
from pathlib import Path
from gatekeeper.core.data_spec import DataSpec, SplitSpec
from gatekeeper.data import identities, load, store
store.LARGE_BYTES = 2**20
asked = DataSpec(format="numpy", path=sys.argv[1], unit="image", split=SplitSpec(test=0.2))
data = load(asked, storage=Path(sys.argv[2]) if sys.argv[2] else None)
data.card(salt=bytes(32))
identities(data, population=None)
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) // 1024)
"""


def anonymous_mebibytes(folder: Path, *, count: int, storage: bool) -> int:
    """The memory that is the process's own, in no file, after reading `count` images of 64×64."""
    data = folder / f"data-{count}"
    if not data.exists():
        data.mkdir()
        generator = np.random.default_rng(0)
        np.save(data / "images.npy", generator.integers(0, 256, (count, 64, 64), dtype=np.uint8))
        np.save(data / "labels.npy", np.arange(count) % 2)
    command = [sys.executable, "-c", READING, str(data), str(folder / "cache") if storage else ""]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_three_times_the_images_take_little_more_memory(tmp_path: Path) -> None:
    stored = [anonymous_mebibytes(tmp_path, count=count, storage=True) for count in (10_000, 30_000)]
    held = [anonymous_mebibytes(tmp_path, count=count, storage=False) for count in (10_000, 30_000)]
    pixels = 20_000 * 64 * 64 / 2**20  # more of them
    assert held[1] - held[0] > 0.8 * pixels
    assert stored[1] - stored[0] < 0.4 * pixels  # names, identities and labels: nothing of the pixels


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_certification_of_two_thousand_images_stays_below_a_gibibyte_and_a_half(tmp_path: Path) -> None:
    cost = certify(tmp_path, "numpy", 2_000)
    assert cost.code in (0, 1), (tmp_path / "log").read_text()
    assert 2**27 < cost.peak_bytes < 3 * 2**29


def test_each_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 0)
    decoded: list[Path] = []
    decode, counts = images._decoded, []

    def counting(data: bytes, path: Path, **how: Any) -> NDArray[np.uint8]:
        decoded.append(path)
        return decode(data, path, **how)

    monkeypatch.setattr(images, "_decoded", counting)
    for number in (6, 18):
        decoded.clear()
        load(spec("image-folder", class_folders(tmp_path / str(number), images=number)), storage=tmp_path / "cache")
        counts.append(len(decoded))
    assert counts == [2 * 6 + 1, 2 * 18 + 1]  # the first one twice: it says how large the others are


def test_a_process_tree_is_all_that_a_process_started() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in set(tree(child.pid))
        assert resident_bytes(child.pid) > 0
        child.communicate(b"\n")
    assert resident_bytes(child.pid) == 0


def test_arrays_in_files_are_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGE_BYTES", 0)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(20) % 2)
    asked = DataSpec(format="numpy", path=str(tmp_path), unit="image", split=SplitSpec(test=0.2))
    data = load(asked, storage=tmp_path / "cache")
    assert isinstance(data.train.images.base, np.memmap)
    assert len(identities(data, population=None).units) == 16
