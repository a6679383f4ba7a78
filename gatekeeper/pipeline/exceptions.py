"""What a certificate says of locks and waivers, looked at again when it is verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.certificate import Certificate
from gatekeeper.core.trust import TrustFile
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.endorsing import approver_of, lock_of
from gatekeeper.pipeline.locking import lock_text
from gatekeeper.pipeline.reports import by_this_version
from gatekeeper.pipeline.waiving import expiry_warnings

if TYPE_CHECKING:
    from gatekeeper.signing.layout import SideFile

_WHERE = "attestations/certificate.sigstore.json"
_UNTRUSTED = "its signature is not looked at, for no trust file was given"


def lock_files(certificate: Certificate) -> tuple[SideFile, ...]:
    """The lock as it travels with a release, where there is one; the certificate's `files` are not read."""
    from gatekeeper.signing.layout import SideFile

    lock = certificate.facts.lock
    if lock is None:
        return ()
    return (SideFile(name="policy.lock.yaml", content=lock_text(lock, certificate.policy).encode()),)


def check_lock_file(directory: Path, certificate: Certificate) -> None:
    """The lock beside the certificate is the one that it states; of another version its layout may differ.

    Raises:
        VerificationError: it is missing, was added, or says something else.
    """
    from gatekeeper.signing.layout import LOCK_FILE

    expected = lock_files(certificate)
    if (LOCK_FILE in {file.name for file in certificate.files}) != bool(expected):
        state = "binds no lock, and states one" if expected else "binds a lock, and states none"
        raise VerificationError(state, where=_WHERE)
    for file in expected if by_this_version(certificate) else ():
        if (directory / file.path).read_bytes() != file.content:
            raise VerificationError("is not the lock that the certificate states", where=file.path)


def check_lock(
    certificate: Certificate, *, signer: str, trust: TrustFile | None, now: str, proven: str | None = None
) -> str:
    """What is known of the lock on the policy.

    Args:
        certificate: its policy and facts.
        signer: fingerprint of the key that signed the release.
        trust: whose keys may lock policies, or None.
        now: UTC time of the verification.
        proven: UTC time at which a trusted timestamp proves that the release existed, or None; it speaks for keys, and
            prolongs no waiver.

    Raises:
        VerificationError: the releaser locked the policy, or the lock can't be believed.
    """
    lock = certificate.facts.lock
    if lock is None:
        return "the policy was not locked before the run"
    if lock.locker == signer:
        raise VerificationError(f"the key {signer} locked the policy and signed the release", where=_WHERE)
    said = f"locked by key {lock.locker} before the run was counted; by its own clock, which proves nothing, at "
    if trust is None:
        return f"{said}{lock.claimed}; {_UNTRUSTED}"
    found = lock_of(
        lock.bundle.encode(), certificate.policy, trust=trust, now=now, proven=proven, where=f"{_WHERE} (lock)"
    )
    releaser, locker = trust.find(signer), trust.find(lock.locker)
    if releaser is not None and locker is not None and releaser.owner == locker.owner:
        raise VerificationError(f"{locker.owner} locked the policy and signed the release", where=_WHERE)
    if found != lock:
        raise VerificationError("the lock is not the one that its signature is on", where=_WHERE)
    return f"{said}{lock.claimed}; its signature holds, and the key may lock policies"


def check_waivers(
    certificate: Certificate, *, signer: str, trust: TrustFile | None, now: str, proven: str | None = None
) -> str:
    """What is known of the waivers that the approval rests on; the gate asks whether each applied when it was judged.

    Args:
        certificate: its approval and facts.
        signer: fingerprint of the key that signed the release.
        trust: whose keys may sign waivers, or None.
        now: UTC time of the verification.
        proven: UTC time at which a trusted timestamp proves that the release existed, or None; it speaks for keys, and
            prolongs no waiver.

    Raises:
        VerificationError: a waiver has expired, was not presented when the release was judged, or can't be believed.
    """
    waivers = certificate.facts.waivers
    if not waivers:
        return "none were used"
    for each in waivers:
        waiver = each.waiver
        if now > waiver.end:
            raise VerificationError(
                f"rests on waiver {waiver.id} for {waiver.rule}, which expired at the end of {waiver.expires} (UTC); "
                f"it is {now}",
                where=_WHERE,
                hint="mend the model, or have it certified again with a waiver that holds",
            )
        if each.presented != certificate.created:
            raise VerificationError(
                f"waiver {waiver.id} was presented at {each.presented}, and the release judged at "
                f"{certificate.created}",
                where=_WHERE,
            )
        if each.signer == signer:
            raise VerificationError(f"the key {signer} signed waiver {waiver.id} and the release", where=_WHERE)
        if trust is not None and each.bundle is not None:
            where = f"{_WHERE} (waiver {waiver.id})"
            approver = approver_of(each.bundle.encode(), waiver, trust=trust, now=now, proven=proven, where=where)
            if approver != each.signer:
                raise VerificationError(f"key {approver} signed it, the certificate says {each.signer}", where=where)
    signed = {each.waiver.id for each in waivers if each.signer is not None}
    named = "; ".join(
        f"{use.id} for {use.rule} until the end of {use.expires} (UTC), "
        f"{'approved by' if use.id in signed else 'UNSIGNED, names as its approver'} {use.approver}"
        for use in certificate.approval.waivers
    )
    seen = _UNTRUSTED if trust is None else f"{len(signed)} signatures hold"
    warnings = "".join(f"; WARNING: {warning}" for warning in expiry_warnings(certificate.approval.waivers, now=now))
    return f"{len(waivers)} used: {named}; {seen}{warnings}"
