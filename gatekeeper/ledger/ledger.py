"""The ledger: what runs take of units is written down before they take it, and never taken back."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable

from sqlalchemy import Connection

from gatekeeper.core.ledger import Conclusion, Identities, LedgerHead, Reservation, Standing
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import LedgerError
from gatekeeper.ledger.book import Book, read_book, read_sound_book, read_standing, set_problems
from gatekeeper.ledger.chain import follow, head_of, head_problems
from gatekeeper.ledger.database import Database
from gatekeeper.ledger.keys import LedgerKey
from gatekeeper.ledger.nouns import Account, Declined, Ending, Entry, Fact, Position, Reserved, RunSummary, Settlement
from gatekeeper.ledger.replay import Run, replay, settlement_objection
from gatekeeper.ledger.store import count_units, read_entries, read_set, write_entry, write_set
from gatekeeper.ledger.unitsets import disguise


class Ledger:
    """An open ledger. It holds no connection and no lock between calls; several processes may use it at once.

    Made by `open_ledger`. Every method that is not said to do otherwise first verifies the whole chain, and raises
    `LedgerError` where the ledger was changed, can't be read or written, or is held by another process for long.

    Args:
        database: where it lies.
        key: its key.
    """

    def __init__(self, database: Database, *, key: LedgerKey) -> None:
        self._database = database
        self._key = key

    def reserve(
        self, reservation: Reservation, identities: Identities, *, allow: Callable[[Standing], str | None]
    ) -> Reserved:
        """Write down what a run may take, or why it may take nothing, in one transaction.

        Args:
            reservation: what it may take; what it never settles counts in full.
            identities: of whom; only pseudonyms are stored.
            allow: looks at what the units have spent so far; None lets the run start, a text says why not. No
                other process can reserve meanwhile. What it raises is passed on, and nothing is written.

        Raises:
            LedgerError: the run was reserved before, or two units share an identity.
        """
        asked = disguise(identities, key=self._key)
        with self._database.writing() as connection:
            book = self._sound(connection)
            if reservation.run in book.story.runs:
                raise LedgerError(f"run {reservation.run} was reserved before; a run is reserved once")
            before = read_standing(connection, book, asked, policy_digest=reservation.policy_digest)
            objection = allow(before)
            if objection is not None:
                reason = _one_line(objection)
                head = self._append(connection, book, Declined(reservation=reservation, reason=reason))
                return Reserved(standing=before, head=head, declined=reason)
            write_set(connection, asked)
            head = self._append(connection, book, reservation, set_digest=asked.digest)
            return Reserved(standing=before, head=head, declined=None)

    def settle(self, run: str, mechanism: Mechanism | None) -> LedgerHead:
        """Write down what a run did, once.

        Args:
            run: a reserved run.
            mechanism: the reserved one with as many steps or fewer; None where None was reserved.

        Raises:
            LedgerError: it was not reserved, is settled already, or took something else; it then counts in full.
        """
        settlement = Settlement(run=run, mechanism=mechanism)
        with self._database.writing() as connection:
            book = self._sound(connection)
            objection = settlement_objection(book.run(run), settlement)
            if objection is not None:
                raise LedgerError(f"this entry {objection}", hint="what is not settled counts as it was reserved")
            return self._append(connection, book, settlement)

    def conclude(self, run: str, conclusion: Conclusion, detail: str = "") -> LedgerHead:
        """Write down how a run ended, for people: it changes no sum. What is said last is shown.

        Raises:
            LedgerError: nobody ever asked for this run.
        """
        with self._database.writing() as connection:
            book = self._sound(connection)
            if run not in book.story.declined:
                book.run(run)
            return self._append(connection, book, Ending(run=run, conclusion=conclusion, detail=_one_line(detail)))

    def standing(self, identities: Identities, *, policy_digest: str) -> Standing:
        """What units have spent so far, and how often this policy was tried on them."""
        asked = disguise(identities, key=self._key)
        with self._database.reading() as connection:
            return read_standing(connection, self._sound(connection), asked, policy_digest=policy_digest)

    def position(self, run: str) -> Position:
        """What the units of a run have spent so far, the run included.

        Raises:
            LedgerError: the run was not reserved.
        """
        with self._database.reading() as connection:
            book = self._sound(connection)
            its = book.run(run)
            asked = read_set(connection, its.set_digest)
            policy_digest = its.reservation.policy_digest
            return Position(
                head=book.head, standing=read_standing(connection, book, asked, policy_digest=policy_digest)
            )

    def statement_at(self, run: str, head: LedgerHead) -> Standing | None:
        """What the units of a run had spent when the ledger ended at `head`; None where it never did.

        Raises:
            LedgerError: the run was not reserved.
        """
        with self._database.reading() as connection:
            book = self._sound(connection)
            run_of_it = book.run(run)
            then = replay(book.entries[: head.length], ledger=book.ledger)
            if run not in then.runs:
                return None
            earlier = dataclasses.replace(book, entries=book.entries[: head.length], story=then)
            asked = read_set(connection, run_of_it.set_digest)
            return read_standing(connection, earlier, asked, policy_digest=run_of_it.reservation.policy_digest)

    def attempt(self, run: str) -> int:
        """Which attempt of its policy on its units a run was, from 1: as its reservation found it.

        Raises:
            LedgerError: the run was not reserved.
        """
        with self._database.reading() as connection:
            book = self._sound(connection)
            its = book.run(run)
            then = replay(book.entries[: its.number], ledger=book.ledger)
            earlier = dataclasses.replace(book, entries=book.entries[: its.number], story=then)
            asked = read_set(connection, its.set_digest)
            return read_standing(connection, earlier, asked, policy_digest=its.reservation.policy_digest).attempts

    def tried(self, run: str, *, policy_digest: str) -> int:
        """How often a policy was tried on the units of a run, by any run.

        Raises:
            LedgerError: the run was not reserved.
        """
        with self._database.reading() as connection:
            book = self._sound(connection)
            asked = read_set(connection, book.run(run).set_digest)
            return read_standing(connection, book, asked, policy_digest=policy_digest).attempts

    def head(self) -> LedgerHead:
        """How far the ledger has got."""
        with self._database.reading() as connection:
            return self._sound(connection).head

    def contains(self, head: LedgerHead) -> bool:
        """Whether this ledger once ended exactly so."""
        with self._database.reading() as connection:
            book = self._sound(connection)
            return 1 <= head.length <= len(book.entries) and head == head_of(
                book.entries[: head.length], ledger=book.ledger
            )

    def entries(self) -> tuple[Entry, ...]:
        """Every entry as it is stored; nothing is verified.

        Raises:
            LedgerError: an entry no longer has an entry's form.
        """
        with self._database.reading() as connection:
            stored = read_entries(connection)
        if stored.problems:
            raise LedgerError(f"the ledger was changed: {stored.problems[0]}", hint="see `gatekeeper ledger check`")
        return stored.entries

    def account(self) -> Account:
        """Every reserved run, for people; unit sets are counted, not verified."""
        with self._database.reading() as connection:
            book, units = self._sound(connection), count_units(connection)
        return Account(
            head=book.head, runs=tuple(_summary(run, units=units.get(run.set_digest, 0)) for run in book.runs)
        )

    def check(self, expected: LedgerHead | None = None) -> tuple[str, ...]:
        """Everything that is wrong with the ledger; empty where nothing is.

        Args:
            expected: a head that was kept elsewhere. Without one, entries that are gone from the end are not missed.
        """
        with self._database.reading() as connection:
            book = read_book(connection, key=self._key)
            problems = [*book.problems, *set_problems(connection, book)]
        if expected is not None:
            problems += head_problems(book.entries, ledger=book.ledger, expected=expected)
        return tuple(problems)

    def _sound(self, connection: Connection) -> Book:
        return read_sound_book(connection, key=self._key)

    def _append(self, connection: Connection, book: Book, fact: Fact, *, set_digest: str | None = None) -> LedgerHead:
        entry = follow(book.entries[-1], fact, ledger=book.ledger, time=now(), set_digest=set_digest, key=self._key)
        write_entry(connection, entry)
        return LedgerHead(ledger=book.ledger, length=entry.number, digest=entry.digest)


def now() -> str:
    """UTC, RFC 3339, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _summary(run: Run, *, units: int) -> RunSummary:
    return RunSummary(
        number=run.number,
        time=run.time,
        reservation=run.reservation,
        units=units,
        settled=run.settlement is not None,
        mechanism=run.mechanism,
        conclusion=None if run.ending is None else run.ending.conclusion,
        detail="" if run.ending is None else run.ending.detail,
    )


def _one_line(text: str) -> str:
    """A text that any database stores and any terminal shows: half characters and control characters are spaces."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
