"""The steps from an empty database to today's ledger: numbered, in order, never changed once released.

A step is literal SQL, so that it does the same for ever; what differs between the two databases is said twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

_APPEND_ONLY = ("ledger_entries", "ledger_units")
_REFUSAL = "a ledger is only appended to"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step.

    Attributes:
        version: the version that it leads to, from 1.
        sqlite: its statements for SQLite.
        postgresql: its statements for PostgreSQL.
    """

    version: int
    sqlite: tuple[str, ...]
    postgresql: tuple[str, ...]


def _tables(*, clustered: str) -> tuple[str, ...]:
    return (
        "CREATE TABLE ledger_about (ledger TEXT NOT NULL, version INTEGER NOT NULL, key_check TEXT NOT NULL)",
        "CREATE TABLE ledger_entries (number INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, "
        "payload TEXT NOT NULL, set_digest TEXT, previous TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, "
        "mac TEXT NOT NULL)",
        "CREATE TABLE ledger_units (set_digest TEXT NOT NULL, unit INTEGER NOT NULL, pseudonym TEXT NOT NULL, "
        f"PRIMARY KEY (set_digest, pseudonym)){clustered}",
    )


def _append_only_sqlite() -> tuple[str, ...]:
    return tuple(
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        for table in _APPEND_ONLY
        for verb in ("update", "delete")
    )


def _append_only_postgresql() -> tuple[str, ...]:
    function = (
        "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    triggers = (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        for table in _APPEND_ONLY
    )
    return (function, *triggers)


STEPS = (
    # Pseudonyms come sorted, so a table that is kept in their order is filled at its end, and is half as large.
    Step(version=1, sqlite=_tables(clustered=" WITHOUT ROWID"), postgresql=_tables(clustered="")),
    # An accident guard, no protection: whoever can drop a trigger is seen by the chain and the MACs alone.
    Step(version=2, sqlite=_append_only_sqlite(), postgresql=_append_only_postgresql()),
)

NEWEST = STEPS[-1].version


def apply_steps(connection: Connection, *, after: int, upto: int = NEWEST) -> None:
    """Take every step above version `after`, up to version `upto`, inside the caller's transaction."""
    for step in STEPS:
        if after < step.version <= upto:
            for statement in step.sqlite if connection.dialect.name == "sqlite" else step.postgresql:
                connection.exec_driver_sql(statement)
