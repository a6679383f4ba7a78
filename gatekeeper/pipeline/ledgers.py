"""Looking after ledgers: made, opened, brought up to date, exported and checked. Runs are counted in `counting`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import InvalidInputError

if TYPE_CHECKING:
    from gatekeeper.ledger import ExportCheck
    from gatekeeper.ledger import Ledger as Ledger
    from gatekeeper.ledger import RunSummary as RunSummary


def make_ledger(url: str, *, key: Path) -> LedgerHead:
    """A new ledger, and its key where there is none yet.

    Raises:
        LedgerError: there is a ledger already, or ledger or key can't be made.
    """
    from gatekeeper.ledger import create

    return create(url, key=key)


def find_ledger(url: str, *, key: Path) -> Ledger:
    """The ledger, which must exist.

    Raises:
        LedgerError: there is none, or the key is another one's.
    """
    from gatekeeper.ledger import open_ledger

    return open_ledger(url, key=key)


def migrate_ledger(url: str, *, key: Path) -> int:
    """Bring a ledger up to this gatekeeper's version; returns the version that it had."""
    from gatekeeper.ledger import migrate

    return migrate(url, key=key)


def export_ledger(ledger: Ledger) -> str:
    """Every entry as JSON Lines."""
    from gatekeeper.ledger import export

    return export(ledger.entries())


def check_exported(path: Path, *, expected: LedgerHead | None) -> ExportCheck:
    """Check a file that `export_ledger` wrote, without key or database.

    Raises:
        InvalidInputError: it can't be read as text.
    """
    from gatekeeper.ledger import check_export

    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise InvalidInputError(f"can't be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError("is no export of a ledger: it is not UTF-8", where=str(path)) from error
    return check_export(text, expected=expected)
