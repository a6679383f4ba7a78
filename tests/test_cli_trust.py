"""`verify --trust`, `trust` and `timestamp`: who signed, whether they may, and since when that is proven."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from gatekeeper.pipeline import signer, verification
from gatekeeper.pipeline.timestamps import prove_time
from gatekeeper.pipeline.trust import read_trust
from gatekeeper.pipeline.verification import VerifiedStep
from gatekeeper.signing.layout import digests_of
from gatekeeper.signing.side_files import standard_side_files
from gatekeeper.signing.verification import read_release
from tests.authorities import Authority
from tests.command_line import Ran, gatekeeper
from tests.signed_releases import KEY, OTHER_KEY, REPORTS, bound_certificate, write_sample
from tests.trust_files import indented

NOW = "2030-06-01T00:00:00Z"
GATE = KEY.public


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a release whose facts nobody judges, in the middle of 2030."""
    write_sample(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signer, "utc_now", lambda: NOW)
    monkeypatch.setattr(verification, "recompute", lambda certificate: ())
    done = VerifiedStep(title="report", detail="not looked at")
    monkeypatch.setattr(verification, "check_report", lambda directory, certificate: done)
    return tmp_path


def trust_file(*lines: str, key: str = GATE.pem.decode(), roles: str = "[release]", fingerprint: str = "") -> str:
    """A trust file of one key; `lines` come last."""
    head = f"""\
apiVersion: gatekeeper/v1
kind: TrustFile
metadata: {{name: hospital}}
spec:
  keys:
    - fingerprint: {fingerprint or GATE.fingerprint}
      owner: the gate
      roles: {roles}
      public_key: |
        {indented(key, by=8)}
"""
    Path("trust.yaml").write_text(head + "\n".join(lines) + "\n")
    return "trust.yaml"


def verify(trust: str, release: str = "release") -> Ran:
    return gatekeeper("verify", release, "--trust", trust, "--any-policy")


REVOKED = "      revoked: {at: 2030-03-01T00:00:00Z, reason: laptop stolen}"


def test_a_release_by_a_trusted_key_verifies_and_says_whose_it_is(here: Path) -> None:
    result = verify(trust_file("      valid_from: 2020-01-01T00:00:00Z", "      valid_until: 2031-01-01T00:00:00Z"))
    assert result.code == 0, result.stderr
    assert f"signer: {GATE.fingerprint} (the gate) may sign releases, judged now" in result.stdout
    assert "timestamps: none" in result.stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("      valid_from: 2030-07-01T00:00:00Z", "is valid only from 2030-07-01T00:00:00Z"),
        ("      valid_from: 2026-01-01T00:00:00Z", "is valid only from 2026-01-01T00:00:00Z; the signature is of 2025"),
        ("      valid_until: 2030-06-01T00:00:00Z", "was valid until 2030-06-01T00:00:00Z"),
        (REVOKED, "was revoked as of 2030-03-01T00:00:00Z (laptop stolen), and no trusted timestamp proves"),
    ],
)
def test_a_key_outside_its_time_is_refused_with_the_reason(here: Path, line: str, says: str) -> None:
    result = verify(trust_file(line))
    assert result.code == 4
    assert says in result.stderr
    assert f"trust.yaml: key {GATE.fingerprint} (the gate)" in result.stderr
    assert "VERIFIED" not in result.stdout


def test_a_key_of_another_role_is_refused(here: Path) -> None:
    result = verify(trust_file(roles="[privacy-officer]"))
    assert result.code == 4
    assert "its roles are privacy-officer; needed is release" in result.stderr


def test_an_unknown_key_is_refused_by_its_fingerprint(here: Path) -> None:
    other = OTHER_KEY.public
    result = verify(trust_file(key=other.pem.decode(), fingerprint=other.fingerprint))
    assert result.code == 4
    assert f"key {GATE.fingerprint} is not in the trust file" in result.stderr


def test_naming_a_trusted_key_does_not_help_another_one(here: Path) -> None:
    forged = write_sample(here, name="forged", key=OTHER_KEY)
    for file in (forged / "model.sig", *forged.glob("attestations/*.sigstore.json")):
        file.write_text(file.read_text().replace(OTHER_KEY.public.fingerprint, GATE.fingerprint))
    result = verify(trust_file(), "forged")
    assert result.code == 4
    assert "its signature does not fit" in result.stderr


def test_a_trust_file_inside_the_release_is_no_trust_root(here: Path) -> None:
    shutil.copy(trust_file(), here / "release" / "attestations" / "trust.yaml")
    result = verify("release/attestations/trust.yaml")
    assert result.code == 4
    assert "lies inside the release" in result.stderr


def test_mistakes_in_a_trust_file_are_reported_with_their_line(here: Path) -> None:
    result = verify(trust_file("      valid_until: tomorrow"))
    assert result.code == 2
    assert "trust.yaml:14:20: " in result.stderr


def test_one_of_key_and_trust_file_is_needed(here: Path) -> None:
    Path("gate.pub").write_bytes(GATE.pem)
    assert gatekeeper("verify", "release", "--any-policy").code == 2
    both = gatekeeper("verify", "release", "--any-policy", "--public-key", "gate.pub", "--trust", trust_file())
    assert both.code == 2
    result = gatekeeper("verify", "release", "--any-policy", "--public-key", "gate.pub")
    assert result.code == 0, result.stderr
    assert f"signer: {GATE.fingerprint}, as given; no trust file says until when" in result.stdout


def test_trust_validate_says_the_state_of_each_key(here: Path) -> None:
    result = gatekeeper("trust", "validate", trust_file(REVOKED))
    assert result.code == 0
    assert "trust.yaml: 1 keys, 0 timestamp authorities" in result.stdout
    assert f"{GATE.fingerprint}  the gate: release; revoked" in result.stdout
    assert gatekeeper("trust", "validate", trust_file(roles="[]")).code == 2
    assert '"urn:gatekeeper:schema:trust:v1"' in gatekeeper("trust", "schema").stdout


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


def stamped(here: Path) -> tuple[Authority, Ran]:
    """A release with a timestamp, made by the commands alone."""
    authority = Authority(here / "tsa")
    assert gatekeeper("timestamp", "request", "release").code == 0
    Path("answer.tsr").write_bytes(authority.answer(Path("release.tsq").read_bytes()))
    arguments = ("release", "--response", "answer.tsr", "--tsa-certificate", "tsa/tsa.pem")
    return authority, gatekeeper("timestamp", "accept", *arguments)


CLOCK = ("  timestamp_authorities:", "    - {name: clock, certificates: tsa/tsa.pem}")


@needs_openssl
def test_a_timestamp_is_asked_for_accepted_and_shown(here: Path) -> None:
    _, accepted = stamped(here)
    assert accepted.code == 0, accepted.stderr
    assert "all signatures existed by 20" in accepted.stdout
    result = verify(trust_file(*CLOCK))
    assert result.code == 0, result.stderr
    assert "timestamps: signed by 20" in result.stdout
    assert "says clock" in result.stdout
    untrusted = verify(trust_file())
    assert untrusted.code == 0, untrusted.stderr
    assert "1 there, none by a trusted authority" in untrusted.stdout


@needs_openssl
def test_only_a_timestamp_keeps_a_release_of_a_revoked_key(here: Path) -> None:
    stamped(here)  # today, years before the revocation
    assert verify(trust_file(REVOKED)).code == 4
    result = verify(trust_file(REVOKED, *CLOCK))
    assert result.code == 0, result.stderr
    assert "which a timestamp proves" in result.stdout
    late = verify(trust_file("      revoked: {at: 2021-01-01T00:00:00Z, reason: laptop stolen}", *CLOCK))
    assert late.code == 4
    assert "does not prove that the signature is older" in late.stderr


@needs_openssl
def test_a_stolen_key_can_not_borrow_an_old_timestamp(here: Path) -> None:
    stamped(here)
    (here / "elsewhere").mkdir()
    other = dataclasses.replace(bound_certificate(), created="2025-06-02T12:00:00Z")
    files = (*REPORTS, *standard_side_files(other))
    other = dataclasses.replace(other, files=digests_of(files))
    stolen = write_sample(here / "elsewhere", certificate=other, side_files=files)
    shutil.copytree(here / "release/attestations/timestamps", stolen / "attestations/timestamps")
    assert (stolen / "model.sig").read_bytes() == (here / "release/model.sig").read_bytes()
    result = verify(trust_file(REVOKED, *CLOCK), "elsewhere/release")
    assert result.code == 4
    assert "no trusted timestamp proves that the signature is older" in result.stderr


@needs_openssl
def test_a_query_is_never_overwritten_and_never_put_into_the_release(here: Path) -> None:
    assert gatekeeper("timestamp", "request", "release/").code == 0
    assert Path("release.tsq").exists()
    assert gatekeeper("timestamp", "request", "release").code == 2
    assert gatekeeper("timestamp", "request", "release", "--out", "release/q.tsq").code == 2


@needs_openssl
def test_a_response_that_does_not_fit_is_not_stored(here: Path) -> None:
    authority = Authority(here / "tsa")
    assert gatekeeper("timestamp", "request", "release").code == 0
    assert gatekeeper("timestamp", "request", "release", "--out", "other.tsq").code == 0
    Path("answer.tsr").write_bytes(authority.answer(Path("other.tsq").read_bytes()))
    arguments = ["timestamp", "accept", "release", "--response", "answer.tsr", "--tsa-certificate", "tsa/tsa.pem"]
    result = gatekeeper(*arguments)
    assert (result.code, "answers another query" in result.stderr) == (4, True)
    assert gatekeeper(*arguments[:-1], "tsa/tsa.key").code == 4
    assert gatekeeper(*arguments[:-1], "none.pem").code == 4
    shutil.copy("tsa/tsa.pem", "release/tsa.pem")
    inside = gatekeeper(*arguments[:-1], "release/tsa.pem")
    assert (inside.code, "lies inside the release" in inside.stderr) == (4, True)
    assert not Path("release/attestations/timestamps").exists()


@needs_openssl
def test_a_timestamp_covers_the_bytes_that_were_verified_not_those_that_are_there_later(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the folder while it is verified must not borrow another release's timestamp."""
    _, accepted = stamped(here)
    assert accepted.code == 0, accepted.stderr
    good = read_release(Path("release"), public_key=GATE)
    trust = read_trust(Path(trust_file(REVOKED, *CLOCK)))
    assert prove_time(Path("release"), trust=trust, message=good.signed).proven is not None
    theirs = read_release(write_sample(here, name="other"), public_key=GATE).signed
    assert prove_time(Path("release"), trust=trust, message=theirs).proven is None
