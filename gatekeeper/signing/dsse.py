"""Signed envelopes: DSSE (protocol 1.0) around a statement, in a Sigstore bundle v0.3 that names the key.

DSSE: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
Bundle: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto, key mode: the
bundle carries no certificate and no log entry, only the fingerprint of the key.

A bundle is opaque bytes: the signature is verified before the payload is parsed, and a bundle that differs
from the one that gatekeeper would have written around the same signature is refused.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from gatekeeper.core import codec
from gatekeeper.errors import VerificationError
from gatekeeper.signing.keys import PublicKey, SigningKey
from gatekeeper.signing.statements import member, parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bundle:
    """What varies between bundles.

    Attributes:
        hint: fingerprint of the key.
        payload: the signed statement.
        signature: over the pre-authentication encoding of `payload`.
    """

    hint: str
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The bundle as canonical JSON.

        The DSSE `keyid` repeats the hint: verifiers that look keys up by it find one, others ignore it.
        """
        signature = {"keyid": self.hint, "sig": base64.b64encode(self.signature).decode()}
        plain = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": self.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [signature],
            },
        }
        return codec.canonical(plain).encode()


def pre_authentication_encoding(payload: bytes, *, payload_type: str) -> bytes:
    """PAE, the bytes that DSSE signs: type and payload, each after its length in bytes.

    >>> pre_authentication_encoding(b"hello world", payload_type="http://example.com/HelloWorld")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: bytes, *, key: SigningKey) -> bytes:
    """A signed bundle around a statement; the same statement and key give the same bytes.

    Args:
        statement: an in-toto statement, as it is to be signed.
        key: signs it.
    """
    signature = key.sign(pre_authentication_encoding(statement, payload_type=PAYLOAD_TYPE))
    return _Bundle(hint=key.public.fingerprint, payload=statement, signature=signature).encode()


def verify_bundle(bundle: bytes, *, public_key: PublicKey, where: str) -> bytes:
    """The payload of a bundle, after its signature has been verified; the payload is not parsed.

    Args:
        bundle: the content of a bundle file.
        public_key: whose signature it must carry.
        where: the file, for the message.

    Raises:
        VerificationError: it is no such bundle, another key signed it, or it was changed after signing.
    """
    parsed = _parse_bundle(bundle, where=where)
    if parsed.hint != public_key.fingerprint:
        raise VerificationError(
            f"was signed with another key: the bundle names {parsed.hint[:64]!a}, "
            f"the public key given is {public_key.fingerprint}",
            where=where,
            hint="use the public key of the gate that signed, obtained from its owner",
        )
    message = pre_authentication_encoding(parsed.payload, payload_type=PAYLOAD_TYPE)
    if not public_key.accepts(message, signature=parsed.signature):
        raise VerificationError(
            "was changed after signing: the bundle names this key, but its signature does not fit",
            where=where,
            hint="do not use the release; get it again from its signer",
        )
    if parsed.encode() != bundle:
        raise VerificationError(
            "is not in the form that gatekeeper writes: text was added around the signature", where=where
        )
    return parsed.payload


def named_key(bundle: bytes, *, where: str) -> str:
    """The fingerprint of the key that a bundle names; nothing is verified, so it only says which key to try.

    Raises:
        VerificationError: it is no such bundle.
    """
    hint = _parse_bundle(bundle, where=where).hint
    if not _FINGERPRINT.fullmatch(hint):
        raise VerificationError(f"names the key {hint[:64]!a}, which is no SHA-256 of one", where=where)
    return hint


def _parse_bundle(bundle: bytes, *, where: str) -> _Bundle:
    plain = parse_json(bundle, where=where)
    found = member(plain, "mediaType", str, where=where)
    if found != BUNDLE_TYPE:
        raise VerificationError(f"has media type {found!a}, needed is {BUNDLE_TYPE}", where=where)
    public_key = member(member(plain, "verificationMaterial", dict, where=where), "publicKey", dict, where=where)
    envelope = member(plain, "dsseEnvelope", dict, where=where)
    found = member(envelope, "payloadType", str, where=where)
    if found != PAYLOAD_TYPE:
        raise VerificationError(f"has payload type {found!a}, needed is {PAYLOAD_TYPE}", where=where)
    signatures = member(envelope, "signatures", list, where=where)
    if len(signatures) != 1:
        raise VerificationError(f"carries {len(signatures)} signatures, needed is exactly one", where=where)
    return _Bundle(
        hint=member(public_key, "hint", str, where=where),
        payload=_base64(member(envelope, "payload", str, where=where), where=where),
        signature=_base64(member(signatures[0], "sig", str, where=where), where=where),
    )


def _base64(text: str, *, where: str) -> bytes:
    """Strict base64 (RFC 4648, section 4): its alphabet, its padding, nothing else."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise VerificationError(f"holds broken base64: {error}", where=where) from error
