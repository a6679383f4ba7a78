"""The query for a timestamp, read back for its nonce (RFC 3161, section 2.4.1)."""

from __future__ import annotations

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from gatekeeper.errors import VerificationError


@asn1.sequence
class _AlgorithmIdentifier:
    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _MessageImprint:
    hash_algorithm: _AlgorithmIdentifier
    hashed_message: bytes


@asn1.sequence
class _Query:
    version: int
    message_imprint: _MessageImprint
    policy: ObjectIdentifier | None
    nonce: int | None
    certificate_wanted: bool


def nonce_of(query: bytes) -> int:
    """The nonce of a query: only the response to this very query repeats it.

    Raises:
        VerificationError: it is no query in DER, or has no nonce.
    """
    try:
        nonce = asn1.decode_der(_Query, query).nonce
    except ValueError as error:
        raise VerificationError(
            "is no timestamp query", hint="give what `gatekeeper timestamp request` wrote"
        ) from error
    if nonce is None:
        raise VerificationError("has no nonce", hint="make a query with `gatekeeper timestamp request`")
    return nonce
