"""Trusted timestamps (RFC 3161): somebody else's clock says that all signatures of a release existed by then.

A timestamp of `model.sig` alone would say nothing of the attestations: whoever stole the key could put a new
certificate beside an old model. So it covers every signed bundle, by the list that this prints in the release:

    LC_ALL=C sha256sum attestations/*.sigstore.json model.sig

The list is not stored, because it follows from the release. What is added later (approvals, other timestamps) is not
in it. A response is kept whole under `attestations/timestamps/`, for `openssl ts -verify -data LIST -in FILE.tsr`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.core.trust import TimestampAuthority
from gatekeeper.errors import VerificationError
from gatekeeper.signing.additions import TIMESTAMPS, Addition, add
from gatekeeper.signing.attestations import Bundle, list_of
from gatekeeper.signing.files import list_tree, place, read_file
from gatekeeper.signing.layout import ATTESTATIONS
from gatekeeper.signing.model_signature import SIGNATURE_FILE
from gatekeeper.signing.timestamp_check import Clock, client, clock_of, parse_response, proven_time

_BUNDLE = re.compile(rf"{ATTESTATIONS}/[^/]+\.sigstore\.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamp:
    """What a timestamp proves.

    Attributes:
        time: UTC time by which everything it covers existed: the authority's, plus its accuracy, in whole seconds up.
        authority: whose clock it is.
        file: where it lies, relative to the release.
    """

    time: str
    authority: str
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamps:
    """All timestamps of a release.

    Attributes:
        proven: those of trusted authorities that cover every signature, earliest first.
        others: how many more files there are: of nobody that is trusted, or of another release.
    """

    proven: tuple[Timestamp, ...]
    others: int


def covered(directory: Path) -> bytes:
    """The list of all signed bundles of a release with their SHA-256, by name, as `sha256sum` prints it.

    Raises:
        VerificationError: there is no `model.sig`, or a link or special file.
    """
    files = list_tree(directory).files
    if SIGNATURE_FILE not in files:
        raise VerificationError("is missing", where=place(directory, SIGNATURE_FILE))
    names = [file for file in files if file == SIGNATURE_FILE or _BUNDLE.fullmatch(file)]
    return list_of(Bundle(file=name, content=read_file(directory, name)) for name in names)


def make_query(directory: Path) -> bytes:
    """A query in DER (RFC 3161, section 2.4.1) for a timestamp of a release: SHA-256, a nonce, certificate wanted.

    Raises:
        SigningError: the extra `timestamp` is not installed.
        VerificationError: the directory is no release.
    """
    library = client()
    message = covered(directory)
    builder = library.TimestampRequestBuilder(data=message, hash_algorithm=library.HashAlgorithm.SHA256)
    query: bytes = builder.build().as_bytes()
    return query


def accept(directory: Path, *, query: bytes, response: bytes, authority: TimestampAuthority) -> Timestamp:
    """Check the response to a query and put it into the release.

    Args:
        directory: the release.
        query: what `make_query` gave.
        response: what the authority answered, in DER.
        authority: whose response it must be.

    Raises:
        SigningError: the extra `timestamp` is not installed, or the release can't be written.
        VerificationError: the query or response is not one, is of other signatures, answers another query, or is not
            by this authority.
    """
    # Verification never comes here, so it also runs with a cryptography that can't read queries.
    from gatekeeper.signing.timestamp_query import nonce_of

    nonce = nonce_of(query)
    parsed = parse_response(response)
    time = proven_time(parsed, message=covered(directory), clock=clock_of(authority))
    if parsed.tst_info.nonce != nonce:
        raise VerificationError("the response answers another query", hint="send the query again")
    name = f"{re.sub('[-:]', '', time)}-{hashlib.sha256(response).hexdigest()[:8]}.tsr"
    added = Addition(file=f"{TIMESTAMPS}/{name}", content=response)
    add(directory, added)
    return Timestamp(time=time, authority=authority.name, file=added.file)


def check_timestamps(
    directory: Path, *, authorities: tuple[TimestampAuthority, ...], message: bytes | None = None
) -> Timestamps:
    """What the timestamps in a release prove; those that prove nothing are counted, for anybody may have added them.

    Args:
        directory: the release.
        authorities: whose timestamps count.
        message: the list of the bundles whose signatures were verified, from the bytes that were; None reads them now.

    Raises:
        SigningError: a timestamp is to be checked, and the extra `timestamp` is not installed.
        VerificationError: the directory is no release, or an authority's certificate is not for timestamping.
    """
    clocks = [clock_of(authority) for authority in authorities]
    files = [file for file in list_tree(directory).files if file.startswith(TIMESTAMPS + "/")]
    message = covered(directory) if message is None else message
    proven = [found for file in files if (found := _proven(directory, file, message=message, clocks=clocks))]
    return Timestamps(proven=tuple(sorted(proven, key=lambda found: found.time)), others=len(files) - len(proven))


def _proven(directory: Path, file: str, *, message: bytes, clocks: list[Clock]) -> Timestamp | None:
    content = read_file(directory, file)
    for clock in clocks:
        try:
            time = proven_time(parse_response(content), message=message, clock=clock)
        except VerificationError:
            continue
        return Timestamp(time=time, authority=clock.name, file=file)
    return None
