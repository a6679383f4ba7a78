"""Whoever can write the database but has no key: every edit is seen, and nothing is built on it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import LedgerError
from gatekeeper.ledger import Entry, Ledger, check_export, create, export, open_ledger
from gatekeeper.ledger.chain import entry_digest
from tests.ledger_samples import POLICY, go, mechanism, new_ledger, people, reservation


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """1 opened, 2 one reserved, 3 one settled, 4 one concluded, 5 two reserved, 6 two settled."""
    ledger = new_ledger(str(tmp_path / "ledger"), tmp_path / "key")
    for number, run in enumerate(("one", "two")):
        ledger.reserve(reservation(run), people(*range(10 * number, 10 * number + 20)), allow=go)
        ledger.settle(run, mechanism(90))
        if number == 0:
            ledger.conclude("one", "refused", "mcc")
    return ledger


@pytest.fixture
def tamper(ledger: Ledger, tmp_path: Path) -> Callable[..., None]:
    """Run SQL on the ledger's file, as somebody who knows that triggers can be dropped."""

    def run(*statements: str) -> None:
        connection = sqlite3.connect(tmp_path / "ledger")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return run


OF = "set_digest = (SELECT set_digest FROM ledger_entries WHERE number = {})"
EDITS = {
    "a payload": (
        """UPDATE ledger_entries SET payload = replace(payload, '"steps":90', '"steps":1') WHERE number = 3""",
        ["entry 3 was edited"],
    ),
    "a time": ("UPDATE ledger_entries SET time = '2020-01-01T00:00:00Z' WHERE number = 2", ["entry 2 was edited"]),
    "a kind": (
        "UPDATE ledger_entries SET kind = 'declined' WHERE number = 5",
        [
            "entry 5 was edited",
            "entry 5 can't be read",
            "entry 6 settles run two, which was never",
        ],
    ),
    "an unknown kind": (
        "UPDATE ledger_entries SET kind = 'forgotten' WHERE number = 4",
        ["entry 4 was edited: kind must be one of"],
    ),
    "a payload that is no text": (
        "UPDATE ledger_entries SET payload = x'00' WHERE number = 4",
        ["entry 4 was edited: payload must be text"],
    ),
    "another set": (
        "UPDATE ledger_entries SET set_digest = (SELECT set_digest FROM ledger_entries WHERE number = 2) "
        "WHERE number = 5",
        ["entry 5 was edited"],
    ),
    "a MAC": (
        f"UPDATE ledger_entries SET mac = '{'0' * 64}' WHERE number = 2",
        ["entry 2 was not written with this key"],
    ),
    "a deleted entry": ("DELETE FROM ledger_entries WHERE number = 4", ["entry 4 is missing"]),
    "two deleted entries": ("DELETE FROM ledger_entries WHERE number IN (3, 4)", ["entries 3 to 4 are missing"]),
    "the opening": ("DELETE FROM ledger_entries WHERE number = 1", ["entry 1 is missing"]),
    "everything": ("DELETE FROM ledger_entries", ["there is no entry at all"]),
    "another id": (
        f"UPDATE ledger_about SET ledger = '{'0' * 32}'",
        ["entry 1 was edited", "entry 2 was edited", "entry 1 opens ledger"],
    ),
    "a deleted unit": (
        f"DELETE FROM ledger_units WHERE unit = 7 AND {OF.format(2)}",
        ["the units of entry 2 were edited"],
    ),
    "a moved unit": (
        f"UPDATE ledger_units SET unit = 8 WHERE unit = 7 AND {OF.format(5)}",
        ["the units of entry 5 were edited"],
    ),
    "a renamed unit": (
        f"UPDATE ledger_units SET pseudonym = '{'0' * 64}' WHERE unit = 7 AND {OF.format(5)}",
        ["the units of entry 5 were edited"],
    ),
    "units of nobody": (
        f"INSERT INTO ledger_units VALUES ('{'0' * 64}', 1, '{'1' * 64}')",
        ["1 unit sets belong to no entry"],
    ),
    "swapped entries": (
        "UPDATE ledger_entries SET number = CASE number WHEN 3 THEN -4 WHEN 4 THEN -3 ELSE number END",
        ["entry 3 was edited", "entry 4 was edited", "the chain breaks at entry 3"],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_named(name: str, ledger: Ledger, tamper: Callable[..., None]) -> None:
    statement, expected = EDITS[name]
    assert ledger.check() == ()
    tamper(statement, "UPDATE ledger_entries SET number = -number WHERE number < 0")
    problems = ledger.check()
    assert [text for text in expected if not any(problem.startswith(text) for problem in problems)] == []


@pytest.mark.parametrize("name", [name for name in EDITS if name != "units of nobody"])
def test_nothing_is_reserved_on_a_ledger_that_was_changed(
    name: str, ledger: Ledger, tamper: Callable[..., None], tmp_path: Path
) -> None:
    tamper(EDITS[name][0], "UPDATE ledger_entries SET number = -number WHERE number < 0")
    before = (tmp_path / "ledger").read_bytes()
    with pytest.raises(LedgerError, match="the ledger was changed"):
        ledger.reserve(reservation("three"), people(1), allow=go)
    with pytest.raises(LedgerError, match="the ledger was changed"):
        ledger.standing(people(1), policy_digest=POLICY)
    assert (tmp_path / "ledger").read_bytes() == before


def test_a_cut_end_is_seen_by_whoever_kept_a_head(ledger: Ledger, tamper: Callable[..., None]) -> None:
    head = ledger.head()
    tamper(
        "DELETE FROM ledger_units WHERE set_digest = (SELECT set_digest FROM ledger_entries WHERE number = 5)",
        "DELETE FROM ledger_entries WHERE number >= 5",
    )
    assert ledger.check() == (), "a shorter ledger is whole"
    assert ledger.check(head) == ("the ledger is shorter than remembered: 4 entries, there were 6",)
    assert not ledger.contains(head)


def test_another_history_of_the_same_length_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "ledger", tmp_path / "older")
    ledger.reserve(reservation("three", steps=1000), people(1), allow=go)
    head = ledger.head()
    shutil.copy(tmp_path / "older", tmp_path / "ledger")
    ledger.reserve(reservation("three", steps=1), people(1), allow=go)
    assert ledger.check() == ()
    assert ledger.check(head) == (f"entry {head.length} is not the one that is remembered: history was written anew",)


def test_a_replaced_ledger_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    head = ledger.head()
    create(str(tmp_path / "other"), key=tmp_path / "key")
    shutil.copy(tmp_path / "other", tmp_path / "ledger")
    other = open_ledger(str(tmp_path / "ledger"), key=tmp_path / "key")
    assert other.check() == ()
    assert other.check(head) == (f"this is ledger {other.head().ledger}, not {head.ledger}",)


def test_entries_of_another_ledger_with_the_same_key_do_not_fit(
    ledger: Ledger, tamper: Callable[..., None], tmp_path: Path
) -> None:
    other = new_ledger(str(tmp_path / "other"), tmp_path / "key")
    other.reserve(reservation("one", steps=1), people(*range(20)), allow=go)
    tamper(
        f"ATTACH '{tmp_path / 'other'}' AS other",
        "DELETE FROM ledger_entries WHERE number > 1",
        "INSERT INTO ledger_entries SELECT * FROM other.ledger_entries WHERE number > 1",
    )
    assert any("entry 2 was edited" in problem for problem in ledger.check())


def test_without_the_key_a_chain_can_be_computed_but_not_authenticated(
    ledger: Ledger, tamper: Callable[..., None]
) -> None:
    entries = ledger.entries()
    last = entries[-1]
    forged = last.payload.replace('"steps":90', '"steps":1')
    digest = entry_digest(
        ledger=ledger.head().ledger,
        number=last.number,
        time=last.time,
        kind=last.kind,
        payload=forged,
        set_digest=None,
        previous=last.previous,
    )
    tamper(f"UPDATE ledger_entries SET payload = '{forged}', digest = '{digest}' WHERE number = 6")
    assert ledger.check() == ("entry 6 was not written with this key: its MAC is wrong",)


def test_the_database_itself_refuses_accidents(ledger: Ledger, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger")
    for statement in (
        "DELETE FROM ledger_entries WHERE number = 6",
        "UPDATE ledger_entries SET time = ''",
        "DELETE FROM ledger_units",
        "UPDATE ledger_units SET unit = 1",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only appended to"):
            connection.execute(statement)
    connection.close()
    assert ledger.check() == ()


def exported(ledger: Ledger) -> list[str]:
    return export(ledger.entries()).splitlines(keepends=True)


def test_an_export_is_checked_without_key_or_database(ledger: Ledger) -> None:
    result = check_export("".join(exported(ledger)), expected=ledger.head())
    assert result.problems == ()
    assert result.head == ledger.head()


def change(line: str, **fields: object) -> str:
    entry = decode(line, Entry)
    values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    return encode(Entry(**{**values, **fields}))


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda lines: lines[:2] + lines[3:], "entry 3 is missing"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "entry 3 is out of order"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "entry 3 is out of order: entry 4 was due"),
        (lambda lines: lines[1:], "does not say which ledger"),
        (lambda lines: [], "does not say which ledger"),
        (lambda lines: [*lines[:2], lines[2].replace("settled", "concluded"), *lines[3:]], "entry 3 can't be read"),
        (lambda lines: [*lines[:2], lines[2].replace(":90", ":91"), *lines[3:]], "entry 3 was edited"),
        (lambda lines: [*lines, "\n"], "line 7 is no entry"),
        (lambda lines: [*lines[:2], lines[2][:40]], "line 3 is no entry"),
        (lambda lines: [*lines[:2], " " + lines[2], *lines[3:]], "line 3 is no entry"),
        (lambda lines: [change(lines[0], payload='{"ledger":"x"}\n'), *lines[1:]], "entry 1 was edited"),
        (lambda lines: lines[:5], "shorter than remembered"),
    ],
)  # fmt: skip
def test_an_export_that_was_changed_is_seen(
    ledger: Ledger, edit: Callable[[list[str]], list[str]], problem: str
) -> None:
    result = check_export("".join(edit(exported(ledger))), expected=ledger.head())
    assert any(problem in found for found in result.problems), result.problems


def test_heads_are_read_as_they_are_written(ledger: Ledger) -> None:
    assert LedgerHead.parse(str(ledger.head())) == ledger.head()
