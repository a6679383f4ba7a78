"""The database under a ledger: transactions that exclude each other, and errors that a person can act on.

Writers exclude each other from their first statement on: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by an advisory
lock, which a role needs no right to edit or delete for (grant SELECT and INSERT). What is committed survives a loss
of power: SQLite with `synchronous=EXTRA`, which also pushes the removal of its journal to the disk
(sqlite.org/pragma.html#pragma_synchronous), PostgreSQL with `synchronous_commit` never off.
SQLite's locks are as good as its file system's: keep the file on a local disk, and several machines on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from gatekeeper.errors import LedgerError
from gatekeeper.ledger.addresses import Address

# How long a process waits for another one's transaction; it holds the lock while `allow` prices a run.
BUSY_SECONDS = 60
_CONNECT_SECONDS = 10
# Any number: it names the lock of all ledgers in one PostgreSQL database.
_LOCK = 7_236_120_941

_ANSWERS = (
    ("locked", "another process holds the ledger: try again when it has finished"),
    ("lock timeout", "another process holds the ledger: try again when it has finished"),
    ("readonly", "the file and its directory must be writable by this user"),
    ("read-only", "the database must be writable"),
    ("is full", "make room on the disk"),
    ("No space left", "make room on the disk"),
    ("not a database", "give the ledger's own file"),
    ("malformed", "restore the ledger from a backup"),
    ("only appended to", "a ledger's entries are never edited or deleted"),
    ("permission denied", "the role needs SELECT and INSERT on the ledger's tables"),
    ("unable to open", "the file and its directory must be writable by this user"),
    ("connection", "check host, port, user and database, and that the server runs"),
)


class Database:
    """Connections to one ledger's database; none is kept open between transactions.

    Args:
        place: where it lies.

    Raises:
        LedgerError: PostgreSQL's driver is not installed.
    """

    def __init__(self, place: Address) -> None:
        self.place = place
        self._engine = _engine(place)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment and writes nothing."""
        first = ["BEGIN"] if self.place.path else ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"]
        with self._transaction(first) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer runs beside; whatever is raised inside leaves nothing behind."""
        first = ["BEGIN IMMEDIATE"] if self.place.path else _lock_postgresql()
        with self._transaction(first) as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, first: list[str]) -> Iterator[Connection]:
        with database_errors(self.place), self._engine.begin() as connection:
            for statement in first:
                connection.exec_driver_sql(statement)
            yield connection


def _lock_postgresql() -> list[str]:
    """Wait for the lock, and see everything that was committed until it was granted."""
    return [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
        f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'",
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
        f"SELECT pg_advisory_xact_lock({_LOCK})",
    ]


def _engine(place: Address) -> Engine:
    if place.path is not None:
        path = place.path
        return create_engine("sqlite://", creator=lambda: connect_sqlite(path), poolclass=NullPool)
    assert place.url is not None
    url = place.url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS), **place.url.query})
    try:
        return create_engine(url, poolclass=NullPool)
    except ImportError as error:
        raise LedgerError(
            f"PostgreSQL's driver can't be loaded: {error}",
            where=place.shown,
            hint='pip install "gatekeeper[postgresql]"',
        ) from error


def connect_sqlite(path: Path) -> sqlite3.Connection:
    """Open an existing file; transactions are begun by us alone, as SQLAlchemy's notes on pysqlite advise."""
    quoted = urllib.parse.quote(os.fsencode(path.absolute()))
    connection = sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def database_errors(place: Address) -> Iterator[None]:
    """Turn what a driver says into one line without its SQL, the values in it, or a password; say which ledger."""
    try:
        yield
    except LedgerError as error:
        error.where = error.where or place.shown
        raise
    except SQLAlchemyError as error:
        said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        lines = [line.strip() for line in place.clean(said).splitlines() if line.strip()]
        hint = next((answer for words, answer in _ANSWERS if words in said), None)
        # Neither is the driver's error kept as a cause: it repeats the statement and its values.
        raise LedgerError(
            f"the ledger's database says: {lines[0] if lines else type(error).__name__}", where=place.shown, hint=hint
        ) from None
