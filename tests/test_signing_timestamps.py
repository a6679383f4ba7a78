"""Timestamps: of every signature, by the one pinned certificate, in its time, for one query, and of nothing else."""

from __future__ import annotations

import datetime
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rfc3161_client
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.trust import TimestampAuthority
from gatekeeper.errors import GatekeeperError, SigningError, VerificationError
from gatekeeper.signing.timestamp_check import latest
from gatekeeper.signing.timestamp_query import nonce_of
from gatekeeper.signing.timestamps import TIMESTAMPS, accept, check_timestamps, covered, make_query
from gatekeeper.signing.verification import read_release
from tests.authorities import DAY, NOW, STAMPING, Authority, certificate, ec, pem
from tests.signed_releases import KEY, write_sample

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "tsa")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_sample(tmp_path)


def trusted(*certificates: object, name: str = "tsa.example") -> TimestampAuthority:
    return TimestampAuthority(name=name, certificates=pem(*certificates))  # type: ignore[arg-type]


def stamp(release: Path, authority: Authority) -> str:
    query = make_query(release)
    found = accept(release, query=query, response=authority.answer(query), authority=trusted(authority.certificate))
    return found.file


def test_a_timestamp_is_put_into_the_release_and_read_again(release: Path, authority: Authority) -> None:
    before = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    file = stamp(release, authority)
    found = check_timestamps(release, authorities=(trusted(authority.certificate),))
    (proven,) = found.proven
    assert (proven.authority, proven.file, found.others) == ("tsa.example", file, 0)
    # The authority's accuracy of 1.5 s counts against the signature.
    assert before < proven.time < (datetime.datetime.now(datetime.UTC) + 3 * DAY / 86400).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert read_release(release, public_key=KEY.public).steps


def test_a_timestamp_covers_what_sha256sum_prints(release: Path) -> None:
    command = "LC_ALL=C sha256sum attestations/*.sigstore.json model.sig"
    printed = subprocess.run(["sh", "-c", command], cwd=release, capture_output=True, check=True).stdout
    assert covered(release) == printed
    assert printed.count(b"\n") >= 3


def test_openssl_verifies_the_stored_response(release: Path, authority: Authority, tmp_path: Path) -> None:
    file = stamp(release, authority)
    (tmp_path / "list").write_bytes(covered(release))
    command = ["openssl", "ts", "-verify", "-data", tmp_path / "list", "-in", release / file]
    command += ["-CAfile", authority.folder / "tsa.pem"]
    assert b"Verification: OK" in subprocess.run(command, check=True, capture_output=True).stdout


def test_an_authority_with_issuers_is_pinned_with_all_of_them(release: Path, tmp_path: Path) -> None:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = certificate(root_key, "root", uses=(), authority=True)
    issued = Authority(tmp_path / "issued", issuer=(root, root_key))
    query = make_query(release)
    response = issued.answer(query)
    with pytest.raises(VerificationError, match="not by tsa"):
        accept(release, query=query, response=response, authority=trusted(issued.certificate))
    accept(release, query=query, response=response, authority=trusted(issued.certificate, root))


def test_another_authority_is_refused(release: Path, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    query = make_query(release)
    with pytest.raises(VerificationError, match="not by tsa"):
        accept(release, query=query, response=authority.answer(query), authority=trusted(other.certificate))
    stamp(release, authority)
    assert not (release / TIMESTAMPS / "none").exists()
    found = check_timestamps(release, authorities=(trusted(other.certificate),))
    assert (found.proven, found.others) == ((), 1)


def test_a_response_to_another_query_is_refused(release: Path, authority: Authority) -> None:
    response = authority.answer(make_query(release))
    with pytest.raises(VerificationError, match="answers another query"):
        accept(release, query=make_query(release), response=response, authority=trusted(authority.certificate))
    assert not (release / TIMESTAMPS).exists()


@pytest.mark.parametrize("file", ["model.sig", "attestations/certificate.sigstore.json"])
def test_a_timestamp_of_other_signatures_proves_nothing(release: Path, authority: Authority, file: str) -> None:
    stamp(release, authority)
    query = make_query(release)
    (release / file).write_bytes((release / file).read_bytes() + b" ")
    found = check_timestamps(release, authorities=(trusted(authority.certificate),))
    assert (found.proven, found.others) == ((), 1)
    with pytest.raises(VerificationError, match="of other signatures"):
        accept(release, query=query, response=authority.answer(query), authority=trusted(authority.certificate))


def test_a_bundle_that_was_added_later_is_not_covered(release: Path, authority: Authority) -> None:
    stamp(release, authority)
    (release / "attestations" / "other.sigstore.json").write_text("{}")
    assert not check_timestamps(release, authorities=(trusted(authority.certificate),)).proven


@pytest.mark.parametrize(
    ("begins", "ends"), [(NOW - 9 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)], ids=["expired", "not yet valid"]
)
def test_an_authority_outside_its_time_is_refused(
    release: Path, tmp_path: Path, begins: datetime.datetime, ends: datetime.datetime
) -> None:
    other = Authority(tmp_path / "other", begins=begins, ends=ends)
    query = make_query(release)
    with pytest.raises(VerificationError, match="is valid from"):
        accept(release, query=query, response=other.answer(query), authority=trusted(other.certificate))


@pytest.mark.parametrize(
    "changes",
    [
        {"uses": ()},
        {"uses": (ExtendedKeyUsageOID.CODE_SIGNING,)},
        {"uses": (*STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)},
        {"critical": False},
    ],
    ids=["none", "code signing", "both", "not critical"],
)
def test_a_certificate_that_is_not_for_timestamping_alone_is_refused(
    release: Path, authority: Authority, changes: dict[str, object]
) -> None:
    wrong = certificate(authority.key, **changes)  # type: ignore[arg-type]
    query = make_query(release)
    with pytest.raises(VerificationError, match="not for timestamping alone"):
        accept(release, query=query, response=authority.answer(query), authority=trusted(wrong))


def test_a_timestamp_of_a_digest_of_another_kind_is_refused(release: Path, authority: Authority) -> None:
    builder = rfc3161_client.TimestampRequestBuilder(
        data=covered(release), hash_algorithm=rfc3161_client.HashAlgorithm.SHA512
    )
    query = builder.build().as_bytes()
    with pytest.raises(VerificationError, match="not of a SHA-256 digest"):
        accept(release, query=query, response=authority.answer(query), authority=trusted(authority.certificate))


def test_a_refusal_of_the_authority_is_told(release: Path, authority: Authority) -> None:
    query = make_query(release)
    config = authority.folder / "tsa.cnf"
    before = config.read_text()
    config.write_text(before.replace("digests = sha256, sha512", "digests = sha512"))
    try:
        response = authority.answer(query)
    finally:
        config.write_text(before)
    with pytest.raises(VerificationError, match=r"did not grant a timestamp \(status 2\)"):
        accept(release, query=query, response=response, authority=trusted(authority.certificate))


def test_any_changed_byte_of_a_response_proves_nothing_or_the_same(release: Path, authority: Authority) -> None:
    file = release / stamp(release, authority)
    original, message = file.read_bytes(), hashlib.sha256(covered(release)).digest()
    pinned = (trusted(authority.certificate),)
    (first,) = check_timestamps(release, authorities=pinned).proven
    assert message in original
    changed = 0
    for index in range(0, len(original), 7):
        damaged = bytearray(original)
        damaged[index] ^= 1
        file.write_bytes(damaged)
        proven = check_timestamps(release, authorities=pinned).proven
        changed += not proven
        assert all(found.time == first.time for found in proven)
    assert changed > len(original) // 7 * 0.9


@given(content=st.binary(max_size=200))
def test_no_bytes_make_reading_a_query_crash(content: bytes) -> None:
    with pytest.raises(VerificationError):
        nonce_of(content)


@given(content=st.binary(max_size=200))
def test_no_bytes_make_reading_a_response_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "with-nonsense"
    if not folder.exists():
        folder.mkdir()
        write_sample(folder)
    release = folder / "release"
    pinned = trusted(certificate(ec.derive_private_key(7, ec.SECP256R1())))
    with pytest.raises(VerificationError):
        accept(release, query=make_query(release), response=content, authority=pinned)


def test_a_query_without_a_nonce_is_refused() -> None:
    builder = rfc3161_client.TimestampRequestBuilder(data=b"x", hash_algorithm=rfc3161_client.HashAlgorithm.SHA256)
    with pytest.raises(VerificationError, match="no nonce"):
        nonce_of(builder.nonce(nonce=False).build().as_bytes())
    query = builder.build()
    assert nonce_of(query.as_bytes()) == query.nonce


def test_a_response_twice_is_refused(release: Path, authority: Authority) -> None:
    query = make_query(release)
    response = authority.answer(query)
    pinned = trusted(authority.certificate)
    accept(release, query=query, response=response, authority=pinned)
    with pytest.raises(SigningError, match="in the release already"):
        accept(release, query=query, response=response, authority=pinned)


def test_the_accuracy_of_a_clock_counts_against_the_signature() -> None:
    time = datetime.datetime(2030, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
    assert latest(time, accuracy=datetime.timedelta()) == "2030-01-01T12:00:00Z"
    assert latest(time, accuracy=datetime.timedelta(microseconds=1)) == "2030-01-01T12:00:01Z"
    assert latest(time, accuracy=datetime.timedelta(seconds=2)) == "2030-01-01T12:00:02Z"


def test_a_clock_without_an_accuracy_is_taken_to_the_second(release: Path, tmp_path: Path) -> None:
    clock = Authority(tmp_path / "other")
    config = clock.folder / "tsa.cnf"
    config.write_text(config.read_text().replace("accuracy = secs:1, millisecs:500\n", ""))
    query = make_query(release)
    response = clock.answer(query)
    told = rfc3161_client.decode_timestamp_response(response).tst_info.gen_time
    found = accept(release, query=query, response=response, authority=trusted(clock.certificate))
    assert found.time == told.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_missing_package_is_named_with_its_extra(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(SigningError, match=r"need the extra \[timestamp\]") as caught:
        make_query(release)
    assert isinstance(caught.value, GatekeeperError)
    assert 'pip install "gatekeeper[timestamp]"' in str(caught.value)
