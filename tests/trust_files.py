"""Trust files for tests: keys that are always the same, and the text of files that trust them."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatekeeper.core.trust import TrustedKey


def pem_of(number: int) -> str:
    """The public key of the private key `number`."""
    key = ec.derive_private_key(number, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint_of(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()


GATE, OFFICER = pem_of(20_250_601), pem_of(20_250_611)  # the first is the key of tests.signed_releases


def trusted(pem: str = GATE, **changes: object) -> TrustedKey:
    """A trusted key, valid for all of 2030."""
    facts: dict[str, object] = {
        "fingerprint": fingerprint_of(pem),
        "public_key": pem,
        "owner": "the gate",
        "roles": ("release",),
        "valid_from": "2030-01-01T00:00:00Z",
        "valid_until": "2031-01-01T00:00:00Z",
    }
    return TrustedKey(**(facts | changes))  # type: ignore[arg-type]


def indented(pem: str, *, by: int) -> str:
    return pem.strip().replace("\n", "\n" + " " * by)


TRUST = f"""\
apiVersion: gatekeeper/v1
kind: TrustFile
metadata: {{name: hospital}}
spec:
  keys:
    - fingerprint: {fingerprint_of(GATE)}
      owner: the gate
      roles: [release]
      valid_from: 2030-01-01T00:00:00Z
      valid_until: "2031-01-01T00:00:00Z"
      public_key: |
        {indented(GATE, by=8)}
    - fingerprint: {fingerprint_of(OFFICER)}
      owner: Dr. Weiß
      roles: [privacy-officer, approver]
      revoked: {{at: 2030-06-01T00:00:00Z, reason: laptop stolen}}
      public_key: officer.pub
"""
