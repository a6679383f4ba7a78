"""Entries of a cache: whoever lacks the key can take them away or spoil them, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.cache import CacheFolder, Parcel, describe_surroundings, load_key, load_or_create_key, seal_of, sealed
from gatekeeper.cache.keys import CacheKey, derive
from gatekeeper.cache.parcel import pack, unpack
from gatekeeper.core.codec import digest
from gatekeeper.core.framing import framed, unframed
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.record import PlannedRun, Software
from gatekeeper.core.reuse import KeptRun, Origin, Surroundings, differences
from gatekeeper.errors import CacheError, InvalidValueError
from tests.facts import sample_facts, sample_policy, statement

KEY, OTHER_KEY = derive(b"k" * 32), derive(b"o" * 32)
EVIDENCE = sample_facts().evidence
SURROUNDINGS = Surroundings(code="c" * 64, software=(Software(name="torch", version="2.6"),), device="1 × cpu")
ORIGIN = Origin(
    candidate_name="tiny",
    policy_name="sample",
    candidate=digest(EVIDENCE.candidate),
    policy=digest(sample_policy()),
    lock=None,
    audit_only=False,
    surroundings=SURROUNDINGS,
)
RUN = KeptRun(
    origin=ORIGIN,
    policy=sample_policy(),
    candidate=EVIDENCE.candidate,
    planned=PlannedRun(dataset=EVIDENCE.dataset, plan=EVIDENCE.plan, non_private=True),
    evidence=EVIDENCE,
    ledger=statement(EVIDENCE),
)
PARCEL = Parcel(run=RUN, salt=b"s" * 32, model=b"a model that nobody approved")


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    kept = CacheFolder(tmp_path / "cache", key=KEY)
    kept.keep(PARCEL)
    return kept


def entry_of(folder: CacheFolder, origin: Origin = ORIGIN) -> Path:
    return folder.place_of(origin)


@given(st.lists(st.binary(max_size=40)))
def test_parts_come_back_as_they_were(parts: list[bytes]) -> None:
    assert unframed(framed(*parts)) == tuple(parts)


@given(st.binary(max_size=60))
def test_bytes_are_parts_in_one_way_or_none(content: bytes) -> None:
    try:
        parts = unframed(content)
    except InvalidValueError:
        return
    assert framed(*parts) == content


def test_what_was_kept_is_found(folder: CacheFolder) -> None:
    assert folder.find(ORIGIN) == PARCEL
    assert folder.find(dataclasses.replace(ORIGIN, candidate_name="another")) is None
    assert entry_of(folder).stat().st_mode & 0o777 == 0o600


def test_an_entry_shows_neither_model_nor_salt_nor_names(folder: CacheFolder) -> None:
    content = entry_of(folder).read_bytes()
    for secret in (PARCEL.model, PARCEL.salt, b"tiny", b"sample", b"accuracy"):
        assert secret not in content
    assert "tiny" not in entry_of(folder).name
    assert pack(PARCEL, place="x", key=KEY) != pack(PARCEL, place="x", key=KEY), "another nonce each time"


def test_every_changed_bit_is_seen() -> None:
    content = pack(PARCEL, place="x", key=KEY)
    assert unpack(content, place="x", key=KEY) == PARCEL
    for position in (*range(0, 60), *range(60, len(content), 997), *range(len(content) - 40, len(content))):
        spoilt = bytearray(content)
        spoilt[position] ^= 1
        with pytest.raises(CacheError, match="changed, cut short or moved"):
            unpack(bytes(spoilt), place="x", key=KEY)
    for length in (0, 1, 26, 27, 73, 74, 75, len(content) - 1):
        with pytest.raises(CacheError):
            unpack(content[:length], place="x", key=KEY)
    with pytest.raises(CacheError):
        unpack(content + b"x", place="x", key=KEY)


def _move(folder: CacheFolder) -> None:
    """An entry of another candidate, whose evidence is better, in this one's place."""
    other = dataclasses.replace(ORIGIN, candidate_name="better")
    folder.keep(dataclasses.replace(PARCEL, run=dataclasses.replace(RUN, origin=other)))
    shutil.copy(entry_of(folder, other), entry_of(folder))


def _splice(folder: CacheFolder) -> None:
    """The nonce of one entry and the ciphertext of another, each authentic."""
    first = entry_of(folder).read_bytes()
    folder.keep(dataclasses.replace(PARCEL, model=b"another"))
    second = entry_of(folder).read_bytes()
    entry_of(folder).write_bytes(first[:42] + second[42:])


def _of_another_key(folder: CacheFolder) -> None:
    entry_of(folder).write_bytes(pack(PARCEL, place=entry_of(folder).name, key=OTHER_KEY))


def _link(folder: CacheFolder) -> None:
    outside = entry_of(folder).with_name("outside")
    entry_of(folder).rename(outside)
    entry_of(folder).symlink_to(outside)


def _pipe(folder: CacheFolder) -> None:
    entry_of(folder).unlink()
    os.mkfifo(entry_of(folder))


def _plain(folder: CacheFolder) -> None:
    """An entry as somebody without the key can make it."""
    entry_of(folder).write_bytes(b"gatekeeper cache entry v1\n" + framed(b"{}", PARCEL.salt, PARCEL.model) + bytes(48))


@pytest.mark.parametrize("spoil", [_move, _splice, _of_another_key, _link, _pipe, _plain])
def test_what_the_keys_holder_did_not_write_there_is_an_error_that_names_the_file(
    spoil: Callable[[CacheFolder], None], folder: CacheFolder
) -> None:
    spoil(folder)
    with pytest.raises(CacheError, match=entry_of(folder).name) as caught:
        folder.find(ORIGIN)
    assert "nothing was trained or counted" in str(caught.value)


def test_entries_of_other_keys_and_audits_lie_elsewhere(folder: CacheFolder, tmp_path: Path) -> None:
    assert CacheFolder(tmp_path / "cache", key=OTHER_KEY).find(ORIGIN) is None
    assert folder.find(dataclasses.replace(ORIGIN, audit_only=True)) is None


def test_an_entry_that_is_exchanged_while_it_is_used_changes_nothing(folder: CacheFolder) -> None:
    """What is used is what was read: the file is opened once."""
    opened: list[Path] = []
    real = os.open

    def spy(path: str, flags: int, *more: int) -> int:
        if str(path).endswith(".entry"):
            opened.append(Path(path))
        return real(path, flags, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", spy)
        found = folder.find(ORIGIN)
    entry_of(folder).write_bytes(b"")
    assert found == PARCEL
    assert opened == [entry_of(folder)]


def test_an_entry_of_nouns_that_this_version_does_not_know_is_none() -> None:
    plain = framed(b'{"unknown":1}\n', b"s" * 32, b"m")
    honest = pack(PARCEL, place="x", key=KEY)
    assert unpack(honest, place="x", key=KEY) is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatekeeper.cache.parcel.framed", lambda *parts: plain if len(parts) == 3 else framed(*parts))
        strange = pack(PARCEL, place="x", key=KEY)
    assert unpack(strange, place="x", key=KEY) is None


# Origins


def test_differences_name_every_part() -> None:
    later = Surroundings(code="d" * 64, software=(Software(name="torch", version="2.7"),), device="1 × cuda")
    other = dataclasses.replace(ORIGIN, candidate="1" * 64, policy="2" * 64, audit_only=True, surroundings=later)
    assert differences(ORIGIN, ORIGIN) == ()
    assert differences(ORIGIN, other) == (
        "the candidate",
        "the policy",
        "whether it is an audit",
        "gatekeeper's code",
        "installed software (torch 2.6 → 2.7)",
        "the device (1 × cpu, now 1 × cuda)",
    )
    fields = {field.name for noun in (Origin, Surroundings) for field in dataclasses.fields(noun)}
    compared = {
        "candidate_name",
        "policy_name",
        "candidate",
        "policy",
        "lock",
        "audit_only",
        "code",
        "software",
        "device",
    }
    assert fields == compared | {"surroundings"}, "whatever is added must be compared"


def _named(run: str) -> LedgerStatement:
    own = dataclasses.replace(RUN.ledger.spends[-1], run=run)
    return dataclasses.replace(RUN.ledger, run=run, spends=(own,))


@pytest.mark.parametrize(
    "changes",
    [
        {"candidate": dataclasses.replace(EVIDENCE.candidate, name="other")},
        {"policy": dataclasses.replace(sample_policy(), version=2)},
        {
            "planned": dataclasses.replace(
                RUN.planned, dataset=dataclasses.replace(EVIDENCE.dataset, commitment="1" * 64)
            )
        },
        {"ledger": _named("../elsewhere")},
    ],
)
def test_a_kept_run_is_about_one_run(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        dataclasses.replace(RUN, **changes)  # type: ignore[arg-type]


def test_surroundings_follow_code_and_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gatekeeper.cache import surroundings

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(surroundings, "_PACKAGE", tmp_path)
    first = describe_surroundings("cpu", processes=1)
    monkeypatch.setattr(surroundings, "_installed", lambda: first.software)
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert describe_surroundings("cpu", processes=1) == first
    assert "torch" in {each.name for each in first.software}
    assert describe_surroundings("auto", processes=1).device != first.device
    (tmp_path / "a.py").write_text("x = 2\n")
    assert describe_surroundings("cpu", processes=1).code != first.code


def test_a_gpu_that_does_not_say_what_it_is_is_taken_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatekeeper.cache import surroundings

    monkeypatch.setattr(surroundings, "_GPUS", tmp_path)
    information = tmp_path / "0000:00:04.0" / "information"
    information.parent.mkdir()
    information.write_text("Model: \t H200\nIRQ: 5\n")
    assert "GPUs H200," in describe_surroundings("auto", processes=1).device
    information.write_text("IRQ: 5\n")
    assert describe_surroundings("cpu", processes=1)
    with pytest.raises(CacheError, match="names no model"):
        describe_surroundings("auto", processes=1)
    information.unlink()
    information.mkdir()
    with pytest.raises(CacheError, match="can't be read"):
        describe_surroundings("auto", processes=1)


# Keys and seals


def test_a_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path) == load_key(path) == first
    secrets: set[bytes] = {getattr(first, field.name) for field in dataclasses.fields(CacheKey)}
    assert len(secrets) == 4
    assert repr(first) == "CacheKey()"


def test_a_key_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who begins in the same moment reads no half of it, and does not lose what another has made."""
    path, seen = tmp_path / "key", []
    sync = os.fsync

    def look(descriptor: int) -> None:
        sync(descriptor)
        seen.append(path.exists())
        load_or_create_key(path) if len(seen) == 1 else None

    monkeypatch.setattr(os, "fsync", look)
    assert load_or_create_key(path) == load_key(path)
    assert seen == [False, False]
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_key_that_others_may_know_is_refused(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    load_or_create_key(path)
    link.symlink_to(path)
    with pytest.raises(CacheError, match="is a link"):
        load_or_create_key(link)
    path.chmod(0o640)
    with pytest.raises(CacheError, match="open to others"):
        load_or_create_key(path)
    path.chmod(0o600)
    path.write_text("another secret")
    with pytest.raises(CacheError, match="is no cache key") as caught:
        load_key(path)
    assert "another secret" not in str(caught.value)
    with pytest.raises(CacheError, match="no such key file"):
        load_key(tmp_path / "missing")


def test_a_seal_holds_for_what_was_sealed_alone() -> None:
    nouns = {
        "policy": sample_policy(),
        "candidate": EVIDENCE.candidate,
        "evidence": EVIDENCE,
        "statement": statement(EVIDENCE),
    }
    others = {
        "policy": dataclasses.replace(sample_policy(), version=2),
        "candidate": dataclasses.replace(EVIDENCE.candidate, name="other"),
        "evidence": dataclasses.replace(EVIDENCE, identifications=()),
        "statement": statement(EVIDENCE, attempts=2),
    }
    seal = seal_of(**nouns, key=KEY)  # type: ignore[arg-type]
    assert sealed(seal, seal)
    assert not sealed(seal, seal_of(**nouns, key=OTHER_KEY))  # type: ignore[arg-type]
    for name, other in others.items():
        assert not sealed(seal, seal_of(**{**nouns, name: other}, key=KEY))  # type: ignore[arg-type]
    for text in ("", hashlib.sha256(b"").hexdigest(), seal.upper(), f"{seal}\n"):
        assert not sealed(text, seal)
