"""The files of a run, as nouns."""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
import shutil
from pathlib import Path
from typing import TypeVar

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.codec import decode, digest, encode
from gatekeeper.core.forecast import Forecast
from gatekeeper.core.judgement import Failure, Judgement
from gatekeeper.core.ledger import Identities, LedgerStatement
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Permit, PlannedRun
from gatekeeper.core.verdict import Approval, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError, RunDirectoryError
from gatekeeper.rundir.folder import PrivateFolder, disk_errors, write_atomically

T = TypeVar("T")

AUDIT_ONLY, REUSED, SEAL = "audit-only", "reused", "seal"

_SALT_BYTES = 32
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class RunDirectory(PrivateFolder):
    """One run's private directory, and the nouns in its files."""

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
