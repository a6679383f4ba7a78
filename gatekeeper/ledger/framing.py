"""Several byte strings as one, so that no two lists give the same: what is hashed can be read in one way only."""

from __future__ import annotations


def framed(*parts: bytes) -> bytes:
    """Each part behind its length, 8 bytes big-endian.

    >>> framed(b"ab", b"c") != framed(b"a", b"bc")
    True
    """
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
