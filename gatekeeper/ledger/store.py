"""Rows to nouns and back: the only statements that read or write a ledger's tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, Row, func, insert, inspect, select

from gatekeeper.errors import InvalidValueError, LedgerError
from gatekeeper.ledger.nouns import Entry
from gatekeeper.ledger.tables import about, entries, units
from gatekeeper.ledger.unitsets import UnitSet, unit_set

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Which ledger a database holds.

    Attributes:
        ledger: its id.
        version: of its tables, as `migrations` counts.
        key_check: how to recognise its key.
    """

    ledger: str
    version: int
    key_check: str


def has_ledger(connection: Connection) -> bool:
    """Whether the database holds a ledger's tables."""
    return inspect(connection).has_table(about.name)


def read_about(connection: Connection) -> About:
    """The ledger's one row about itself.

    Raises:
        LedgerError: there is none, or it is not such a row.
    """
    rows = connection.execute(select(about.c.ledger, about.c.version, about.c.key_check)).all()
    if len(rows) != 1 or list(map(type, rows[0])) != [str, int, str]:
        raise LedgerError("the ledger was changed: it does not say which ledger it is", hint="restore it from a backup")
    ledger, version, key_check = rows[0]
    return About(ledger=ledger, version=version, key_check=key_check)


def write_about(connection: Connection, said: About) -> None:
    """The row of a new ledger."""
    row = {"ledger": said.ledger, "version": said.version, "key_check": said.key_check}
    connection.execute(insert(about).values(row))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """The entries as they are in the database.

    Attributes:
        entries: those that have an entry's form, by their numbers.
        problems: what was said of those that don't.
    """

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def read_entries(connection: Connection) -> Stored:
    """Every entry, in the order of their numbers."""
    found, problems = [], []
    for row in connection.execute(select(*entries.c).order_by(entries.c.number)):
        try:
            found.append(_entry(row))
        except InvalidValueError as error:
            problems.append(f"entry {row.number} was edited: {error.message}")
    return Stored(entries=tuple(found), problems=tuple(problems))


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(**row._mapping)


def write_entry(connection: Connection, entry: Entry) -> None:
    """Append an entry."""
    row = {column.name: getattr(entry, column.name) for column in entries.c}
    connection.execute(insert(entries).values(row))


def read_set(connection: Connection, digest: str) -> UnitSet:
    """A unit set as it is stored, whatever it was once; empty where it is gone."""
    members: dict[object, list[str]] = {}
    query = select(units.c.unit, units.c.pseudonym).where(units.c.set_digest == digest)
    for unit, pseudonym in connection.execute(query).all():
        members.setdefault(unit, []).append(str(pseudonym))
    return unit_set(members.values())


def write_set(connection: Connection, asked: UnitSet) -> None:
    """Store a unit set, unless it is stored already."""
    digest = asked.digest
    if connection.execute(select(units.c.unit).where(units.c.set_digest == digest).limit(1)).first():
        return
    rows = iter(sorted(asked.places.items()))
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        values = [{"set_digest": digest, "unit": unit, "pseudonym": pseudonym} for pseudonym, unit in batch]
        connection.execute(insert(units), values)


def count_units(connection: Connection) -> dict[str, int]:
    """How many units each stored set has."""
    query = select(units.c.set_digest, func.count(units.c.unit.distinct())).group_by(units.c.set_digest)
    return {str(digest): int(number) for digest, number in connection.execute(query)}
