"""The chain: each entry's digest covers the entry before, so an edit anywhere shows everywhere after it.

Whoever can write the database but lacks the key can compute digests, not MACs. Whoever has only an export can
still check that the chain holds together. A shortened chain holds together too: only a head that was kept
somewhere else shows that entries are gone from its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from gatekeeper.core.framing import framed
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import LedgerError
from gatekeeper.ledger.keys import LedgerKey
from gatekeeper.ledger.nouns import Entry, Fact, kind_of, payload_of

ROOT = "0" * 64
_DOMAIN = b"gatekeeper ledger entry v1"


def entry_digest(
    *, ledger: str, number: int, time: str, kind: str, payload: str, set_digest: str | None, previous: str
) -> str:
    """Hex SHA-256 of an entry's content, its place and its ledger.

    Raises:
        LedgerError: a text holds half a character (a lone surrogate), which no database stores.
    """
    mark = b"" if set_digest is None else b"set " + set_digest.encode()
    try:
        texts = [text.encode() for text in (ledger, str(number), time, kind, payload)]
    except UnicodeEncodeError as error:
        raise LedgerError(f"an entry holds text that isn't Unicode: {error.object!r}") from error
    return hashlib.sha256(framed(_DOMAIN, *texts, mark, previous.encode())).hexdigest()


def digest_of(entry: Entry, *, ledger: str) -> str:
    """The digest that the entry ought to have."""
    return entry_digest(
        ledger=ledger,
        number=entry.number,
        time=entry.time,
        kind=entry.kind,
        payload=entry.payload,
        set_digest=entry.set_digest,
        previous=entry.previous,
    )


def follow(last: Entry | None, fact: Fact, *, ledger: str, time: str, set_digest: str | None, key: LedgerKey) -> Entry:
    """The entry that says `fact` after `last`, with its digest and MAC."""
    number, previous = (1, ROOT) if last is None else (last.number + 1, last.digest)
    kind, payload = kind_of(fact), payload_of(fact)
    digest = entry_digest(
        ledger=ledger, number=number, time=time, kind=kind, payload=payload, set_digest=set_digest, previous=previous
    )
    return Entry(
        number=number,
        time=time,
        kind=kind,
        payload=payload,
        set_digest=set_digest,
        previous=previous,
        digest=digest,
        mac=key.mac(digest),
    )


def chain_problems(entries: Iterable[Entry], *, ledger: str) -> list[str]:
    """What is wrong with numbers, digests and links, as far as it can be seen without the key."""
    problems, expected, previous = [], 1, ROOT
    for entry in entries:
        problems += _place_problems(entry, expected=expected, previous=previous)
        if digest_of(entry, ledger=ledger) != entry.digest:
            problems.append(f"entry {entry.number} was edited: its digest is not that of its content")
        expected, previous = entry.number + 1, entry.digest
    return problems if expected > 1 else ["there is no entry at all"]


def _place_problems(entry: Entry, *, expected: int, previous: str) -> list[str]:
    """Whether the entry stands where it says, behind the one that it names."""
    if entry.number > expected:
        gap = (
            f"entry {expected} is" if entry.number == expected + 1 else f"entries {expected} to {entry.number - 1} are"
        )
        return [f"{gap} missing"]
    if entry.number < expected:
        return [f"entry {entry.number} is out of order: entry {expected} was due"]
    if entry.previous != previous:
        return [f"the chain breaks at entry {entry.number}: it does not follow the one before it"]
    return []


def mac_problems(entries: Iterable[Entry], *, key: LedgerKey) -> list[str]:
    """Which entries were not written with this key."""
    return [
        f"entry {entry.number} was not written with this key: its MAC is wrong"
        for entry in entries
        if not key.made(entry.mac, digest=entry.digest)
    ]


def head_of(entries: tuple[Entry, ...], *, ledger: str) -> LedgerHead:
    """Which ledger, and how far it has got."""
    last = entries[-1]
    return LedgerHead(ledger=ledger, length=last.number, digest=last.digest)


def head_problems(entries: tuple[Entry, ...], *, ledger: str, expected: LedgerHead) -> list[str]:
    """Whether this is the ledger that somebody remembers, and still holds all that it held then."""
    if expected.ledger != ledger:
        return [f"this is ledger {ledger}, not {expected.ledger}"]
    length = entries[-1].number if entries else 0
    if length < expected.length:
        return [f"the ledger is shorter than remembered: {length} entries, there were {expected.length}"]
    remembered = [entry.digest for entry in entries if entry.number == expected.length]
    if expected.length and remembered != [expected.digest]:
        return [f"entry {expected.length} is not the one that is remembered: history was written anew"]
    return []
