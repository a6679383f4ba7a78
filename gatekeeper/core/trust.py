"""Whose keys are trusted, for what and when: the nouns of a trust file, and the one question that it answers.

A signer can claim any time, so a claim never makes a signature better. What can:

- The clock of whoever verifies says that a signature was made by now. A key is therefore judged by the present.
- A trusted timestamp (RFC 3161) proves that a signature existed at its time. Then the key is judged by that time.

So a signature outlives its key only with a timestamp. An entry with a revocation is refused whatever the clock says,
unless a timestamp proves that the signature is older than the revocation. Whoever revokes a key that was stolen writes
the earliest time at which it may have been in other hands, not the time at which that was noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.checks import check_sha256, check_text, check_tuple, check_utc_time
from gatekeeper.errors import InvalidValueError

Reason = Literal["unknown", "wrong-role", "revoked", "not-yet-valid", "expired"]

RELEASE = "release"
POLICY = "policy"

# SubjectPublicKeyInfo of P-256 up to its point (RFC 5480, section 2.1.1.1), and the point's uncompressed form.
_P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04"
_P256_BYTES = 91
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_LONGEST_CHAIN = 8
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,39}")


def canonical_pem(text: str) -> str:
    """The PEM of a P-256 public key in the one form that fingerprints are taken of: 64 columns, no comments.

    Args:
        text: SubjectPublicKeyInfo in PEM (RFC 7468, section 13), whatever its line ends.

    Raises:
        InvalidValueError: it is something else.
    """
    if "PRIVATE KEY-----" in text:
        raise InvalidValueError("this is a private key; only public keys belong here", hint="give the .pub file")
    found = _PEM.fullmatch(text.strip())
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        der = b""
    if len(der) != _P256_BYTES or not der.startswith(_P256_HEAD):
        raise InvalidValueError("this is not the PEM of a P-256 public key", hint="give the .pub file of such a key")
    body = base64.b64encode(der).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def check_certificates(**named: object) -> None:
    """Require the PEM of X.509 certificates, one to eight, and nothing else; what they say is not looked at."""
    ((name, value),) = named.items()
    found = len(_CERTIFICATE.findall(value)) if isinstance(value, str) else 0
    if not isinstance(value, str) or _CERTIFICATE.sub("", value).strip() or not 1 <= found <= _LONGEST_CHAIN:
        raise InvalidValueError(f"{name} must be the PEM of 1 to {_LONGEST_CHAIN} certificates, and nothing else")


def check_role(**named: object) -> None:
    """Require a role: a word in lower case such as `release` or `privacy-officer`."""
    ((name, value),) = named.items()
    if not isinstance(value, str) or not _ROLE.fullmatch(value):
        raise InvalidValueError(
            f"{name} must be a word in lower case, such as release or privacy-officer, got {value!r}"
        )


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
        check_tuple(roles=self.roles, of=str)
        for role in self.roles:
            check_role(role=role)
        if not self.roles or len(set(self.roles)) != len(self.roles):
            raise InvalidValueError(f"roles must name at least one role, and none twice, got {self.roles!r}")
        self._check_times()

    def _check_times(self) -> None:
        for name in ("valid_from", "valid_until", "revoked_at"):
            if getattr(self, name) is not None:
                check_utc_time(**{name: getattr(self, name)})
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise InvalidValueError(f"valid_from {self.valid_from} must be before valid_until {self.valid_until}")
        if (self.revoked_at is None) != (self.revocation_reason is None):
            raise InvalidValueError("a revocation needs both its time and its reason")
        if self.revocation_reason is not None:
            check_text(revocation_reason=self.revocation_reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimestampAuthority:
    """Somebody whose clock is believed (RFC 3161).

    Attributes:
        name: who, for people.
        certificates: PEM of the very certificate that its timestamps are signed with (another one is not accepted),
            then those of its issuers up to the root, if it is not its own. A timestamp stays valid when they expire
            later. An authority whose key was stolen must be removed.
    """

    name: str
    certificates: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_certificates(certificates=self.certificates)


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
    """

    keys: tuple[TrustedKey, ...]
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()

    def __post_init__(self) -> None:
        check_tuple(keys=self.keys, of=TrustedKey)
        check_tuple(timestamp_authorities=self.timestamp_authorities, of=TimestampAuthority)
        seen: set[str] = set()
        for key in self.keys:
            if key.fingerprint in seen:
                raise InvalidValueError(f"key {key.fingerprint} occurs twice; one entry says all of it")
            seen.add(key.fingerprint)

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
