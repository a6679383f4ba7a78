"""A ledger as JSON Lines, and the check of such a file: by an auditor who has neither key nor database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import InvalidValueError
from gatekeeper.ledger.chain import chain_problems, head_of, head_problems
from gatekeeper.ledger.nouns import Entry, Opening
from gatekeeper.ledger.replay import replay


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportCheck:
    """What an export shows.

    Attributes:
        head: which ledger, and how far it had got, by its own words; None where it does not say.
        problems: everything that is wrong with it; MACs and unit sets can't be checked without key and database.
    """

    head: LedgerHead | None
    problems: tuple[str, ...]


def export(entries: Iterable[Entry]) -> str:
    """One line of canonical JSON for each entry."""
    return "".join(map(encode, entries))


def check_export(text: str, *, expected: LedgerHead | None = None) -> ExportCheck:
    """Check the chain of an export, and that its entries can follow each other.

    Args:
        text: what `export` wrote.
        expected: a head that was kept elsewhere; without one, a cut end is not missed.
    """
    entries, problems = _read(text)
    ledger = _ledger_of(entries)
    if ledger is None:
        return ExportCheck(head=None, problems=(*problems, "the first entry does not say which ledger this is"))
    problems += chain_problems(entries, ledger=ledger)
    problems += replay(entries, ledger=ledger).problems
    if expected is not None:
        problems += head_problems(entries, ledger=ledger, expected=expected)
    return ExportCheck(head=head_of(entries, ledger=ledger), problems=tuple(problems))


def _read(text: str) -> tuple[tuple[Entry, ...], list[str]]:
    entries, problems = [], []
    for number, line in enumerate(text.split("\n")[: None if not text.endswith("\n") else -1], start=1):
        try:
            entries.append(decode(line + "\n", Entry))
        except InvalidValueError as error:
            problems.append(f"line {number} is no entry: {error.message}")
    return tuple(entries), problems


def _ledger_of(entries: tuple[Entry, ...]) -> str | None:
    """The ledger's id, as its first entry says it."""
    try:
        fact = entries[0].fact if entries else None
    except InvalidValueError:
        return None
    return fact.ledger if isinstance(fact, Opening) else None
