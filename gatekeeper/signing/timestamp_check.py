"""One timestamp (RFC 3161): whether it is by a pinned certificate, in its time, of these bytes; and what it proves."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from cryptography.x509 import Certificate, ExtendedKeyUsage, ExtensionNotFound, load_pem_x509_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID

from gatekeeper.core.trust import TimestampAuthority
from gatekeeper.errors import VerificationError
from gatekeeper.signing.extras import missing

if TYPE_CHECKING:
    from rfc3161_client import Accuracy, TimeStampResponse

_SHA256 = "2.16.840.1.101.3.4.2.1"
# The bytes are anybody's, and the libraries that read them don't say all that they raise.
_ANY = Exception
_GRANTED = 0  # PKIStatus, RFC 3161, section 2.4.2; a grant with modifications is not what was asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """An authority whose certificates have been read.

    Attributes:
        name: who, for people.
        certificate: the one that its timestamps are signed with.
        roots: its issuers, or itself.
    """

    name: str
    certificate: Certificate
    roots: list[Certificate]


def clock_of(authority: TimestampAuthority) -> Clock:
    """An authority with a certificate that is critically for timestamping and for nothing else (RFC 3161, section 2.3).

    Raises:
        VerificationError: it is not.
    """
    try:
        certificate, *issuers = load_pem_x509_certificates(authority.certificates.encode())
        purpose = certificate.extensions.get_extension_for_class(ExtendedKeyUsage)
    except ValueError as error:
        raise VerificationError(f"{authority.name}: these are no certificates: {error}") from error
    except ExtensionNotFound:
        purpose = None
    if purpose is None or not purpose.critical or list(purpose.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise VerificationError(
            f"the certificate of {authority.name} is not for timestamping alone",
            hint="needed is a critical extended key usage of timeStamping and no other",
        )
    return Clock(name=authority.name, certificate=certificate, roots=issuers or [certificate])


def client() -> ModuleType:
    """The library that makes and reads queries and responses.

    Raises:
        SigningError: the extra `timestamp` is not installed.
    """
    try:
        import rfc3161_client
    except ImportError as error:
        raise missing("timestamp", what="timestamps") from error
    return rfc3161_client


def parse_response(response: bytes) -> TimeStampResponse:
    """A response in DER that grants a timestamp; nothing in it is verified yet.

    Raises:
        VerificationError: it is none, or refuses.
    """
    library = client()
    try:
        parsed: TimeStampResponse = library.decode_timestamp_response(response)
        status = parsed.status
    except _ANY as error:
        raise VerificationError(f"the response is no timestamp response in DER: {error}") from error
    if status != _GRANTED:
        reason = "; ".join(parsed.status_string) or "it gave no reason"
        raise VerificationError(f"the authority did not grant a timestamp (status {status}): {reason!a}")
    return parsed


def proven_time(response: TimeStampResponse, *, message: bytes, clock: Clock) -> str:
    """The time that a response proves for `message`, after everything in it has been checked.

    The certificate is the pinned one and was valid then; the library verifies it and the signature.

    Raises:
        VerificationError: what does not fit.
    """
    library, certificate = client(), clock.certificate
    try:
        info = response.tst_info
        if info.message_imprint.hash_algorithm.dotted_string != _SHA256:
            raise VerificationError("the timestamp is not of a SHA-256 digest")
        if info.message_imprint.message != hashlib.sha256(message).digest():
            raise VerificationError(
                "the timestamp is of other signatures than the release's",
                hint="make a new query with `gatekeeper timestamp request`",
            )
        if not certificate.not_valid_before_utc <= info.gen_time <= certificate.not_valid_after_utc:
            raise VerificationError(
                f"the certificate of {clock.name} is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}; the timestamp is of {info.gen_time:%Y-%m-%d}"
            )
        verifier = library.VerifierBuilder(tsa_certificate=certificate, roots=clock.roots).build()
        verifier.verify_message(response, message)
        return latest(info.gen_time, accuracy=_accuracy(info.accuracy))
    except VerificationError:
        raise
    except _ANY as error:
        raise VerificationError(f"the timestamp is not by {clock.name}, or not in order: {error}") from error


def _accuracy(accuracy: Accuracy | None) -> datetime.timedelta:
    if accuracy is None:
        return datetime.timedelta()
    return datetime.timedelta(
        seconds=accuracy.seconds or 0, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0
    )


def latest(time: datetime.datetime, *, accuracy: datetime.timedelta) -> str:
    """The latest time that a clock of this accuracy can mean (RFC 3161, section 2.4.2), in whole seconds up.

    >>> latest(datetime.datetime(2030, 1, 1, 0, 0, 58, 1, datetime.UTC), accuracy=datetime.timedelta(seconds=1))
    '2030-01-01T00:01:00Z'
    """
    end = time.astimezone(datetime.UTC) + accuracy
    if end.microsecond:
        end = end.replace(microsecond=0) + datetime.timedelta(seconds=1)
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")
