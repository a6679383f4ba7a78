"""Locks on policies: made before a run by somebody who does not release, and read where a run is certified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.codec import decode, digest, encode
from gatekeeper.core.lock import LockFile, PolicyLock
from gatekeeper.core.policy import Policy
from gatekeeper.core.policy_order import compare
from gatekeeper.core.trust import TrustFile
from gatekeeper.errors import InvalidInputError, InvalidValueError, VerificationError
from gatekeeper.pipeline.endorsing import lock_of
from gatekeeper.pipeline.trust import utc_now

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey

_MOST_SHOWN = 5


def lock_policy(policy: Policy, *, key: SigningKey) -> str:
    """The text of a lock file: the policy's canonical form, and a signature over its digest and the present time."""
    from gatekeeper.config import render_lock
    from gatekeeper.signing.dsse import sign_statement
    from gatekeeper.signing.endorsements import lock_statement

    bundle = sign_statement(lock_statement(policy, claimed=utc_now()), key=key)
    return render_lock(
        LockFile(
            name=policy.name,
            version=policy.version,
            policy_digest=digest(policy),
            canonical=encode(policy),
            bundle=bundle.decode(),
        )
    )


def lock_text(lock: PolicyLock, policy: Policy) -> str:
    """A verified lock as the text of a lock file: what travels with a release."""
    from gatekeeper.config import render_lock

    return render_lock(
        LockFile(
            name=policy.name,
            version=policy.version,
            policy_digest=lock.policy_digest,
            canonical=encode(policy),
            bundle=lock.bundle,
        )
    )


def read_lock(path: Path, policy: Policy, *, trust: TrustFile) -> PolicyLock:
    """A lock on this very policy, by a key that may lock policies.

    Raises:
        ConfigError: the lock file has mistakes.
        InvalidInputError: it locks another policy (both digests are named, and what differs), or can't be believed.
    """
    from gatekeeper.config import load_lock

    lock, where = load_lock(path), str(path)
    if lock.policy_digest != digest(policy):
        raise InvalidInputError(
            f"the lock is on the policy with digest {lock.policy_digest}, the policy given has {digest(policy)}"
            f"{_what_differs(lock, policy)}",
            where=where,
            hint="certify with the policy that was locked, or have this one locked before the run",
        )
    try:
        return lock_of(lock.bundle.encode(), policy, trust=trust, now=utc_now(), where=where)
    except VerificationError as error:
        raise InvalidInputError(f"the lock can't be believed: {error.message}", where=where, hint=error.hint) from error


def _what_differs(lock: LockFile, policy: Policy) -> str:
    """The first differences from the locked policy, where this version of gatekeeper can read that."""
    try:
        locked = decode(lock.canonical, Policy)
    except InvalidValueError:
        return ""
    changes = [change for change in compare(locked, policy).changes if change.kind != "described"]
    if not changes:
        return "; they differ in names, owners, order or parents alone"
    shown = [f"{each.where} {each.kind}, {each.before} → {each.after}" for each in changes[:_MOST_SHOWN]]
    more = "" if len(changes) <= _MOST_SHOWN else f", and {len(changes) - _MOST_SHOWN} more"
    return f"; since the lock: {'; '.join(shown)}{more}"
