"""What entries of a trust file are made of: public keys and certificates in PEM, roles, revocations."""

from __future__ import annotations

import base64
import binascii
import re

from gatekeeper.core.checks import check_text, check_tuple, check_utc_time
from gatekeeper.errors import InvalidValueError

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


def check_roles(roles: tuple[str, ...]) -> None:
    """Require a tuple of at least one role, none of them twice."""
    check_tuple(roles=roles, of=str)
    for role in roles:
        check_role(role=role)
    if not roles or len(set(roles)) != len(roles):
        raise InvalidValueError(f"roles must name at least one role, and none twice, got {roles!r}")


def check_revocation(*, at: str | None, reason: str | None) -> None:
    """Require a UTC time and a reason, or neither."""
    if (at is None) != (reason is None):
        raise InvalidValueError("a revocation needs both its time and its reason")
    if at is not None and reason is not None:
        check_utc_time(revoked_at=at)
        check_text(revocation_reason=reason)
