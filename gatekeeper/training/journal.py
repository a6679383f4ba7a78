"""The training's journal as text: one claim a line, behind its SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.resumption import Claim
from gatekeeper.errors import InvalidValueError, RunDirectoryError


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What a journal says.

    Attributes:
        claims: every entry, in order.
        torn: whether a part of one more follows. Its writer died before it was on the disk, so before anything was
            done under it: it is not counted.
    """

    claims: tuple[Claim, ...]
    torn: bool


def line_of(claim: Claim) -> bytes:
    """A claim as a line of the journal."""
    text = encode(claim)
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}".encode()


def read_journal(content: bytes) -> Journal:
    """A journal, line by line.

    Args:
        content: lines that `line_of` wrote, the last of which may be cut short.

    Raises:
        RunDirectoryError: a whole line is not what was written, or can't follow the one before it. What a claim said
            can't be guessed, so nothing can go on from such a journal.
    """
    *lines, rest = content.split(b"\n")
    claims: list[Claim] = []
    for number, line in enumerate(lines, start=1):
        claim = _claim(line, number=number)
        if not claim.may_follow(claims[-1] if claims else None):
            raise _changed(number, "can't follow the line before it")
        claims.append(claim)
    return Journal(claims=tuple(claims), torn=bool(rest))


def _claim(line: bytes, *, number: int) -> Claim:
    digest, _, text = line.partition(b" ")
    if hashlib.sha256(text + b"\n").hexdigest().encode() != digest:
        raise _changed(number, "is not what was written")
    try:
        return decode(text.decode() + "\n", Claim)
    except (InvalidValueError, UnicodeDecodeError) as error:
        raise _changed(number, f"is no claim: {error}") from error


def _changed(number: int, problem: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"line {number} of the training's journal {problem}, so it is not known how many steps to count",
        hint="certify anew; this run stays counted in full",
    )
