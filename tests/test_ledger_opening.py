"""How a ledger is made, opened and brought up to date, and everything that can be wrong with place and key."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from gatekeeper.errors import LedgerError
from gatekeeper.ledger import Ledger, create, migrate, open_ledger
from gatekeeper.ledger import database as database_module
from gatekeeper.ledger.addresses import address
from gatekeeper.ledger.migrations import NEWEST, STEPS
from gatekeeper.ledger.opening import create_version
from tests.ledger_samples import POLICY, go, mechanism, new_ledger, people, reservation, steps_of
from tests.ledger_server import Server, server_or_skip

PASSWORD = "hush-hush"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with server_or_skip() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    running: Server = request.getfixturevalue("server")
    return running.new_database()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "key"


def test_opening_makes_nothing(url: str, tmp_path: Path, key: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LedgerError, match="there is no ledger at") as caught:
        open_ledger(url, key=key)
    assert "gatekeeper ledger init" in (caught.value.hint or "")
    assert sorted(tmp_path.iterdir()) == before


def test_the_key_of_another_ledger_is_refused(url: str, tmp_path: Path, key: Path) -> None:
    create(url, key=key)
    create(str(tmp_path / "other"), key=tmp_path / "other-key")
    with pytest.raises(LedgerError, match="the key is another ledger's"):
        open_ledger(url, key=tmp_path / "other-key")
    with pytest.raises(LedgerError, match="there is no such key file"):
        open_ledger(url, key=tmp_path / "nowhere")


def test_several_ledgers_share_a_key_which_is_never_overwritten(tmp_path: Path, key: Path) -> None:
    first = create(str(tmp_path / "first"), key=key)
    content = key.read_bytes()
    second = create(str(tmp_path / "second"), key=key)
    assert key.read_bytes() == content
    assert first.ledger != second.ledger
    assert open_ledger(str(tmp_path / "second"), key=key).head() == second


def test_ledger_and_key_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    new_ledger(str(tmp_path / "deep" / "ledger"), tmp_path / "other" / "key")
    for path in (tmp_path / "deep" / "ledger", tmp_path / "other" / "key"):
        assert path.stat().st_mode & 0o777 == 0o600
    lines = (tmp_path / "other" / "key").read_text().splitlines()
    assert len(lines) == 2
    assert len(bytes.fromhex(lines[1])) == 32


def test_a_key_that_others_can_read_a_link_and_nonsense_are_refused(tmp_path: Path, key: Path) -> None:
    place = str(tmp_path / "ledger")
    create(place, key=key)
    (tmp_path / "link").symlink_to(key)
    with pytest.raises(LedgerError, match="is a link"):
        open_ledger(place, key=tmp_path / "link")
    with pytest.raises(LedgerError, match="is a link"):
        create(str(tmp_path / "another"), key=tmp_path / "link")
    with pytest.raises(LedgerError):
        open_ledger(place, key=tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(LedgerError, match="not a regular file"):
        open_ledger(place, key=tmp_path / "pipe")
    key.chmod(0o640)
    with pytest.raises(LedgerError, match="open to others") as caught:
        open_ledger(place, key=key)
    assert f"chmod 600 {key}" == caught.value.hint
    key.chmod(0o600)
    good = key.read_text()
    for bad in ("", good[:-2], good + "00", good.upper(), f"{PASSWORD}\n", "\udcff"):
        key.write_text(bad, errors="surrogateescape")
        with pytest.raises(LedgerError, match="is no ledger key") as caught:
            open_ledger(place, key=key)
        assert PASSWORD not in str(caught.value)
    key.write_text(good)
    assert open_ledger(place, key=key).check() == ()


def test_the_subkeys_are_not_shown(tmp_path: Path, key: Path) -> None:
    ledger = new_ledger(str(tmp_path / "ledger"), key)
    secret = key.read_text().splitlines()[1]
    assert "pseudonyms=" not in repr(ledger._key)
    assert secret not in repr(ledger._key)
    assert secret.encode() not in (tmp_path / "ledger").read_bytes()


@pytest.mark.parametrize(
    ("form", "name"),
    [("{}", "a ?#%41 ü.sqlite"), ("sqlite:///{}", "a #%41 ü.sqlite"), ("sqlite+pysqlite:///{}", "a@b:c.sqlite")],
)
def test_a_file_is_named_by_path_or_url(form: str, name: str, tmp_path: Path, key: Path) -> None:
    path = tmp_path / name
    create(form.format(path), key=key)
    assert path.stat().st_size
    assert open_ledger(str(path), key=key).check() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"postgresql://me:{PASSWORD}@host/db", "needs its driver"),
        (f"postgresql+psycopg2://me:{PASSWORD}@host/db", "needs its driver"),
        (f"postgres://me:{PASSWORD}@host/db", "postgres"),
        (f"mysql://me:{PASSWORD}@host/db", "never kept in mysql"),
        (f"postgresql+psycopg://me:{PASSWORD}@host:port/db", "can't be understood"),
        (f"://me:{PASSWORD}@host/db", "can't be understood"),
        ("sqlite://", "a file that lasts"),
        ("sqlite:///:memory:", "a file that lasts"),
        (":memory:", "a file that lasts"),
        ("", "a file that lasts"),
        ("sqlite:///file:x?mode=memory&uri=true", "no options"),
        ("sqlite:///path?", "no options"),
        ("sqlite://host/path", "no host"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(text: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        address(text)
    assert PASSWORD not in str(caught.value)
    assert caught.value.hint


def test_a_drivers_message_is_cleared_of_every_password_in_the_url() -> None:
    place = address("postgresql+psycopg://me:first-one@host/db?sslpassword=second-one&options=kept")
    assert place.clean("first-one, second-one and kept") == "***, *** and kept"
    assert place.shown == "postgresql+psycopg://me:***@host/db"
    assert "first-one" not in repr(place)


def test_connecting_makes_no_file(tmp_path: Path) -> None:
    """A ledger that disappears between the look and the connection is not replaced by an empty one."""
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        database_module.connect_sqlite(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_driver_is_named_with_the_extra_that_has_it(tmp_path: Path) -> None:
    # A fresh interpreter in which psycopg can't be imported.
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path\n"
        "from gatekeeper.ledger import open_ledger\n"
        f"open_ledger('postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db', key=Path('k'))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert 'pip install "gatekeeper[postgresql]"' in result.stderr
    assert result.stderr.splitlines()[-2].startswith("gatekeeper.errors.LedgerError: postgresql+psycopg://me:***@")


@pytest.mark.parametrize("options", ["", f"?password={PASSWORD}&sslmode=disable"])
def test_a_server_that_is_not_there_is_named_without_the_password(options: str, key: Path) -> None:
    with pytest.raises(LedgerError, match="connection") as caught:
        open_ledger(f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db{options}", key=key)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "that the server runs" in (caught.value.hint or "")


@pytest.mark.postgresql
def test_a_database_that_is_not_there_is_named(server: Server, key: Path) -> None:
    with pytest.raises(LedgerError, match='database "nowhere" does not exist'):
        open_ledger(server.url("nowhere"), key=key)


@pytest.mark.postgresql
def test_a_role_that_can_only_read_and_append_is_enough(server: Server, key: Path) -> None:
    url = server.new_database()
    create(url, key=key)
    name = make_url(url).database
    tables = "ledger_about, ledger_entries, ledger_units"
    server.run("CREATE ROLE writer LOGIN", f"GRANT SELECT ON {tables} TO writer", database=name)
    writer = open_ledger(server.url(name, user="writer"), key=key)
    assert writer.check() == ()
    with pytest.raises(LedgerError, match="permission denied") as caught:
        writer.reserve(reservation("one"), people("ann"), allow=go)
    assert "INSERT" in (caught.value.hint or "")
    server.run("GRANT INSERT ON ledger_entries, ledger_units TO writer", database=name)
    writer.reserve(reservation("one"), people("ann"), allow=go)
    writer.settle("one", mechanism(3))
    assert steps_of(writer.standing(people("ann"), policy_digest=POLICY)) == [(1, [3])]


@pytest.mark.postgresql
def test_postgresql_itself_refuses_accidents(server: Server, key: Path) -> None:
    url = server.new_database()
    ledger = new_ledger(url, key)
    ledger.reserve(reservation("one"), people("ann"), allow=go)
    for statement in ("DELETE FROM ledger_entries", "UPDATE ledger_units SET unit = 1", "TRUNCATE ledger_entries"):
        with pytest.raises(psycopg.errors.RaiseException, match="only appended to"):
            server.run(statement, database=make_url(url).database)
    assert ledger.check() == ()


def test_what_is_no_ledger_is_left_alone(tmp_path: Path, key: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("not a database, and quite a bit longer than the header of one would be, so that it is read\n" * 9)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    for path, message in ((note, "not a database"), (other, "a database of something else")):
        content, mode = path.read_bytes(), path.stat().st_mode
        with pytest.raises(LedgerError, match=message):
            create(str(path), key=key)
        assert (path.read_bytes(), path.stat().st_mode) == (content, mode)
        assert not key.exists()
    with pytest.raises(LedgerError, match="there is no ledger at"):
        open_ledger(str(other), key=key)
    with pytest.raises(LedgerError):
        create(str(tmp_path), key=key)
    with pytest.raises(LedgerError, match="can't be made"):
        create("/proc/nowhere/ledger", key=key)


def test_an_empty_file_that_a_failure_left_becomes_a_ledger(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "ledger"
    path.touch()
    with pytest.raises(LedgerError, match="there is no ledger at"):
        open_ledger(str(path), key=key)
    create(str(path), key=key)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_ledger_cut_short_is_not_used(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "ledger"
    new_ledger(str(path), key).reserve(reservation("one"), people(*range(300)), allow=go)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LedgerError, match="malformed"):
        open_ledger(str(path), key=key).reserve(reservation("two"), people("ann"), allow=go)


@pytest.fixture
def ledger(tmp_path: Path, key: Path) -> Ledger:
    return new_ledger(str(tmp_path / "ledger"), key)


def limited(monkeypatch: pytest.MonkeyPatch, pragma: str) -> None:
    """Let every connection to SQLite begin with one more statement."""
    connect = database_module.connect_sqlite

    def connect_limited(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute(pragma)
        return connection

    monkeypatch.setattr(database_module, "connect_sqlite", connect_limited)


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    head = ledger.head()
    with monkeypatch.context() as patch:
        limited(patch, "PRAGMA max_page_count = 20")
        with pytest.raises(LedgerError, match="disk is full") as caught:
            ledger.reserve(reservation("one"), people(*range(3000)), allow=go)
        assert caught.value.hint == "make room on the disk"
    assert ledger.head() == head
    ledger.reserve(reservation("one"), people(*range(3000)), allow=go)
    assert ledger.check() == ()


def test_a_ledger_that_can_only_be_read_says_so(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, "PRAGMA query_only = on")
    assert ledger.check() == ()
    with pytest.raises(LedgerError, match="readonly"):
        ledger.reserve(reservation("one"), people("ann"), allow=go)


def test_no_value_of_a_statement_is_in_a_message(ledger: Ledger, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger")
    connection.execute("DROP TABLE ledger_units")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="no such table") as caught:
        ledger.reserve(reservation("one"), people("ann"), allow=go)
    assert "SELECT" not in str(caught.value)
    assert str(tmp_path / "ledger") in str(caught.value)


def test_an_older_ledger_is_migrated_and_keeps_its_history(url: str, key: Path) -> None:
    assert [step.version for step in STEPS] == list(range(1, NEWEST + 1))
    first = create_version(url, key=key, version=1)
    with pytest.raises(LedgerError, match="is of version 1") as caught:
        open_ledger(url, key=key)
    assert "gatekeeper ledger migrate" in (caught.value.hint or "")
    assert migrate(url, key=key) == 1
    ledger = open_ledger(url, key=key)
    assert ledger.head() == first
    ledger.reserve(reservation("one"), people("ann"), allow=go)
    assert ledger.check(first) == ()
    assert migrate(url, key=key) == NEWEST
    assert open_ledger(url, key=key).check(first) == ()


def test_a_migrated_ledger_refuses_accidents_as_a_new_one_does(tmp_path: Path, key: Path) -> None:
    create_version(str(tmp_path / "old"), key=key, version=1)
    shutil.copy(tmp_path / "old", tmp_path / "kept")
    migrate(str(tmp_path / "old"), key=key)
    create(str(tmp_path / "new"), key=key)
    schemas = []
    for name in ("kept", "old", "new"):
        connection = sqlite3.connect(tmp_path / name)
        schemas.append(connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall())
        connection.close()
    assert schemas[0] != schemas[1] == schemas[2]


def test_a_ledger_of_a_newer_gatekeeper_is_refused(ledger: Ledger, tmp_path: Path, key: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger")
    connection.execute("UPDATE ledger_about SET version = version + 1")
    connection.commit()
    connection.close()
    for use in (open_ledger, migrate):
        with pytest.raises(LedgerError, match=f"of version {NEWEST + 1}") as caught:
            use(str(tmp_path / "ledger"), key=key)
        assert caught.value.hint == "use a newer gatekeeper"
