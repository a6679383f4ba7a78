"""Trust files: read, and asked about a key at the present time."""

from __future__ import annotations

import datetime
from pathlib import Path

from gatekeeper.core.trust import TrustFile
from gatekeeper.errors import VerificationError


def read_trust(path: Path) -> TrustFile:
    """A trust file, with the certificates in it read.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: it has mistakes: every one, in the file's order.
        VerificationError: a certificate does not say what it has to.
    """
    from gatekeeper.config import load_trust

    trust = load_trust(path)
    if not trust.certified:
        return trust
    from gatekeeper.signing.certificates import read_certified

    try:
        keys = tuple(read_certified(key) for key in trust.certified)
    except VerificationError as error:
        raise VerificationError(error.message, where=str(path), hint=error.hint) from error
    return TrustFile(keys=trust.keys + keys, timestamp_authorities=trust.timestamp_authorities)


def trust_schema() -> str:
    """The trust file's JSON Schema."""
    from gatekeeper import config

    return config.trust_schema()


def utc_now() -> str:
    """The present, to the second, as `TrustFile.judge` takes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
