"""A run directory: which file holds which fact, written in one step each, readable by its owner alone.

```
<runs>/<run id>/            mode 0700
  policy.json               the policy, canonical
  candidate.json            the candidate, canonical
  salt                      32 random bytes of the data commitment; never leaves
  model.onnx                the judged file; leaves only by an approval
  planned.json              what the run is about to take of its data
  identities.json           by what names its units are known; private
  permit.json               that the ledger has counted the run
  training/                 what the training goes on from after an interruption; gone once there is evidence
  evidence.json             what the private part yielded
  ledger.json               what the ledger says of the units, this run included
  forecast.json             what the run would be (dry runs)
  non-private.json          what a training without privacy reached; no verdict can follow
  failure.json              why the private part stopped, if it did
  judgement.json            facts and verdict
  audit-only                there if the run is never to be signed
  reused                    there if the evidence was taken from a cache
  seal                      an authentication code over policy, candidate, evidence, ledger.json and model, if asked for
  lock                      held while a process works here
```
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.codec import decode, digest, encode
from gatekeeper.core.forecast import Forecast
from gatekeeper.core.judgement import FAILURE_EXIT_CODES as FAILURE_EXIT_CODES
from gatekeeper.core.judgement import Failure as Failure
from gatekeeper.core.judgement import Judgement as Judgement
from gatekeeper.core.ledger import Identities, LedgerStatement
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Permit, PlannedRun
from gatekeeper.core.verdict import Approval, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError, RunDirectoryError

T = TypeVar("T")

AUDIT_ONLY, REUSED, SEAL = "audit-only", "reused", "seal"

_SALT_BYTES = 32
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9._-]{1,40}-[0-9a-f]{6}")


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, and survives a loss of power."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Put a directory's names on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RunDirectory:
    """One run's private directory.

    Args:
        path: the directory; it must exist, be a real directory, and belong to this user alone.

    Raises:
        RunDirectoryError: it does not. Every method raises it too where the disk does not do what is asked.
    """

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            status = path.lstat() if os.path.lexists(path) else None
        if status is None or not stat.S_ISDIR(status.st_mode):
            problem = "there is no such run directory" if status is None else "is no directory of its own"
            raise RunDirectoryError(problem, where=str(path), hint="give a path that `gatekeeper runs list` prints")
        if status.st_uid != os.geteuid():
            raise RunDirectoryError(
                f"belongs to another user (uid {status.st_uid})", where=str(path), hint="work as that user"
            )
        if status.st_mode & 0o077:
            hint = f"give a path that `gatekeeper runs list` prints; if it is one: chmod 700 {path}"
            raise RunDirectoryError("others can read it, and a run is private", where=str(path), hint=hint)
        self.path = path

    @classmethod
    def create(cls, root: Path, *, policy: Policy, candidate: Candidate) -> RunDirectory:
        """A fresh run directory below `root`, holding policy, candidate and a new salt."""
        now = datetime.datetime.now(datetime.UTC)
        name = _UNSAFE.sub("-", candidate.name)[:40]
        path = root / f"{now:%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(3)}"
        with disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        run = cls(path)
        run._write("policy.json", policy)
        run._write("candidate.json", candidate)
        with disk_errors(path):
            write_atomically(path / "salt", secrets.token_bytes(_SALT_BYTES))
        return run

    @property
    def model(self) -> Path:
        """Where the ONNX file lies."""
        return self.path / "model.onnx"

    @property
    def training(self) -> Path:
        """Where the training keeps what it goes on from."""
        return self.path / "training"

    def has(self, name: str) -> bool:
        """Whether the run got as far as this file."""
        return os.path.lexists(self.path / name)

    @property
    def annex(self) -> Path:
        """Where the reviewer's annex lies until it is moved to where the reviewer asked for it."""
        return self.path / "annex.png"

    @property
    def staging(self) -> Path:
        """Where a release is assembled before it leaves in one rename."""
        return self.path / "staging"

    @property
    def salt(self) -> bytes:
        """The salt of the data commitment: 32 bytes."""
        salt = self._content("salt")
        if len(salt) != _SALT_BYTES:
            raise RunDirectoryError(f"salt has {len(salt)} bytes, not {_SALT_BYTES}", where=str(self.path))
        return salt

    def model_sha256(self) -> str:
        """Hex SHA-256 of the ONNX file, which must be a regular file."""
        with self._open("model.onnx") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read_model(self) -> bytes:
        """The ONNX file."""
        return self._content("model.onnx")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run directory for this process.

        Raises:
            RunDirectoryError: another process holds it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with disk_errors(self.path):
            descriptor = os.open(self.path / "lock", flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunDirectoryError("another process is working on this run", where=str(self.path)) from error
            yield
        finally:
            os.close(descriptor)

    def wait(self) -> None:
        """Wait until no process holds the run directory."""
        with disk_errors(self.path):
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)

    def read_policy(self) -> Policy:
        """The policy of this run."""
        return self._read("policy.json", Policy)

    def read_candidate(self) -> Candidate:
        """The candidate of this run."""
        return self._read("candidate.json", Candidate)

    def read_planned(self) -> PlannedRun:
        """What the run is about to take of its data."""
        return self._read("planned.json", PlannedRun)

    def write_planned(self, planned: PlannedRun) -> None:
        """Record what the run is about to take of its data."""
        self._write("planned.json", planned)

    def read_identities(self) -> Identities:
        """By what names the units are known."""
        return self._read("identities.json", Identities)

    def write_identities(self, identities: Identities) -> None:
        """Record by what names the units are known."""
        self._write("identities.json", identities)

    def read_permit(self) -> Permit:
        """That the ledger has counted the run."""
        return self._read("permit.json", Permit)

    def write_permit(self, permit: Permit) -> None:
        """Record that the ledger has counted the run."""
        self._write("permit.json", permit)

    def read_ledger(self) -> LedgerStatement:
        """What the ledger says of the units, this run included."""
        return self._read("ledger.json", LedgerStatement)

    def write_ledger(self, statement: LedgerStatement) -> None:
        """Record what the ledger says of the units, this run included."""
        self._write("ledger.json", statement)

    def read_evidence(self) -> Evidence:
        """What the private part yielded."""
        return self._read("evidence.json", Evidence)

    def write_evidence(self, evidence: Evidence) -> None:
        """Record what the private part yielded."""
        self._write("evidence.json", evidence)

    def read_forecast(self) -> Forecast:
        """What the run would be."""
        return self._read("forecast.json", Forecast)

    def write_forecast(self, forecast: Forecast) -> None:
        """Record what the run would be."""
        self._write("forecast.json", forecast)

    def read_failure(self) -> Failure | None:
        """Why the private part stopped, or None where it did not say."""
        return self._read("failure.json", Failure) if self.has("failure.json") else None

    def write_failure(self, failure: Failure) -> None:
        """Record why the private part stopped."""
        self._write("failure.json", failure)

    def forget_failure(self) -> None:
        """Forget why the private part stopped: it is about to go on."""
        with disk_errors(self.path):
            (self.path / "failure.json").unlink(missing_ok=True)

    def read_judgement(self) -> Judgement:
        """Facts and verdict, which must be by the policy of this run."""
        judgement = self._read("judgement.json", Judgement)
        if judgement.verdict.policy_digest != digest(self.read_policy()):
            raise RunDirectoryError("policy.json changed since the run was judged: restore it", where=str(self.path))
        return judgement

    def write_judgement(self, judgement: Judgement) -> None:
        """Record facts and verdict."""
        self._write("judgement.json", judgement)

    @property
    def audit_only(self) -> bool:
        """Whether the run is never to be signed."""
        return self.has(AUDIT_ONLY)

    def forbid_signing(self) -> None:
        """Mark a run that has not begun as one that is never to be signed."""
        self.write_text(AUDIT_ONLY, "certified with --audit-only: never signed, never released\n")

    @property
    def reused(self) -> bool:
        """Whether the evidence was taken from a cache."""
        return self.has(REUSED)

    def read_text(self, name: str) -> str:
        """One of the run's small text files."""
        return self._content(name).decode("utf-8", "replace")

    def write_text(self, name: str, text: str) -> None:
        """Write one of the run's small text files."""
        with disk_errors(self.path):
            write_atomically(self.path / name, text.encode())

    def state(self) -> str:
        """A word or two for listings: judged verdict, `non-private`, `failed`, `measured` or `unfinished`."""
        if self.has("judgement.json"):
            judgement = self.read_judgement()
            word = {Approval: "approved", Refusal: "refused", Inconclusive: "inconclusive"}[type(judgement.verdict)]
            if judgement.audit_only or self.audit_only:
                return f"audit: {'passed' if word == 'approved' else word}"
            return word
        if self.has("non-private.json"):
            return "non-private"
        if self.has("failure.json"):
            return "failed"
        return "measured" if self.has("evidence.json") else "unfinished"

    def remove_twin(self) -> None:
        """Remove what is left of a non-private twin whose measurement was cut short."""
        with disk_errors(self.path):
            for path in self.path.glob("twin*"):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def remove_training(self) -> None:
        """Remove what the training went on from: weights, and who was in which batch."""
        with disk_errors(self.path):
            if self.has("training"):
                shutil.rmtree(self.training)

    def delete(self) -> None:
        """Remove the run and everything in it."""
        with disk_errors(self.path):
            shutil.rmtree(self.path)

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[io.BufferedReader]:
        """A regular file of this run; a link is not followed, and a pipe does not block."""
        path = self.path / name
        with disk_errors(path), open(path, "rb", opener=_no_links_no_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunDirectoryError("is not a regular file", where=str(path))
            yield file

    def _content(self, name: str) -> bytes:
        if not self.has(name):
            raise RunDirectoryError(
                f"the run has no {name}: it did not get that far", where=str(self.path), hint="certify again"
            )
        with self._open(name) as file:
            return file.read()

    def _read(self, name: str, noun: type[T]) -> T:
        content = self._content(name)
        try:
            return decode(content.decode("utf-8"), noun)
        except (InvalidValueError, UnicodeDecodeError) as error:
            raise RunDirectoryError(f"{name} was changed or cut short: {error}", where=str(self.path)) from error

    def _write(self, name: str, noun: object) -> None:
        path = self.path / name
        with disk_errors(path):
            write_atomically(path, encode(noun).encode())


def _no_links_no_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """What the operating system refuses, as an error that names the place."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(where)
        raise RunDirectoryError(f"can't be read or written: {error.strerror}", where=place) from error


def list_runs(root: Path) -> tuple[Path, ...]:
    """Every directory below `root` that has the name of a run, oldest first; what it holds is not looked at."""
    with disk_errors(root):
        if not root.is_dir():
            return ()
        named = (path for path in sorted(root.iterdir()) if _RUN_ID.fullmatch(path.name))
        return tuple(path for path in named if path.is_dir() and not path.is_symlink())


def prunable(path: Path) -> RunDirectory:
    """A run directory that is certain to be one, so that nothing else is ever deleted.

    Raises:
        RunDirectoryError: its name, owner, mode, policy or salt is not a run's.
    """
    if not _RUN_ID.fullmatch(path.name):
        raise RunDirectoryError("has not the name of a run", where=str(path))
    run = RunDirectory(path)
    run.read_policy()
    _ = run.salt
    return run
