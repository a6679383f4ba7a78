"""How a ledger comes to be, is opened, and is brought up to date. Opening never makes anything."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, update

from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import LedgerError
from gatekeeper.ledger.addresses import Address, address
from gatekeeper.ledger.book import read_sound_book
from gatekeeper.ledger.chain import follow
from gatekeeper.ledger.database import Database
from gatekeeper.ledger.keys import LedgerKey, load, load_or_create
from gatekeeper.ledger.ledger import Ledger, now
from gatekeeper.ledger.migrations import NEWEST, apply_steps
from gatekeeper.ledger.nouns import Opening
from gatekeeper.ledger.store import About, has_ledger, read_about, write_about, write_entry
from gatekeeper.ledger.tables import about


def create(url: str, *, key: Path) -> LedgerHead:
    """Make a ledger, and its key where there is none yet.

    Args:
        url: a path, `sqlite:///path`, or `postgresql+psycopg://…`.
        key: the key's file. If it exists, that key is used: a team has one, for all its ledgers.

    Raises:
        LedgerError: there is a ledger already, or ledger or key can't be made.
    """
    return create_version(url, key=key, version=NEWEST)


def create_version(url: str, *, key: Path, version: int) -> LedgerHead:
    """Make a ledger as an older gatekeeper would have; for tests of migrations."""
    place = address(url)
    database = Database(place)
    if place.path is not None:
        _make_file(place.path)
    with database.writing() as connection:
        _refuse_what_is_there(connection, place)
        the_key, ledger = load_or_create(key), secrets.token_hex(16)
        apply_steps(connection, after=0, upto=version)
        write_about(connection, About(ledger=ledger, version=version, key_check=the_key.check))
        entry = follow(None, Opening(ledger=ledger), ledger=ledger, time=now(), set_digest=None, key=the_key)
        write_entry(connection, entry)
    return LedgerHead(ledger=ledger, length=1, digest=entry.digest)


def _make_file(path: Path) -> None:
    """An empty file that its owner alone can read, unless there is one; an empty one may be left from a failure.

    It stays where making the ledger fails: removing it could hit a ledger that another process has just made there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW, 0o600))
        if not stat.S_ISREG(path.stat().st_mode):
            raise LedgerError("is not a regular file", where=str(path))
        if path.stat().st_size == 0:
            path.chmod(0o600)
    except OSError as error:
        raise LedgerError(f"the ledger can't be made: {error.strerror}", where=str(path)) from error


def _refuse_what_is_there(connection: Connection, place: Address) -> None:
    if has_ledger(connection):
        raise LedgerError("there is a ledger already", where=place.shown, hint="use it, or choose another place")
    if place.path is not None and inspect(connection).get_table_names():
        raise LedgerError("is a database of something else", where=place.shown, hint="choose a file of its own")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    database: Database
    key: LedgerKey
    about: About


def open_ledger(url: str, *, key: Path) -> Ledger:
    """Open a ledger that exists, with its own key.

    Raises:
        LedgerError: there is none, it is of another version, or the key can't be used or is another ledger's.
    """
    found = _find(url, key=key)
    version = found.about.version
    if version < NEWEST:
        raise LedgerError(
            f"the ledger is of version {version}, this gatekeeper writes version {NEWEST}",
            where=found.database.place.shown,
            hint="back it up, then run `gatekeeper ledger migrate`",
        )
    return Ledger(found.database, key=found.key)


def migrate(url: str, *, key: Path) -> int:
    """Bring a ledger up to today's version, in one transaction.

    Returns:
        The version that it had; today's, where there was nothing to do.

    Raises:
        LedgerError: as for `open_ledger`, or the ledger was changed.
    """
    found = _find(url, key=key)
    with found.database.writing() as connection:
        before = read_about(connection).version
        read_sound_book(connection, key=found.key)
        apply_steps(connection, after=before)
        connection.execute(update(about).values(version=NEWEST))
    return before


def _find(url: str, *, key: Path) -> _Found:
    """The ledger at an address, if it is one that this gatekeeper knows and the key is its own."""
    place = address(url)
    if place.path is not None and not os.path.lexists(place.path):
        raise _missing(place)
    database = Database(place)
    with database.reading() as connection:
        if not has_ledger(connection):
            raise _missing(place)
        said = read_about(connection)
    if said.version > NEWEST:
        raise LedgerError(
            f"the ledger is of version {said.version}, this gatekeeper knows versions up to {NEWEST}",
            where=place.shown,
            hint="use a newer gatekeeper",
        )
    the_key = load(key)
    if not secrets.compare_digest(the_key.check, said.key_check):
        raise LedgerError("the key is another ledger's", where=str(key), hint=f"give the key of {place.shown}")
    return _Found(database=database, key=the_key, about=said)


def _missing(place: Address) -> LedgerError:
    return LedgerError(f"there is no ledger at {place.shown}", hint="make one with `gatekeeper ledger init`")
