"""Certificates of signers: whose a key is and until when, by a chain up to one pinned authority, in order."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatekeeper.config import load_trust
from gatekeeper.config.yaml_tree import parse
from gatekeeper.core.trust import CertifiedKey, Distrust, TrustFile
from gatekeeper.errors import InternalError, SigningError, VerificationError
from gatekeeper.pipeline.trust import read_trust
from gatekeeper.signing.certificates import check_signing_chain, read_certified
from gatekeeper.signing.keys import signing_key
from tests.authorities import DAY, NOW, certificate, pem
from tests.config_files import file_of, problems_of
from tests.test_config_schema import as_json
from tests.test_config_trust import SCHEMA
from tests.trust_files import indented

ROOT_KEY, MIDDLE_KEY, LEAF_KEY, OTHER = (ec.derive_private_key(number, ec.SECP256R1()) for number in (11, 12, 13, 14))
FINGERPRINT = signing_key(LEAF_KEY).public.fingerprint
BEGINS, ENDS = NOW - DAY, NOW + 10 * DAY
ROOT = certificate(ROOT_KEY, "root", uses=(), authority=True, begins=NOW - 9 * DAY, ends=NOW + 90 * DAY)
MIDDLE = certificate(
    MIDDLE_KEY, "middle", uses=(), authority=True, issuer=(ROOT, ROOT_KEY), begins=NOW - 2 * DAY, ends=ENDS
)


def leaf(**changes: object) -> x509.Certificate:
    facts: dict[str, object] = {
        "key": LEAF_KEY,
        "name": "Dr. Weiß",
        "uses": (),
        "issuer": (MIDDLE, MIDDLE_KEY),
        "begins": BEGINS,
        "ends": NOW + 30 * DAY,
    }
    return certificate(**(facts | changes))  # type: ignore[arg-type]


LEAF = leaf()


def certified(*chain: x509.Certificate, authority: x509.Certificate = ROOT, **changes: object) -> CertifiedKey:
    facts: dict[str, object] = {
        "fingerprint": FINGERPRINT,
        "certificates": pem(*(chain or (LEAF, MIDDLE))),
        "authority": pem(authority),
        "roles": ("approver",),
    }
    return CertifiedKey(**(facts | changes))  # type: ignore[arg-type]


def text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_owner_and_validity_are_what_all_certificates_say_together() -> None:
    key = read_certified(certified())
    assert key.owner == "CN=Dr. Weiß"
    assert (key.valid_from, key.valid_until) == (text(BEGINS), text(ENDS))
    assert (key.fingerprint, key.roles) == (FINGERPRINT, ("approver",))


def test_the_authority_may_issue_directly() -> None:
    assert read_certified(certified(leaf(issuer=(ROOT, ROOT_KEY)))).owner == "CN=Dr. Weiß"


@pytest.mark.parametrize(
    ("now", "expected"),
    [(BEGINS - DAY, "not-yet-valid"), (BEGINS, None), (ENDS - DAY, None), (ENDS, "expired"), (ENDS + DAY, "expired")],
)
def test_a_certificate_outside_its_time_is_refused(now: datetime.datetime, expected: str | None) -> None:
    trust = TrustFile(keys=(read_certified(certified()),))
    answer = trust.judge(FINGERPRINT, role="approver", now=text(now))
    assert (answer.reason if isinstance(answer, Distrust) else None) == expected


STRANGER = certificate(OTHER, "root", uses=(), authority=True)
NO_ISSUER = certificate(MIDDLE_KEY, "middle", uses=(), issuer=(ROOT, ROOT_KEY))
P384 = ec.derive_private_key(5, ec.SECP384R1())


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (certified(LEAF), "don't lead to the authority"),
        (certified(MIDDLE, LEAF), "out of order"),
        (certified(LEAF, MIDDLE, ROOT), "out of order, or some are not needed"),
        (certified(LEAF, MIDDLE, STRANGER), "out of order, or some are not needed"),
        (certified(authority=STRANGER), "don't lead to the authority"),
        (certified(leaf(issuer=(MIDDLE, OTHER)), MIDDLE), "don't lead to the authority"),
        (certified(leaf(issuer=(NO_ISSUER, MIDDLE_KEY)), NO_ISSUER), "don't lead to the authority"),
        (certified(leaf(key=OTHER), MIDDLE), "has the fingerprint"),
        (certified(leaf(key=P384), MIDDLE), "not a P-256"),
        (certified(leaf(authority=True), MIDDLE), "not for signatures"),
        (certified(leaf(begins=NOW + 20 * DAY), MIDDLE), "never valid together"),
        (certified(authority=ROOT, certificates=pem(LEAF).replace("M", "A")), "no X.509 certificate"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(key: CertifiedKey, says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        read_certified(key)


def test_a_certificate_of_an_rsa_key_is_refused() -> None:
    private = rsa.generate_private_key(65537, 2048)
    with pytest.raises(VerificationError, match="not of a P-256 key"):
        read_certified(certified(leaf(key=private), MIDDLE))


def test_two_authorities_are_refused() -> None:
    with pytest.raises(VerificationError, match="one certificate, got 2"):
        read_certified(dataclasses.replace(certified(), authority=pem(ROOT, STRANGER)))


def test_nothing_is_judged_before_certificates_are_read() -> None:
    trust = TrustFile(keys=(), certified=(certified(),))
    with pytest.raises(InternalError, match="before the certificates"):
        trust.judge(FINGERPRINT, role="approver", now=text(NOW))


FILE = f"""\
apiVersion: gatekeeper/v1
kind: TrustFile
metadata: {{name: hospital}}
spec:
  keys:
    - fingerprint: {FINGERPRINT}
      roles: [approver]
      certificates: chain.pem
      authority: |
        {indented(pem(ROOT), by=8)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chain.pem").write_text(pem(LEAF, MIDDLE))
    return tmp_path


def test_an_entry_with_certificates_is_read_from_a_trust_file(folder: Path) -> None:
    path = file_of(folder, FILE)
    assert load_trust(path).keys == ()
    (key,) = read_trust(path).keys
    assert key.owner == "CN=Dr. Weiß"
    assert SCHEMA.is_valid(as_json(parse(path).root))


def test_a_chain_that_does_not_hold_names_the_trust_file(folder: Path) -> None:
    (folder / "chain.pem").write_text(pem(LEAF))
    with pytest.raises(VerificationError, match=rf"file\.yaml: key {FINGERPRINT}: the certificates don't lead"):
        read_trust(file_of(folder, FILE))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("      owner: somebody", "takes no owner: they say it"),
        ("      valid_until: 2099-01-01T00:00:00Z", "takes no valid_until: they say it"),
        ("      public_key: gate.pub", "takes no public_key: they say it"),
    ],
)
def test_what_certificates_say_can_not_be_said_again(folder: Path, line: str, says: str) -> None:
    path = file_of(folder, FILE + line + "\n")
    (problem,) = problems_of(load_trust, path)
    assert says in problem.message
    assert not SCHEMA.is_valid(as_json(parse(path).root))


def test_an_entry_with_certificates_needs_an_authority(folder: Path) -> None:
    path = file_of(folder, FILE[: FILE.index("      authority")])
    (problem,) = problems_of(load_trust, path)
    assert "missing key `authority`" in problem.message
    assert not SCHEMA.is_valid(as_json(parse(path).root))


PUBLIC = signing_key(LEAF_KEY).public


def check(*chain: x509.Certificate, now: datetime.datetime = NOW, **changes: object) -> None:
    facts: dict[str, object] = {"pem": pem(*chain).encode(), "public_key": PUBLIC, "now": now, "where": "chain.pem"}
    check_signing_chain(**(facts | changes))  # type: ignore[arg-type]


def test_a_key_signs_while_all_its_certificates_are_valid() -> None:
    check(LEAF, MIDDLE, ROOT)
    check(LEAF)
    check(LEAF, public_key=None)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (BEGINS - DAY / 2, "of CN=Dr. Weiß is not valid yet"),
        (ENDS + DAY, "of CN=middle has expired"),
        (NOW + 31 * DAY, "of CN=Dr. Weiß has expired"),
    ],
)
def test_nothing_is_signed_outside_the_time_of_any_certificate(now: datetime.datetime, says: str) -> None:
    with pytest.raises(SigningError, match=says):
        check(LEAF, MIDDLE, ROOT, now=now, public_key=None)


@pytest.mark.parametrize(
    "chain",
    [(LEAF, ROOT), (LEAF, ROOT, MIDDLE), (MIDDLE, LEAF), (leaf(issuer=(MIDDLE, OTHER)), MIDDLE), (LEAF, STRANGER)],
)
def test_nothing_is_signed_by_a_chain_that_is_out_of_order_or_not_issued(chain: tuple[x509.Certificate, ...]) -> None:
    with pytest.raises(SigningError, match="was not issued by the next one"):
        check(*chain)


def test_nothing_is_signed_with_the_certificate_of_another_key() -> None:
    with pytest.raises(SigningError, match=f"not of the key {PUBLIC.fingerprint}"):
        check(leaf(key=OTHER), MIDDLE)


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(SigningError, match=r"chain\.pem: holds no X\.509"):
        check(pem=b"nonsense")
