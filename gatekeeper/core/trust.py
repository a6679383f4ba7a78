"""Whose keys are trusted, for what and when: the nouns of a trust file, and the one question that it answers.

A signer can claim any time, so a claim never makes a signature better. What can:

- The clock of whoever verifies says that a signature was made by now. A key is therefore judged by the present.
- A trusted timestamp (RFC 3161) proves that a signature existed at its time. Then the key is judged by that time.

So a signature outlives its key only with a timestamp. An entry with a revocation is refused whatever the clock says,
unless a timestamp proves that the signature is older than the revocation. Whoever revokes a key that was stolen writes
the earliest time at which it may have been in other hands, not the time at which that was noticed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.checks import check_sha256, check_text, check_tuple, check_utc_time
from gatekeeper.core.trust_checks import canonical_pem, check_revocation, check_role, check_roles
from gatekeeper.core.trusted_certificates import CertifiedKey, TimestampAuthority
from gatekeeper.errors import InternalError, InvalidValueError

__all__ = ["POLICY", "RELEASE", "CertifiedKey", "Distrust", "Reason", "TimestampAuthority", "TrustFile", "TrustedKey"]

Reason = Literal["unknown", "wrong-role", "revoked", "not-yet-valid", "expired"]

RELEASE = "release"
POLICY = "policy"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedKey:
    """One key: whose it is, and what its signatures count for.

    Attributes:
        fingerprint: hex SHA-256 of `public_key`.
        public_key: its SubjectPublicKeyInfo as canonical PEM; P-256.
        owner: who holds it: a person, or an office.
        roles: what it may sign, such as `release`, `policy`, `approver`, `privacy-officer`; at least one.
        valid_from: UTC time from which it is valid, or None.
        valid_until: UTC time at which it stops being valid, or None.
        revoked_at: UTC time from which its signatures may be somebody else's, or None.
        revocation_reason: why; goes with `revoked_at`.
    """

    fingerprint: str
    public_key: str
    owner: str
    roles: tuple[str, ...]
    valid_from: str | None = None
    valid_until: str | None = None
    revoked_at: str | None = None
    revocation_reason: str | None = None

    def __post_init__(self) -> None:
        check_sha256(fingerprint=self.fingerprint)
        if canonical_pem(self.public_key) != self.public_key:
            raise InvalidValueError("public_key must be canonical PEM")
        found = hashlib.sha256(self.public_key.encode()).hexdigest()
        if found != self.fingerprint:
            raise InvalidValueError(
                f"the public key has the fingerprint {found}, not {self.fingerprint}",
                hint="compare both with the key's owner before you change either",
            )
        check_text(owner=self.owner)
        check_roles(self.roles)
        for name in ("valid_from", "valid_until"):
            if getattr(self, name) is not None:
                check_utc_time(**{name: getattr(self, name)})
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise InvalidValueError(f"valid_from {self.valid_from} must be before valid_until {self.valid_until}")
        check_revocation(at=self.revoked_at, reason=self.revocation_reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distrust:
    """Why a key may not act in a role.

    Attributes:
        fingerprint: the key.
        role: what it was to act as.
        reason: the kind of obstacle.
        explanation: one sentence for people, naming the key.
    """

    fingerprint: str
    role: str
    reason: Reason
    explanation: str

    def __str__(self) -> str:
        return self.explanation


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustFile:
    """Every key and every clock that whoever verifies trusts.

    Attributes:
        keys: in the file's order; no key twice.
        timestamp_authorities: whose timestamps prove a time.
        certified: keys whose owner and validity are still to be read from their certificates. Until they are among
            `keys`, nothing is judged.
    """

    keys: tuple[TrustedKey, ...]
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()
    certified: tuple[CertifiedKey, ...] = ()

    def __post_init__(self) -> None:
        check_tuple(keys=self.keys, of=TrustedKey)
        check_tuple(timestamp_authorities=self.timestamp_authorities, of=TimestampAuthority)
        check_tuple(certified=self.certified, of=CertifiedKey)
        fingerprints = [*(key.fingerprint for key in self.keys), *(key.fingerprint for key in self.certified)]
        for fingerprint in fingerprints:
            if fingerprints.count(fingerprint) > 1:
                raise InvalidValueError(f"key {fingerprint} occurs twice; one entry says all of it")

    def find(self, fingerprint: str) -> TrustedKey | None:
        """The key of that fingerprint, whatever its state."""
        return next((key for key in self.keys if key.fingerprint == fingerprint), None)

    def judge(
        self, fingerprint: str, *, role: str, now: str, claimed: str | None = None, proven: str | None = None
    ) -> TrustedKey | Distrust:
        """The key that signed, if it may act in a role; otherwise why not.

        Args:
            fingerprint: the key whose signature has been, or will be, verified.
            role: what it is to act as.
            now: UTC time at which somebody verifies.
            claimed: UTC time at which the signer says that it signed; it can only make the answer stricter.
            proven: UTC time at which a trusted timestamp proves that the signature existed. The caller has
                verified the timestamp, and that it covers this signature.

        Raises:
            InvalidValueError: a time is not one.
        """
        if self.certified:
            raise InternalError("a trust file was asked before the certificates in it were read")
        check_role(role=role)
        times = tuple(time for time in (claimed, now if proven is None else proven) if time is not None)
        for time in (now, *times):
            check_utc_time(time=time)
        key = self.find(fingerprint)
        if key is None:
            return _distrust(fingerprint, role, "unknown", f"key {fingerprint} is not in the trust file")
        if role not in key.roles:
            problem = f"its roles are {', '.join(key.roles)}; needed is {role}"
            return _distrust(fingerprint, role, "wrong-role", f"{_named(key)} may not sign this: {problem}")
        if key.revoked_at is not None and (proven is None or proven >= key.revoked_at):
            proof = "no trusted timestamp proves" if proven is None else f"the timestamp of {proven} does not prove"
            problem = f"{key.revoked_at} ({key.revocation_reason}), and {proof} that the signature is older"
            return _distrust(fingerprint, role, "revoked", f"{_named(key)} was revoked as of {problem}")
        if key.valid_from is not None and min(times) < key.valid_from:
            problem = f"{key.valid_from}; the signature is of {min(times)}"
            return _distrust(fingerprint, role, "not-yet-valid", f"{_named(key)} is valid only from {problem}")
        if key.valid_until is not None and max(times) >= key.valid_until:
            proof = ", for no trusted timestamp proves that it is older" if proven is None else ""
            problem = f"{key.valid_until}; the signature is judged by {max(times)}{proof}"
            return _distrust(fingerprint, role, "expired", f"{_named(key)} was valid until {problem}")
        return key


def _named(key: TrustedKey) -> str:
    return f"key {key.fingerprint} ({key.owner})"


def _distrust(fingerprint: str, role: str, reason: Reason, explanation: str) -> Distrust:
    return Distrust(fingerprint=fingerprint, role=role, reason=reason, explanation=explanation)
