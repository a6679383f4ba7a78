"""`gatekeeper ledger`: what each command prints, and what it exits with."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli.main import app, boundary
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.ledger import Ledger, open_ledger
from gatekeeper.ledger.opening import create_version
from tests.ledger_samples import go, mechanism, people, reservation

ROOT = Path(__file__).resolve().parent.parent
PLACE, KEY = ".gatekeeper/ledger.sqlite", Path(".gatekeeper/ledger.key")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEKEEPER_LEDGER", "GATEKEEPER_LEDGER_KEY"):
        monkeypatch.delenv(name, raising=False)


@dataclass
class Ran:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Ran:
    """A command of the group, through the boundary."""
    with CliRunner().isolation() as streams:
        code = boundary(lambda: app(["ledger", *arguments], standalone_mode=False))
        sys.stdout.flush()
        sys.stderr.flush()
        return Ran(code, streams[0].getvalue().decode(), streams[1].getvalue().decode())


def a_ledger() -> Ledger:
    """A ledger in its usual place: one run settled and refused, one that died, one that was never private."""
    assert run("init").exit_code == 0
    ledger = open_ledger(PLACE, key=KEY)
    ledger.reserve(reservation("first"), people("ann", "bob"), allow=go)
    ledger.settle("first", mechanism(40))
    ledger.conclude("first", "refused", "mcc")
    ledger.reserve(reservation("second", non_private=True), people("ann", "bob", "cem"), allow=go)
    ledger.reserve(reservation("third", steps=None), people("ann"), allow=go)
    ledger.reserve(reservation("fourth"), people("ann"), allow=lambda standing: "no")
    return ledger


def test_init_says_what_was_made_and_what_to_do_with_the_key() -> None:
    made = run("init")
    assert made.exit_code == 0
    head = open_ledger(PLACE, key=KEY).head()
    assert f"head:   {head}" in made.stdout
    assert f"ledger: {head.ledger}" in made.stdout
    assert f"{KEY} (new)" in made.stdout
    assert "back the key up" in made.stderr
    assert KEY.read_text().splitlines()[1] not in made.stdout + made.stderr
    again = run("init")
    assert (again.exit_code, "there is a ledger already" in again.stderr) == (2, True)
    assert "the one that was there" in run("init", "--ledger", "other").stdout


def test_show_has_a_row_for_each_run() -> None:
    ledger = a_ledger()
    shown = run("show")
    assert shown.exit_code == 0
    rows = {
        cells[2]: line for line in shown.stdout.splitlines() if len(cells := line.split()) > 5 and cells[0].isdigit()
    }
    assert re.search(r" 2 +poisson, σ 1.5, q 0.01, T 40 +settled +refused: mcc$", rows["first"])
    assert re.search(r" 3 +.*T 100, and NOT PRIVATE besides +never settled: counted in full$", rows["second"])
    assert re.search(r" 1 +NOT PRIVATE +never settled", rows["third"])
    assert "fourth" not in rows
    assert f"3 runs; head {ledger.head()}" in shown.stdout


def test_show_as_json_is_versioned_and_whole() -> None:
    ledger = a_ledger()
    shown = json.loads(run("show", "--format", "json").stdout)
    assert shown["schema"] == "urn:gatekeeper:ledger:v1"
    assert LedgerHead(**shown["head"]) == ledger.head()
    assert [(each["reservation"]["run"], each["units"], each["settled"]) for each in shown["runs"]] == [
        ("first", 2, True),
        ("second", 3, False),
        ("third", 1, False),
    ]
    assert shown["runs"][0]["mechanism"]["steps"] == 40
    assert shown["runs"][0]["reservation"]["mechanism"]["steps"] == 100


def test_check_exits_with_0_where_sound_and_with_4_where_not() -> None:
    ledger = a_ledger()
    head = ledger.head()
    sound = run("check", "--head", str(head))
    assert (sound.exit_code, sound.stdout) == (0, f"sound: {head}\n")
    connection = sqlite3.connect(PLACE)
    connection.execute("DROP TRIGGER ledger_entries_no_update")
    connection.execute("UPDATE ledger_entries SET time = '2020-01-01T00:00:00Z' WHERE number IN (2, 4)")
    connection.commit()
    connection.close()
    changed = run("check")
    assert changed.exit_code == 4
    assert [line[:26] for line in changed.stdout.splitlines()] == [
        "problem: entry 2 was edite",
        "problem: entry 4 was edite",
    ]
    shown = run("show")
    assert (shown.exit_code, "gatekeeper ledger check" in shown.stderr) == (2, True)


def test_a_head_that_is_none_is_a_usage_error() -> None:
    a_ledger()
    for text in ("x", "a:1", "a:b:c", f"a:-1:{'0' * 64}", f"a:1:{'0' * 63}"):
        assert run("check", "--head", text).exit_code == 2


def test_an_export_is_checked_without_key_or_ledger() -> None:
    head = a_ledger().head()
    assert run("export", "-o", "entries.jsonl").exit_code == 0
    assert run("export").stdout == Path("entries.jsonl").read_text()
    for path in (Path(PLACE), KEY):
        path.unlink()
    sound = run("check", "--file", "entries.jsonl", "--head", str(head))
    assert (sound.exit_code, sound.stdout) == (0, f"sound: {head}\n")
    lines = Path("entries.jsonl").read_text().splitlines(keepends=True)
    Path("entries.jsonl").write_text("".join(lines[:-1]))
    assert run("check", "--file", "entries.jsonl").exit_code == 0
    cut = run("check", "--file", "entries.jsonl", "--head", str(head))
    assert (cut.exit_code, "shorter than remembered" in cut.stdout) == (4, True)
    Path("entries.jsonl").write_bytes(b"\xff")
    assert run("check", "--file", "entries.jsonl").exit_code == 2
    assert run("check", "--file", "nowhere").exit_code == 2


def test_migrate_brings_an_old_ledger_up_to_date() -> None:
    head = create_version(PLACE, key=KEY, version=1)
    assert "gatekeeper ledger migrate" in run("check").stderr
    migrated = run("migrate")
    assert (migrated.exit_code, migrated.stdout) == (0, f"was of version 1; head: {head}\n")
    assert run("check", "--head", str(head)).exit_code == 0


@pytest.mark.parametrize("command", ["show", "check", "export", "migrate"])
def test_a_missing_ledger_is_an_error_that_says_how_to_make_one(command: str, tmp_path: Path) -> None:
    ran = run(command)
    assert ran.exit_code == 2
    assert "error [ledger] there is no ledger at .gatekeeper/ledger.sqlite" in ran.stderr
    assert "gatekeeper ledger init" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_where_ledger_and_key_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEKEEPER_LEDGER", str(tmp_path / "deep" / "l"))
    monkeypatch.setenv("GATEKEEPER_LEDGER_KEY", str(tmp_path / "deep" / "k"))
    assert run("init").exit_code == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["k", "l"]


@pytest.mark.parametrize("arguments", [["ledger", "--help"], ["ledger", "check", "--help"]])
def test_help_loads_no_database(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom gatekeeper.cli.main import app, boundary\n"
        f"boundary(lambda: app({arguments}, standalone_mode=False))\nprint(*sorted(sys.modules), sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"sqlalchemy", "sqlite3", "psycopg", "rich", "numpy"} & set(loaded.stdout.split("\n"))
