"""One moment of a ledger: its entries, what they add up to, and everything that is wrong with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from gatekeeper.core.ledger import LedgerHead, Standing
from gatekeeper.errors import LedgerError
from gatekeeper.ledger.chain import chain_problems, head_of, mac_problems
from gatekeeper.ledger.keys import LedgerKey
from gatekeeper.ledger.nouns import Entry
from gatekeeper.ledger.replay import Replay, Run, replay
from gatekeeper.ledger.standings import standing
from gatekeeper.ledger.store import count_units, read_about, read_entries, read_set
from gatekeeper.ledger.unitsets import UnitSet, overlaps

_RESTORE = "see `gatekeeper ledger check`, and restore the ledger from a backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """What a transaction sees.

    Attributes:
        ledger: the ledger's id.
        entries: every entry that has an entry's form.
        story: what they add up to.
        problems: what is wrong with the chain, the MACs and the story; unit sets are read where they are used.
    """

    ledger: str
    entries: tuple[Entry, ...]
    story: Replay
    problems: tuple[str, ...]

    @property
    def head(self) -> LedgerHead:
        """How far the ledger has got."""
        return head_of(self.entries, ledger=self.ledger)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every reserved run, in order."""
        return tuple(self.story.runs.values())

    def run(self, name: str) -> Run:
        """A reserved run.

        Raises:
            LedgerError: no such run was reserved.
        """
        if name not in self.story.runs:
            why = "was declined" if name in self.story.declined else "was never reserved"
            raise LedgerError(f"run {name} {why} in this ledger")
        return self.story.runs[name]


def read_book(connection: Connection, *, key: LedgerKey) -> Book:
    """Everything that the ledger says, and what is wrong with it."""
    ledger, stored = read_about(connection).ledger, read_entries(connection)
    story = replay(stored.entries, ledger=ledger)
    problems = (
        *stored.problems,
        *chain_problems(stored.entries, ledger=ledger),
        *mac_problems(stored.entries, key=key),
        *story.problems,
    )
    return Book(ledger=ledger, entries=stored.entries, story=story, problems=problems)


def read_sound_book(connection: Connection, *, key: LedgerKey) -> Book:
    """The same; nothing is built on a ledger that was changed.

    Raises:
        LedgerError: it was.
    """
    book = read_book(connection, key=key)
    if book.problems:
        more = f" (and {len(book.problems) - 1} more problems)" if len(book.problems) > 1 else ""
        raise LedgerError(f"the ledger was changed: {book.problems[0]}{more}", hint=_RESTORE)
    return book


def read_standing(connection: Connection, book: Book, asked: UnitSet, *, policy_digest: str) -> Standing:
    """What the asked units have spent in all runs of the book.

    Every unit set is read and its digest compared: looking up the asked pseudonyms alone would be faster, and
    would miss a row that somebody deleted, which hides a spend.

    Raises:
        LedgerError: a unit set was changed.
    """
    places = asked.places
    matches: dict[str, Counter[int]] = {}
    for run in book.runs:
        if run.set_digest not in matches:
            stored = read_set(connection, run.set_digest)
            if stored.digest != run.set_digest:
                raise LedgerError(f"the ledger was changed: {_edited(run)}", hint=_RESTORE)
            matches[run.set_digest] = overlaps(places, stored)
    return standing(units=len(asked.units), runs=book.runs, matches=matches, policy_digest=policy_digest)


def set_problems(connection: Connection, book: Book) -> list[str]:
    """Which entries' units are not those that were written, and which units belong to no entry."""
    used = {run.set_digest for run in book.runs}
    edited = {digest for digest in used if read_set(connection, digest).digest != digest}
    strays = len(set(count_units(connection)) - used)
    lost = [f"{strays} unit sets belong to no entry"] if strays else []
    return [_edited(run) for run in book.runs if run.set_digest in edited] + lost


def _edited(run: Run) -> str:
    return f"the units of entry {run.number} were edited"
