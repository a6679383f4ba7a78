"""Entries of a trust file that X.509 certificates speak for; what the certificates say is read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_sha256, check_text
from gatekeeper.core.trust_checks import check_certificates, check_revocation, check_roles


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
class CertifiedKey:
    """A key whose owner and validity are what its certificate says, by an authority that the file pins.

    Attributes:
        fingerprint: hex SHA-256 of the key's canonical PEM, as of every trusted key.
        certificates: PEM of its certificate, then of the issuers between it and `authority`, each after whom it issued.
        authority: PEM of the one certificate that is trusted to issue.
        roles: what the key may sign; at least one.
        revoked_at: UTC time from which its signatures may be somebody else's, or None. Revocation lists of the
            authority are not looked at: whoever keeps the file enters what they say.
        revocation_reason: why; goes with `revoked_at`.
    """

    fingerprint: str
    certificates: str
    authority: str
    roles: tuple[str, ...]
    revoked_at: str | None = None
    revocation_reason: str | None = None

    def __post_init__(self) -> None:
        check_sha256(fingerprint=self.fingerprint)
        check_certificates(certificates=self.certificates)
        check_certificates(authority=self.authority)
        check_roles(self.roles)
        check_revocation(at=self.revoked_at, reason=self.revocation_reason)
