"""Several byte strings as one and back, so that no two lists give the same bytes: what is hashed is read in one way."""

from __future__ import annotations

from gatekeeper.errors import InvalidValueError

_LENGTH = 8


def framed(*parts: bytes) -> bytes:
    """Each part behind its length, 8 bytes big-endian.

    >>> framed(b"ab", b"c") != framed(b"a", b"bc")
    True
    """
    return b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


def unframed(content: bytes) -> tuple[bytes, ...]:
    """The parts that `framed` wrote.

    Raises:
        InvalidValueError: it wrote no such bytes.

    >>> unframed(framed(b"ab", b"", b"c"))
    (b'ab', b'', b'c')
    """
    parts, place = [], 0
    while place < len(content):
        begin = place + _LENGTH
        place = begin + int.from_bytes(content[place:begin], "big")
        if begin > len(content) or place > len(content):
            raise InvalidValueError(f"{len(content)} bytes end in the middle of a part")
        parts.append(content[begin:place])
    return tuple(parts)
