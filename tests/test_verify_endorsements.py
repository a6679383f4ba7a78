"""`verify` on releases that rest on locks and waivers: the same gate once more, and the last day by its own clock."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gatekeeper.config import load_lock, load_waivers
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.codec import canonical, decode, plain
from gatekeeper.core.policy import Policy, WaiverTerms
from gatekeeper.core.trust import TrustFile
from gatekeeper.core.verdict import Refusal
from gatekeeper.errors import InvalidValueError, VerificationError
from gatekeeper.gate import decide
from gatekeeper.pipeline import locking, waiving
from gatekeeper.pipeline.endorsing import Endorsed
from gatekeeper.pipeline.exceptions import check_lock, check_lock_file, check_waivers, lock_files
from gatekeeper.pipeline.locking import lock_policy, read_lock
from gatekeeper.pipeline.trust import read_trust
from gatekeeper.pipeline.verification import recompute
from gatekeeper.pipeline.waiving import read_waivers, sign_waiver
from gatekeeper.signing.layout import digests_of
from gatekeeper.signing.predicates import POLICY_PASSED, WAIVERS_USED, passed_properties
from gatekeeper.version import __version__
from tests.coherent import certify, coherent_policy
from tests.endorsements import APPROVER_KEY, LOCK_KEY, RELEASE_KEY, trust_file, waiver_lines, waivers_file

NOW = "2030-01-10T12:00:00Z"
SIGNER = RELEASE_KEY.public.fingerprint


def waived_policy() -> Policy:
    """The drop, of which the evidence shows at most 0.05, may be 0.04."""
    policy = coherent_policy()
    rules = tuple(dataclasses.replace(rule, max_drop=0.04) if rule.id == "drop" else rule for rule in policy.rules)
    return dataclasses.replace(policy, rules=rules, waivers=WaiverTerms(max_days=90), require_lock=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endorsed")


@pytest.fixture(scope="module")
def trust(folder: Path) -> TrustFile:
    return read_trust(trust_file(folder))


@pytest.fixture(scope="module")
def certificate(folder: Path, trust: TrustFile) -> Certificate:
    """Locked, and approved with a waiver of the drop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiving, "utc_now", lambda: NOW)
        patch.setattr(locking, "utc_now", lambda: NOW)
        policy = waived_policy()
        path = waivers_file(folder, waiver_lines(policy, ceiling="0.06"))
        for written in load_waivers(path):
            sign_waiver(path, written.waiver.id, key=APPROVER_KEY)
        lock = folder / "policy.lock.yaml"
        lock.write_text(lock_policy(policy, key=LOCK_KEY), encoding="utf-8")
        endorsed = Endorsed(
            lock=read_lock(lock, policy, trust=trust), waivers=read_waivers(path, policy, model="tiny", trust=trust)
        )
    return certify(policy, created=NOW, endorsed=endorsed)


def with_waiver(certificate: Certificate, **changes: object) -> Certificate:
    (waiver,) = certificate.facts.waivers
    other = dataclasses.replace(waiver, waiver=dataclasses.replace(waiver.waiver, **changes))  # type: ignore[arg-type]
    return dataclasses.replace(certificate, facts=dataclasses.replace(certificate.facts, waivers=(other,)))


def test_the_verdict_is_reached_again_with_the_certificates_waivers(certificate: Certificate) -> None:
    assert recompute(certificate)[-1].detail == "8 findings recomputed, 7 passed, 1 WAIVED"
    assert [use.id for use in certificate.approval.waivers] == ["W-1"]
    assert decode(canonical(plain(certificate)), Certificate) == certificate


def test_without_its_waiver_or_with_a_lower_ceiling_the_facts_do_not_support_it(certificate: Certificate) -> None:
    bare = dataclasses.replace(certificate, facts=dataclasses.replace(certificate.facts, waivers=()))
    with pytest.raises(VerificationError, match=r"recomputed Refusal \(drop\)"):
        recompute(bare)
    assert isinstance(decide(certificate.policy, with_waiver(certificate, ceiling=0.045).facts), Refusal)


def test_an_approval_that_names_another_waiver_is_refused(certificate: Certificate) -> None:
    use = dataclasses.replace(certificate.approval.waivers[0], expires="2031-01-01")
    approval = dataclasses.replace(certificate.approval, waivers=(use,))
    with pytest.raises(VerificationError, match=r"waivers\[0\]\.expires"):
        recompute(dataclasses.replace(certificate, approval=approval))


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ("2030-01-11T00:00:00Z", ""),
        ("2030-01-20T00:00:00Z", "within 14 days"),
        ("2030-02-01T23:59:59Z", "within 7 days"),
    ],
)
def test_until_its_last_second_the_release_verifies_and_warns(
    certificate: Certificate, trust: TrustFile, now: str, says: str
) -> None:
    detail = check_waivers(certificate, signer=SIGNER, trust=trust, now=now)
    assert "W-1 for drop until the end of 2030-02-01 (UTC), approved by Dr. Weiß; 1 signatures hold" in detail
    assert ("WARNING" in detail, says in detail) == (bool(says), True)


def test_afterwards_it_does_not_whatever_a_timestamp_proves(certificate: Certificate, trust: TrustFile) -> None:
    for proven in (None, NOW):
        with pytest.raises(VerificationError, match=r"expired at the end of 2030-02-01 \(UTC\); it is 2030-02-02"):
            check_waivers(certificate, signer=SIGNER, trust=trust, now="2030-02-02T00:00:00Z", proven=proven)


def test_an_approver_who_is_not_trusted_any_more_is_refused(certificate: Certificate, folder: Path) -> None:
    later = folder / "later"
    later.mkdir()
    revoked = read_trust(trust_file(later, approver="revoked: {at: 2030-01-11T00:00:00Z, reason: left}"))
    with pytest.raises(VerificationError, match="was revoked as of"):
        check_waivers(certificate, signer=SIGNER, trust=revoked, now="2030-01-12T00:00:00Z")
    assert "used" in check_waivers(certificate, signer=SIGNER, trust=revoked, now="2030-01-12T00:00:00Z", proven=NOW), (
        "older, proven"
    )
    assert "no trust file was given" in check_waivers(certificate, signer=SIGNER, trust=None, now=NOW)


def test_a_waiver_that_was_changed_after_signing_or_shown_at_another_time_is_refused(
    certificate: Certificate, trust: TrustFile
) -> None:
    with pytest.raises(VerificationError, match="the signature is not on this waiver"):
        check_waivers(with_waiver(certificate, expires="2030-12-31"), signer=SIGNER, trust=trust, now=NOW)
    with pytest.raises(VerificationError, match="was presented at"):
        check_waivers(
            dataclasses.replace(certificate, created="2030-01-11T00:00:00Z"), signer=SIGNER, trust=trust, now=NOW
        )


def test_whoever_released_can_t_have_waived_or_locked_whatever_the_key(
    certificate: Certificate, trust: TrustFile, folder: Path
) -> None:
    with pytest.raises(VerificationError, match="signed waiver W-1 and the release"):
        check_waivers(certificate, signer=APPROVER_KEY.public.fingerprint, trust=trust, now=NOW)
    one_owner = folder / "one-owner"
    one_owner.mkdir()
    path = trust_file(one_owner)
    path.write_text(path.read_text(encoding="utf-8").replace("owner: compliance", "owner: the gate"), encoding="utf-8")
    with pytest.raises(VerificationError, match="the gate locked the policy and signed the release"):
        check_lock(certificate, signer=SIGNER, trust=read_trust(path), now=NOW)


def test_an_unsigned_waiver_is_not_called_approved(certificate: Certificate, trust: TrustFile) -> None:
    unsigned = tuple(dataclasses.replace(each, signer=None, bundle=None) for each in certificate.facts.waivers)
    facts = dataclasses.replace(certificate.facts, waivers=unsigned)
    detail = check_waivers(dataclasses.replace(certificate, facts=facts), signer=SIGNER, trust=trust, now=NOW)
    assert "UNSIGNED, names as its approver Dr. Weiß; 0 signatures hold" in detail


def test_the_simple_result_claims_no_waived_rule_and_says_that_waivers_were_used(certificate: Certificate) -> None:
    properties = passed_properties(certificate)
    assert properties[:2] == (POLICY_PASSED, WAIVERS_USED)
    assert "GATEKEEPER_ACCURACY" in properties
    assert "GATEKEEPER_DROP" not in properties


def test_a_lock_is_checked_again_where_there_is_a_trust_file(
    certificate: Certificate, trust: TrustFile, folder: Path
) -> None:
    known = check_lock(certificate, signer=SIGNER, trust=trust, now=NOW)
    assert "may lock policies" in known
    assert LOCK_KEY.public.fingerprint in known
    assert "no trust file was given" in check_lock(certificate, signer=SIGNER, trust=None, now=NOW)
    with pytest.raises(VerificationError, match="locked the policy and signed the release"):
        check_lock(certificate, signer=LOCK_KEY.public.fingerprint, trust=trust, now=NOW)
    other = folder / "other"
    other.mkdir()
    wrong = read_trust(trust_file(other, policy_roles="[approver]"))
    with pytest.raises(VerificationError, match="needed is policy"):
        check_lock(certificate, signer=SIGNER, trust=wrong, now=NOW)


def test_a_lock_on_another_policy_supports_nothing(certificate: Certificate, trust: TrustFile) -> None:
    other = dataclasses.replace(certificate, policy=dataclasses.replace(certificate.policy, version=2))
    with pytest.raises(VerificationError, match="the signature is not on this policy"):
        check_lock(other, signer=SIGNER, trust=trust, now=NOW)
    with pytest.raises(InvalidValueError, match="the lock is on the policy with digest"):
        decide(other.policy, other.facts)


def test_the_lock_travels_with_the_release_and_is_the_one_that_is_stated(
    certificate: Certificate, tmp_path: Path
) -> None:
    (file,) = lock_files(certificate)
    path = tmp_path / file.path
    path.parent.mkdir()
    path.write_bytes(file.content)
    assert load_lock(path).bundle == certificate.facts.lock.bundle  # type: ignore[union-attr]
    ours = dataclasses.replace(certificate, gatekeeper_version=__version__)
    bound = dataclasses.replace(ours, files=digests_of((file,)))
    check_lock_file(tmp_path, bound)
    with pytest.raises(VerificationError, match="binds no lock, and states one"):
        check_lock_file(tmp_path, ours)
    facts = dataclasses.replace(bound.facts, lock=None, ledger=dataclasses.replace(bound.facts.ledger, lock=None))
    with pytest.raises(VerificationError, match="binds a lock, and states none"):
        check_lock_file(tmp_path, dataclasses.replace(bound, facts=facts))
    path.write_bytes(file.content.replace(b"proves nothing", b"proves it all"))
    with pytest.raises(VerificationError, match="is not the lock that the certificate states"):
        check_lock_file(tmp_path, bound)
