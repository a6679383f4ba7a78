"""A PostgreSQL server of our own for tests: made in a temporary directory, reached by a socket, gone afterwards."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

OWNER = "gatekeeper"
WAIT_SECONDS = 60


def programs() -> Path | None:
    """Where PostgreSQL's server programs lie: on the PATH, or where Debian puts them, the newest first."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parent.parent.name), default=None)
    return None if newest is None else newest.parent


@dataclass
class Server:
    """A running server.

    Attributes:
        directory: holds its socket, its data and its log.
        bin: where its programs lie.
    """

    directory: Path
    bin: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """The URL of a database that nothing is in."""
        name = f"ledger_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, *, user: str = OWNER) -> str:
        """The address of a database."""
        return f"postgresql+psycopg://{user}@/{database}?host={self.directory}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the owner of everything."""
        with psycopg.connect(host=str(self.directory), user=OWNER, dbname=database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@contextlib.contextmanager
def server_or_skip() -> Iterator[Server]:
    """A running server, where PostgreSQL is installed."""
    found = programs()
    if found is None:
        pytest.skip("needs PostgreSQL's server programs (initdb, pg_ctl)")
    with running_server(found) as server:
        yield server


@contextlib.contextmanager
def running_server(bin_directory: Path) -> Iterator[Server]:
    """Make and start a server, and stop and delete it. PostgreSQL refuses to run as root: then as `postgres`."""
    # A socket's path has at most 107 characters, so pytest's own directories are too deep.
    directory = Path(tempfile.mkdtemp(prefix="gk-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        directory.chmod(0o755)
        control = (str(bin_directory / "pg_ctl"), "-D", str(directory / "data"))
        _as_user(
            str(bin_directory / "initdb"), "-D", str(directory / "data"), "-U", OWNER, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        # Nothing here has to survive a loss of power, and nobody but this machine may connect.
        options = f"-c listen_addresses='' -c fsync=off -k {directory}"
        _as_user(*control, "-w", "-t", str(WAIT_SECONDS), "-l", str(directory / "log"), "-o", options, "start")
        try:
            yield Server(directory, bin_directory)
        finally:
            _as_user(*control, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory)


def _as_user(*command: str) -> None:
    prefix = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    result = subprocess.run(
        [*prefix, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a server keeps the streams that it was started with, so a pipe would never end
        stderr=subprocess.STDOUT,
        timeout=2 * WAIT_SECONDS,
        cwd="/",
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}")
