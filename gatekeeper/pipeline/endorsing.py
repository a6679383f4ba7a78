"""What others than the releaser vouch for: locks on policies and waivers, signed, and judged by a trust file."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.policy import Policy
from gatekeeper.core.trust import POLICY, RELEASE, Distrust, TrustedKey, TrustFile
from gatekeeper.core.waiver import APPROVER, PresentedWaiver, Waiver
from gatekeeper.errors import VerificationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Endorsed:
    """What a run is judged with besides its evidence.

    Attributes:
        lock: the lock on its policy, or None.
        waivers: those that are presented.
    """

    lock: PolicyLock | None = None
    waivers: tuple[PresentedWaiver, ...] = ()


NOTHING = Endorsed()


def lock_of(
    bundle: bytes, policy: Policy, *, trust: TrustFile, now: str, where: str, proven: str | None = None
) -> PolicyLock:
    """A lock, once its signature is known to be by a key that may lock policies, and releases nothing.

    Args:
        bundle: the signed bundle.
        policy: what it must lock.
        trust: whose keys may lock policies.
        now: UTC time at which this is asked.
        where: the file, for messages.
        proven: UTC time at which a trusted timestamp proves that the signature existed, or None.

    Raises:
        VerificationError: naming what can't be believed.
    """
    from gatekeeper.core.codec import digest
    from gatekeeper.signing.endorsements import check_payload, claimed_time, lock_statement, named_key, open_bundle

    fingerprint = named_key(bundle, where=where)
    key = _trusted(trust, fingerprint, role=POLICY, now=now, proven=proven, where=where)
    payload = open_bundle(bundle, public_key=key.public_key, where=where)
    claimed = claimed_time(payload, where=where)
    check_payload(payload, lock_statement(policy, claimed=claimed), what="policy", where=where)
    _trusted(trust, fingerprint, role=POLICY, now=now, claimed=claimed, proven=proven, where=where)
    if RELEASE in key.roles:
        raise VerificationError(
            f"key {fingerprint} ({key.owner}) may sign releases, too: whoever releases can't lock the policy",
            where=where,
            hint="lock with a key that the trust file gives the role policy and not the role release",
        )
    return PolicyLock(policy_digest=digest(policy), locker=fingerprint, claimed=claimed, bundle=bundle.decode())


def approver_of(
    bundle: bytes, waiver: Waiver, *, trust: TrustFile, now: str, where: str, proven: str | None = None
) -> str:
    """The fingerprint of the approver's key that signed a waiver.

    Args:
        bundle: the signed bundle.
        waiver: what it must be about, word for word.
        trust: whose keys may sign waivers.
        now: UTC time at which this is asked.
        where: the file, for messages.
        proven: UTC time at which a trusted timestamp proves that the signature existed, or None.

    Raises:
        VerificationError: naming what can't be believed.
    """
    from gatekeeper.signing.endorsements import check_payload, named_key, open_bundle, waiver_statement

    fingerprint = named_key(bundle, where=where)
    key = _trusted(trust, fingerprint, role=APPROVER, now=now, proven=proven, where=where)
    payload = open_bundle(bundle, public_key=key.public_key, where=where)
    check_payload(payload, waiver_statement(waiver), what="waiver", where=where)
    if RELEASE in key.roles:
        raise VerificationError(
            f"key {fingerprint} ({key.owner}) may sign releases, too: whoever releases can't waive a rule",
            where=where,
            hint="have a key sign that the trust file gives the role approver and not the role release",
        )
    if key.owner != waiver.approver:
        raise VerificationError(
            f"was signed with a key of {key.owner!r}, and names {waiver.approver!r} as its approver",
            where=where,
            hint="whoever approves signs: write the owner of the key as the trust file does",
        )
    return fingerprint


def _trusted(
    trust: TrustFile,
    fingerprint: str,
    *,
    role: str,
    now: str,
    where: str,
    claimed: str | None = None,
    proven: str | None = None,
) -> TrustedKey:
    try:
        answer = trust.judge(fingerprint, role=role, now=now, claimed=claimed, proven=proven)
    except ValueError as error:
        raise VerificationError(f"claims a time that is none: {error}", where=where) from error
    if isinstance(answer, Distrust):
        raise VerificationError(answer.explanation, where=where, hint="ask whoever keeps the trust file")
    return answer
