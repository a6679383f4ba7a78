"""A run directory: which file holds which fact, written in one step each, readable by its owner alone.

```
<runs>/<run id>/            mode 0700
  policy.json               the policy, canonical
  candidate.json            the candidate, canonical
  salt                      32 random bytes of the data commitment; never leaves
  model.onnx                the judged file; leaves only by an approval
  evidence.json             what the private part yielded
  forecast.json             what the run would be (dry runs)
  failure.json              why the private part stopped, if it did
  judgement.json            facts and verdict
  lock                      held while a process works here
```
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence, Facts
from gatekeeper.core.codec import decode, encode
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Forecast
from gatekeeper.core.verdict import Approval, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError, RunDirectoryError

T = TypeVar("T")

_SALT_BYTES = 32
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why the private part of a run stopped.

    Attributes:
        code: the error's code.
        message: what happened.
        where: the file, field or unit, or None.
        hint: the remedy, or None.
        exit_code: what the command exits with.
    """

    code: str
    message: str
    where: str | None
    hint: str | None
    exit_code: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Facts and verdict of a run.

    Attributes:
        created: UTC time of the verdict, RFC 3339.
        facts: everything that the gate read.
        verdict: what it decided.
    """

    created: str
    facts: Facts
    verdict: Approval | Refusal | Inconclusive


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
    finally:
        partial.unlink(missing_ok=True)


class RunDirectory:
    """One run's private directory.

    Args:
        path: the directory; it must exist, be a real directory and belong to its owner alone.

    Raises:
        RunDirectoryError: it does not.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir() or path.is_symlink():
            raise RunDirectoryError(
                "there is no such run directory", where=str(path), hint="see `gatekeeper runs list`"
            )
        if path.stat().st_mode & 0o077:
            raise RunDirectoryError("others can read this run directory", where=str(path), hint=f"chmod 700 {path}")
        self.path = path

    @classmethod
    def create(cls, root: Path, *, policy: Policy, candidate: Candidate) -> RunDirectory:
        """A fresh run directory below `root`, holding policy, candidate and a new salt."""
        now = datetime.datetime.now(datetime.UTC)
        name = _UNSAFE.sub("-", candidate.name)[:40]
        path = root / f"{now:%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(3)}"
        root.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
        run = cls(path)
        write_atomically(path / "policy.json", encode(policy).encode())
        write_atomically(path / "candidate.json", encode(candidate).encode())
        write_atomically(path / "salt", secrets.token_bytes(_SALT_BYTES))
        return run

    @property
    def model(self) -> Path:
        """Where the ONNX file lies."""
        return self.path / "model.onnx"

    @property
    def staging(self) -> Path:
        """Where a release is assembled before it leaves in one rename."""
        return self.path / "staging"

    @property
    def salt(self) -> bytes:
        """The salt of the data commitment."""
        return (self.path / "salt").read_bytes()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run directory for this process.

        Raises:
            RunDirectoryError: another process holds it.
        """
        with open(self.path / "lock", "w", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunDirectoryError("another process is working on this run", where=str(self.path)) from error
            yield

    def read_policy(self) -> Policy:
        """The policy of this run."""
        return self._read("policy.json", Policy)

    def read_candidate(self) -> Candidate:
        """The candidate of this run."""
        return self._read("candidate.json", Candidate)

    def read_evidence(self) -> Evidence:
        """What the private part yielded."""
        return self._read("evidence.json", Evidence)

    def write_evidence(self, evidence: Evidence) -> None:
        """Record what the private part yielded."""
        write_atomically(self.path / "evidence.json", encode(evidence).encode())

    def read_forecast(self) -> Forecast:
        """What the run would be."""
        return self._read("forecast.json", Forecast)

    def write_forecast(self, forecast: Forecast) -> None:
        """Record what the run would be."""
        write_atomically(self.path / "forecast.json", encode(forecast).encode())

    def read_failure(self) -> Failure | None:
        """Why the private part stopped, or None where it did not say."""
        return self._read("failure.json", Failure) if (self.path / "failure.json").exists() else None

    def write_failure(self, failure: Failure) -> None:
        """Record why the private part stopped."""
        write_atomically(self.path / "failure.json", encode(failure).encode())

    def read_judgement(self) -> Judgement:
        """Facts and verdict."""
        return self._read("judgement.json", Judgement)

    def write_judgement(self, judgement: Judgement) -> None:
        """Record facts and verdict."""
        write_atomically(self.path / "judgement.json", encode(judgement).encode())

    def state(self) -> str:
        """One word for listings: judged verdict, `failed`, `measured` or `unfinished`."""
        if (self.path / "judgement.json").exists():
            return {Approval: "approved", Refusal: "refused", Inconclusive: "inconclusive"}[
                type(self.read_judgement().verdict)
            ]
        if (self.path / "failure.json").exists():
            return "failed"
        return "measured" if (self.path / "evidence.json").exists() else "unfinished"

    def delete(self) -> None:
        """Remove the run and everything in it."""
        shutil.rmtree(self.path)

    def _read(self, name: str, noun: type[T]) -> T:
        path = self.path / name
        try:
            return decode(path.read_text(encoding="utf-8"), noun)
        except FileNotFoundError as error:
            raise RunDirectoryError(
                f"the run has no {name}: it did not get that far", where=str(self.path), hint="certify again"
            ) from error
        except (InvalidValueError, UnicodeDecodeError) as error:
            raise RunDirectoryError(f"{name} was changed or cut short: {error}", where=str(self.path)) from error


def list_runs(root: Path) -> tuple[RunDirectory, ...]:
    """The runs below `root`, oldest first."""
    if not root.is_dir():
        return ()
    return tuple(RunDirectory(path) for path in sorted(root.iterdir()) if (path / "policy.json").is_file())
