"""A lock on a policy: somebody other than the releaser signed its digest before the run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gatekeeper.core.checks import check_integer, check_sha256, check_text, check_utc_time
from gatekeeper.errors import InvalidValueError

LOCK_TYPE = "urn:gatekeeper:policy-lock:v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockNote:
    """What a ledger keeps of a lock.

    Attributes:
        sha256: digest of the signed bundle.
        locker: fingerprint of the key that signed it.
        claimed: UTC time at which the locker says that it was signed: its own clock, which proves nothing.
    """

    sha256: str
    locker: str
    claimed: str

    def __post_init__(self) -> None:
        check_sha256(sha256=self.sha256)
        check_sha256(locker=self.locker)
        check_utc_time(claimed=self.claimed)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyLock:
    """A lock whose signature was verified, by a key that is trusted to lock policies.

    Attributes:
        policy_digest: SHA-256 of the canonical form of the policy that is locked.
        locker: fingerprint of the key.
        claimed: UTC time that the locker claims.
        bundle: the signed bundle, for whoever verifies it again.
    """

    policy_digest: str
    locker: str
    claimed: str
    bundle: str

    def __post_init__(self) -> None:
        check_sha256(policy_digest=self.policy_digest)
        check_sha256(locker=self.locker)
        check_utc_time(claimed=self.claimed)
        check_text(bundle=self.bundle.removesuffix("\n"))

    @property
    def note(self) -> LockNote:
        """What a ledger keeps of it."""
        found = hashlib.sha256(self.bundle.encode()).hexdigest()
        return LockNote(sha256=found, locker=self.locker, claimed=self.claimed)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockFile:
    """A lock as it lies in a file; nothing of it is verified.

    Attributes:
        name: the policy's name, for people.
        version: the policy's version, likewise.
        policy_digest: what the file says is locked.
        canonical: the policy's canonical form.
        bundle: the signed bundle.
    """

    name: str
    version: int
    policy_digest: str
    canonical: str
    bundle: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_integer(version=self.version, at_least=1)
        check_sha256(policy_digest=self.policy_digest)
        found = hashlib.sha256(self.canonical.encode()).hexdigest()
        if found != self.policy_digest:
            raise InvalidValueError(
                f"the canonical form in the lock has digest {found}, the lock says {self.policy_digest}"
            )
        check_text(bundle=self.bundle.removesuffix("\n"))
