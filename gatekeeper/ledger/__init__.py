"""The ledger: what each set of units has spent over all runs, whoever ran them and however they ended.

A run is *reserved* before its first step, with all that it may take; then it is *settled* with what it did. One
that dies in between counts in full, so the ledger never understates. Whether a run may start is decided inside
the transaction that reserves it, so two runs can't both take the last of a budget.

From the innermost layer out:

- `nouns`: entries, what each kind says, and answers.
- `keys`: the key, which names units and authenticates entries; the database never holds it.
- `unitsets`: units under pseudonyms, and which are the same.
- `chain`: digests that link the entries, and MACs; `replay`: what the entries add up to; `standings`: per unit.
- `addresses`, `database`, `tables`, `migrations`, `store`: SQLite or PostgreSQL, through SQLAlchemy.
- `book`: one moment of a ledger; `ledger`: what can be done with it; `opening`: how it is made and opened.
- `export`: JSON Lines for auditors, checked without key or database.

What it protects against: accidents, crashes, two processes at once, and whoever can write the database but has no
key: edited, deleted or reordered entries and edited unit sets are seen before anything is built on them. Entries
removed from the end, or the whole ledger replaced by an older copy, are seen only against a head that was kept
elsewhere: every certificate holds one. Whoever has the key as well can write any history that they like.
"""

from gatekeeper.ledger.export import ExportCheck, check_export, export
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.ledger.nouns import Account, Entry, Position, Reserved, RunSummary
from gatekeeper.ledger.opening import create, migrate, open_ledger

__all__ = [
    "Account",
    "Entry",
    "ExportCheck",
    "Ledger",
    "Position",
    "Reserved",
    "RunSummary",
    "check_export",
    "create",
    "export",
    "migrate",
    "open_ledger",
]
