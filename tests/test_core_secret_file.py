"""A secret's file: its owner's alone, made once, and never seen half written."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.core import secret_file
from gatekeeper.core.secret_file import write_once


def test_it_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_once(path, "first\n")
    assert path.read_text() == "first\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_once(path, "first\n")
    write_once(path, "second\n")
    assert path.read_text() == "first\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_file.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_once(tmp_path / "secret", "first\n")
    assert list(tmp_path.iterdir()) == []


def test_nobody_sees_it_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks while it is pushed to the disk sees no file; of eight who begin together, all find the same one."""
    path, seen = tmp_path / "secret", []
    monkeypatch.setattr(secret_file.os, "fsync", lambda descriptor: seen.append(path.exists()))
    begin = threading.Barrier(8)

    def make(number: int) -> None:
        begin.wait()
        write_once(path, f"{number}\n" * 1000)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in _joined(threads):
        assert not each.is_alive()
    assert seen[0] is False
    lines = path.read_text().splitlines()
    assert len(lines) == 1000
    assert len(set(lines)) == 1
    assert list(tmp_path.iterdir()) == [path]


def _joined(threads: list[threading.Thread]) -> Iterator[threading.Thread]:
    for each in threads:
        each.join(timeout=60)
        yield each
