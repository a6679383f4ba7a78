"""Who may sign what: every obstacle, at its exact second, and that no claim of a signer ever helps."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.trust import Distrust, TrustedKey, TrustFile
from gatekeeper.core.trust_checks import canonical_pem
from gatekeeper.errors import InvalidValueError
from tests.trust_files import GATE, OFFICER, fingerprint_of, pem_of, trusted

KEY = trusted()
REVOKED = trusted(revoked_at="2030-06-01T00:00:00Z", revocation_reason="laptop stolen")
MAY = "2030-05-01T00:00:00Z"
JULY = "2030-07-01T00:00:00Z"


def reason(answer: TrustedKey | Distrust) -> str:
    return answer.reason if isinstance(answer, Distrust) else "trusted"


def judged(
    key: TrustedKey, *, now: str, claimed: str | None = None, proven: str | None = None, role: str = "release"
) -> str:
    return reason(TrustFile(keys=(key,)).judge(key.fingerprint, role=role, now=now, claimed=claimed, proven=proven))


def test_a_key_in_its_role_and_time_is_trusted() -> None:
    answer = TrustFile(keys=(trusted(OFFICER), KEY)).judge(KEY.fingerprint, role="release", now=MAY, claimed=MAY)
    assert answer == KEY


def test_an_unknown_key_is_refused_by_name() -> None:
    answer = TrustFile(keys=(KEY,)).judge(fingerprint_of(OFFICER), role="release", now=MAY)
    assert isinstance(answer, Distrust)
    assert answer.reason == "unknown"
    assert fingerprint_of(OFFICER) in str(answer)


def test_another_role_is_refused_with_both_roles() -> None:
    answer = TrustFile(keys=(KEY,)).judge(KEY.fingerprint, role="privacy-officer", now=MAY)
    assert isinstance(answer, Distrust)
    assert answer.reason == "wrong-role"
    assert "release; needed is privacy-officer" in str(answer)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2029-12-31T23:59:59Z", "not-yet-valid"),
        ("2030-01-01T00:00:00Z", "trusted"),
        ("2030-12-31T23:59:59Z", "trusted"),
        ("2031-01-01T00:00:00Z", "expired"),
    ],
)
def test_validity_begins_and_ends_at_its_second(now: str, expected: str) -> None:
    assert judged(KEY, now=now) == expected


def test_a_signature_outlives_its_key_only_with_a_timestamp() -> None:
    later = "2040-01-01T00:00:00Z"
    assert judged(KEY, now=later, claimed=MAY) == "expired"
    assert judged(KEY, now=later, claimed=MAY, proven=MAY) == "trusted"
    assert judged(KEY, now=later, claimed=MAY, proven="2031-01-01T00:00:00Z") == "expired"


def test_a_claim_outside_the_validity_is_refused_even_now() -> None:
    assert judged(KEY, now=MAY, claimed="2029-01-01T00:00:00Z") == "not-yet-valid"
    assert judged(KEY, now=MAY, claimed="2031-06-01T00:00:00Z") == "expired"


@pytest.mark.parametrize(
    ("proven", "expected"),
    [
        (None, "revoked"),
        ("2030-05-31T23:59:59Z", "trusted"),
        ("2030-06-01T00:00:00Z", "revoked"),
        (JULY, "revoked"),
    ],
)
def test_only_a_timestamp_before_the_revocation_helps(proven: str | None, expected: str) -> None:
    assert judged(REVOKED, now=JULY, claimed=MAY, proven=proven) == expected


def test_a_clock_that_was_set_back_does_not_undo_a_revocation() -> None:
    assert judged(REVOKED, now=MAY) == "revoked"


def test_the_reason_of_a_revocation_is_told() -> None:
    answer = TrustFile(keys=(REVOKED,)).judge(REVOKED.fingerprint, role="release", now=JULY)
    assert "2030-06-01T00:00:00Z (laptop stolen), and no trusted timestamp proves" in str(answer)


def test_a_key_without_dates_is_always_valid() -> None:
    assert judged(trusted(valid_from=None, valid_until=None), now="1999-01-01T00:00:00Z") == "trusted"


TIMES = st.datetimes(datetime.datetime(2029, 6, 1), datetime.datetime(2031, 6, 1)).map(
    lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")
)


@given(key=st.sampled_from([KEY, REVOKED]), now=TIMES, claimed=TIMES, proven=st.none() | TIMES)
def test_no_claim_of_the_signer_ever_helps(key: TrustedKey, now: str, claimed: str, proven: str | None) -> None:
    if judged(key, now=now, claimed=claimed, proven=proven) == "trusted":
        assert judged(key, now=now, proven=proven) == "trusted"


@given(now=TIMES, claimed=TIMES, proven=st.none() | TIMES)
def test_a_revocation_only_ever_takes_trust_away(now: str, claimed: str, proven: str | None) -> None:
    if judged(REVOKED, now=now, claimed=claimed, proven=proven) == "trusted":
        assert judged(KEY, now=now, claimed=claimed, proven=proven) == "trusted"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fingerprint": fingerprint_of(OFFICER)}, "has the fingerprint"),
        ({"fingerprint": "abc"}, "SHA-256"),
        ({"public_key": GATE.replace("\n", "\r\n")}, "canonical"),
        ({"owner": " "}, "owner"),
        ({"roles": ()}, "at least one role"),
        ({"roles": ("release", "release")}, "none twice"),
        ({"roles": ("Release",)}, "lower case"),
        ({"valid_from": "2031-01-01T00:00:00Z"}, "must be before"),
        ({"valid_from": "2030-02-30T00:00:00Z"}, "a time that exists"),
        ({"valid_until": "2031-01-01"}, "UTC time"),
        ({"revoked_at": MAY}, "both its time and its reason"),
        ({"revocation_reason": "lost"}, "both its time and its reason"),
    ],
)
def test_an_entry_that_can_not_be_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        trusted(**changes)


def test_a_key_has_one_entry() -> None:
    with pytest.raises(InvalidValueError, match="occurs twice"):
        TrustFile(keys=(KEY, dataclasses.replace(KEY, roles=("approver",))))


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="a time that exists"):
        judged(KEY, now="2030-13-01T00:00:00Z")


@given(st.integers(1, 2**64))
def test_pem_is_canonical_as_the_library_writes_it(number: int) -> None:
    pem = pem_of(number)
    assert canonical_pem(pem) == canonical_pem("\n" + pem.replace("\n", "\r\n")) == pem


@pytest.mark.parametrize(
    "pem", ["", "x", GATE[:100], GATE.replace("PUBLIC", "EC"), GATE + GATE, GATE.replace("M", "*")]
)
def test_what_is_no_public_key_is_refused(pem: str) -> None:
    with pytest.raises(InvalidValueError, match="not the PEM of a P-256"):
        canonical_pem(pem)


def test_a_private_key_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidValueError, match="is a private key") as caught:
        canonical_pem("-----BEGIN PRIVATE KEY-----\nAAAASECRET\n-----END PRIVATE KEY-----")
    assert "SECRET" not in str(caught.value)
