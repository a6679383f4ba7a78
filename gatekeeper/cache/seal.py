"""A seal on a run directory: whoever lacks the runner's key can't change what is judged and seal it again."""

from __future__ import annotations

import hmac
import re

from gatekeeper.cache.keys import CacheKey
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.codec import encode
from gatekeeper.core.framing import framed
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.policy import Policy

_HEADER = "gatekeeper run seal v1"
_TEXT = re.compile(re.escape(_HEADER) + r"\n([0-9a-f]{64})\n")


def seal_of(
    *, policy: Policy, candidate: Candidate, evidence: Evidence, statement: LedgerStatement, key: CacheKey
) -> str:
    """The text of a seal: HMAC-SHA256 over the canonical forms, each behind its length.

    The model is in it by the digest in the evidence, and the run by its name in the statement.
    """
    parts = (encode(noun).encode() for noun in (policy, candidate, evidence, statement))
    return f"{_HEADER}\n{hmac.digest(key.seals, framed(_HEADER.encode(), *parts), 'sha256').hex()}\n"


def sealed(text: str, expected: str) -> bool:
    """Whether a text is the seal that was expected."""
    return _TEXT.fullmatch(text) is not None and hmac.compare_digest(text.encode(), expected.encode())
