"""X.509 certificates of signers (RFC 5280): a chain up to a pinned authority says whose a key is, and until when.

The chain is verified at a time at which all of its certificates are valid; that time, and the validity that the key
gets, is what they have in common. Whether a signature lies inside it is judged as of any other key, so an expired
certificate is refused unless a trusted timestamp proves that the signature is older.
"""

from __future__ import annotations

import datetime
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, ExtensionNotFound, KeyUsage, load_pem_x509_certificates
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store
from cryptography.x509.verification import VerificationError as ChainError

from gatekeeper.core.trust import CertifiedKey, TrustedKey
from gatekeeper.errors import InvalidValueError, SigningError, VerificationError
from gatekeeper.signing.keys import PublicKey, parse_public


def read_certified(key: CertifiedKey) -> TrustedKey:
    """The key with the owner and the validity that its certificates give it.

    Raises:
        VerificationError: the certificates can't be read, are out of order, are not signed by one another up to the
            authority, are never valid together, are not for signing, or are of another key.
    """
    chain, authorities = _read(key, key.certificates), _read(key, key.authority)
    if len(authorities) != 1:
        raise _refusal(key, f"the authority is one certificate, got {len(authorities)}")
    leaf, everyone = chain[0], (*chain, *authorities)
    begins = max(certificate.not_valid_before_utc for certificate in everyone)
    ends = min(certificate.not_valid_after_utc for certificate in everyone)
    if begins >= ends:
        raise _refusal(key, "the certificates are never valid together")
    _check_chain(key, chain, authority=authorities[0], time=begins)
    _check_usage(key, leaf)
    try:
        return TrustedKey(
            fingerprint=key.fingerprint,
            public_key=_public_pem(key, leaf),
            owner=leaf.subject.rfc4514_string(),
            roles=key.roles,
            valid_from=_text(begins),
            valid_until=_text(ends),
            revoked_at=key.revoked_at,
            revocation_reason=key.revocation_reason,
        )
    except InvalidValueError as error:
        raise _refusal(key, error.message) from error


def check_signing_chain(pem: bytes, *, public_key: PublicKey | None, now: datetime.datetime, where: str) -> None:
    """Whether a key may sign now, by the certificates that its owner has of it.

    No authority is pinned here: whoever verifies pins one. This only keeps a signer from signing what they will refuse.

    Args:
        pem: the key's certificate, then its issuers, each after whom it issued.
        public_key: the key; None where it is not open yet, and only the certificates are looked at.
        now: the time of signing.
        where: the file, for the message.

    Raises:
        SigningError: a certificate can't be read, has expired, is not valid yet, did not issue the one before it, or
            the first is of another key.
    """
    try:
        chain = load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SigningError(f"holds no X.509 certificates: {error}", where=where) from error
    for certificate in chain:
        _check_time(certificate, now=now, where=where)
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            name = certificate.subject.rfc4514_string()
            raise SigningError(
                f"the certificate of {name} was not issued by the next one, {issuer.subject.rfc4514_string()}",
                where=where,
                hint="put the key's own certificate first, then each one's issuer",
            ) from error
    own = chain[0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public_key is not None and own != public_key.pem:
        raise SigningError(f"the first certificate is not of the key {public_key.fingerprint}", where=where)


def _check_time(certificate: Certificate, *, now: datetime.datetime, where: str) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now <= ends:
        state = "has expired" if now > ends else "is not valid yet"
        raise SigningError(
            f"the certificate of {certificate.subject.rfc4514_string()} {state}: from {_text(begins)} to {_text(ends)}",
            where=where,
            hint="sign with a key whose certificate is valid",
        )


def _read(key: CertifiedKey, pem: str) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise _refusal(key, f"this is no X.509 certificate: {error}") from error


def _check_chain(
    key: CertifiedKey, chain: list[Certificate], *, authority: Certificate, time: datetime.datetime
) -> None:
    """Verify signatures, names, path lengths and the rights to issue; then that the order is the one written."""
    # Nothing is asked of the signer's own extensions here: profiles of the web would demand a host name.
    policy = (
        PolicyBuilder()
        .store(Store([authority]))
        .time(time)
        .max_chain_depth(len(chain))
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
    )
    try:
        found = policy.build_client_verifier().verify(chain[0], chain[1:]).chain
    except (ChainError, ValueError) as error:
        raise _refusal(key, f"the certificates don't lead to the authority: {error}") from error
    if found != [*chain, authority]:
        raise _refusal(key, "the certificates are out of order, or some are not needed")


def _check_usage(key: CertifiedKey, leaf: Certificate) -> None:
    """Require that the certificate, if it says what its key is for, is for signatures (RFC 5280, section 4.2.1.3)."""
    try:
        usage = leaf.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return
    if not (usage.digital_signature or usage.content_commitment):
        raise _refusal(key, "the certificate is not for signatures")


def _public_pem(key: CertifiedKey, leaf: Certificate) -> str:
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise _refusal(key, "the certificate is not of a P-256 key")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return parse_public(pem, where="its certificate").pem.decode()


def _text(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _refusal(key: CertifiedKey, problem: str) -> VerificationError:
    return VerificationError(f"key {key.fingerprint}: {problem}")
