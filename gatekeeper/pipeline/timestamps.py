"""Timestamps of a release: asked for, put into it, and what they prove to somebody who trusts some clocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.trust import TimestampAuthority, TrustFile
from gatekeeper.errors import InvalidValueError, VerificationError

if TYPE_CHECKING:
    from gatekeeper.signing.timestamps import Timestamp

# Queries take a hundred bytes, responses and certificates a few thousand.
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvenTime:
    """What the timestamps of a release prove.

    Attributes:
        proven: the earliest UTC time by which all its signatures are proven to have existed, or None.
        detail: the same for people.
    """

    proven: str | None
    detail: str


def prove_time(directory: Path, *, trust: TrustFile | None, message: bytes | None = None) -> ProvenTime:
    """Check the timestamps in a release whose signatures have been verified.

    Args:
        directory: the release.
        trust: names the authorities whose timestamps count; without it none does.
        message: what a timestamp must cover, as it was verified; None reads it from the directory.

    Raises:
        SigningError: there are timestamps and authorities, and the extra `timestamp` is not installed.
    """
    from gatekeeper.signing.timestamps import check_timestamps

    authorities = () if trust is None else trust.timestamp_authorities
    found = check_timestamps(directory, authorities=authorities, message=message)
    if found.proven:
        first = found.proven[0]
        rest = f"; {found.others} others prove nothing to this trust file" if found.others else ""
        return ProvenTime(proven=first.time, detail=f"signed by {first.time}, says {first.authority}{rest}")
    if not found.others:
        return ProvenTime(proven=None, detail="none; the time of signing is the signer's word")
    reason = f"{found.others} there, none by a trusted authority and of these signatures"
    return ProvenTime(proven=None, detail=f"{reason}; the time of signing is the signer's word")


def write_query(directory: Path) -> bytes:
    """A query for a timestamp of a release, in DER; see `signing.timestamps.make_query`."""
    from gatekeeper.signing.timestamps import make_query

    return make_query(directory)


def accept_response(directory: Path, *, query: Path, response: Path, certificate: Path) -> Timestamp:
    """Check the response to a query and put it into the release.

    Args:
        directory: the release.
        query: the file that was sent.
        response: the file that came back.
        certificate: PEM of the very certificate that the authority signs with, and of its issuers up to the root, from
            your own copy.

    Raises:
        SigningError: the extra `timestamp` is not installed, or the release can't be written.
        VerificationError: a file can't be read, the certificate lies inside the release, or the response does not
            fit query, release or certificate.
    """
    from gatekeeper.signing.timestamps import accept
    from gatekeeper.signing.verification import check_trust_root

    check_trust_root(certificate, directory=directory)
    try:
        pem = _content(certificate).decode("ascii").strip()
        authority = TimestampAuthority(name=str(certificate), certificates=pem)
    except (InvalidValueError, UnicodeDecodeError) as error:
        raise VerificationError(
            "is not the PEM of certificates",
            where=str(certificate),
            hint="give the one that the authority signs with, then its issuers'",
        ) from error
    return accept(directory, query=_content(query), response=_content(response), authority=authority)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise VerificationError(f"can't be read: {error.strerror}", where=str(path)) from error
