"""A person's decision on a release: signed with the person's own key, and put beside what the gate signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.countersignature import Countersignature, Decision
from gatekeeper.core.trust import RELEASE, Distrust
from gatekeeper.errors import SigningError
from gatekeeper.pipeline.trust import read_trust, utc_now
from gatekeeper.pipeline.verification import verify

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey


def approve(
    directory: Path,
    *,
    key: SigningKey,
    trust: Path,
    policy_digest: str | None,
    role: str,
    decision: Decision,
    comment: str | None,
) -> Path:
    """Countersign a release, once everything in it verifies.

    Args:
        directory: the release.
        key: the person's.
        trust: the trust file: names the person, what the key may sign as, and whose release it must be.
        policy_digest: SHA-256 of the policy that must have passed, or None for any.
        role: as what the person decides.
        decision: what.
        comment: why, or None.

    Returns:
        The file that was added, in the release's folder of approvals.

    Raises:
        ConfigError: the trust file has mistakes.
        SigningError: the key may not sign in this role, signs releases, or nothing can be written.
        VerificationError: the release does not verify.
    """
    from gatekeeper.signing.additions import add
    from gatekeeper.signing.countersignatures import countersign

    release = verify(directory, trust=trust, policy_digest=policy_digest).release
    now, fingerprint = utc_now(), key.public.fingerprint
    answer = read_trust(trust).judge(fingerprint, role=role, now=now)
    if isinstance(answer, Distrust):
        raise SigningError(answer.explanation, where=str(trust), hint="ask whoever keeps the trust file")
    if RELEASE in answer.roles:
        raise SigningError(
            f"key {fingerprint} ({answer.owner}) may sign releases: the gate can't countersign its own verdict",
            where=str(trust),
            hint="use a key of the person's own",
        )
    if now < release.certificate.created:
        raise SigningError(
            f"the release says that it was made at {release.certificate.created}, and it is {now}: your decision would "
            "be older than what it is about",
            hint="set the clock, or wait",
        )
    made = Countersignature(
        role=role,
        decision=decision,
        person=answer.owner,
        comment=comment,
        decided=now,
        certificate_digest=release.certificate_digest,
    )
    return add(directory, countersign(made, subjects=release.subjects, key=key))
