"""Where a ledger lies: a file, or a PostgreSQL database. An address is shown without its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gatekeeper.errors import LedgerError

POSTGRESQL = "postgresql+psycopg"
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_FORMS = f"a path, sqlite:///path, or {POSTGRESQL}://user@host/database"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A ledger's place.

    Attributes:
        shown: the place for messages, without password and options.
        path: the SQLite file, or None for PostgreSQL.
        url: PostgreSQL's URL, or None for SQLite; never printed.
    """

    shown: str
    path: Path | None
    url: URL | None = field(repr=False)

    def clean(self, text: str) -> str:
        """A driver's message without any password that the URL holds, directly or among its options."""
        if self.url is not None:
            named = [value for name, value in self.url.query.items() if "password" in name]
            for secret in filter(None, [self.url.password, *named]):
                text = text.replace(str(secret), "***")
        return text


def address(text: str) -> Address:
    """The address that a person wrote.

    Raises:
        LedgerError: it is neither a path nor a URL of a kind that is used.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _file(text, shown=text)
    if scheme in _SQLITE:
        return _file_url(rest, shown=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not repeated, nor the error that repeats it: it may hold a password.
        raise LedgerError("the ledger's URL can't be understood", hint=f"give {_FORMS}") from None
    if url.get_backend_name() in {"postgresql", "postgres"} and url.drivername != POSTGRESQL:
        raise LedgerError(
            f"a PostgreSQL ledger needs its driver in the URL, got {url.drivername}://",
            where=_shown(url),
            hint=f"write {POSTGRESQL}://…",
        )
    if url.drivername != POSTGRESQL:
        raise LedgerError(f"a ledger is never kept in {url.drivername}", hint=f"give {_FORMS}")
    return Address(shown=_shown(url), path=None, url=url)


def _file_url(rest: str, *, shown: str) -> Address:
    """What stands behind `sqlite://`: a slash, and then the path as it is, without any escapes."""
    if "?" in rest or (rest and not rest.startswith("/")):
        raise LedgerError(f"a ledger's file takes no host and no options, got {shown!r}", hint=f"give {_FORMS}")
    return _file(rest[1:], shown=shown)


def _file(name: str, *, shown: str) -> Address:
    if not name or name.startswith(":memory:") or name.startswith("file:"):
        raise LedgerError(f"a ledger is a file that lasts, got {shown!r}", hint=f"give {_FORMS}")
    return Address(shown=shown, path=Path(name), url=None)


def _shown(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)
