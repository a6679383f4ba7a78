"""Runs whose training is made up and whose counting, judging and keeping are real."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import hmac
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper import privacy
from gatekeeper.audit import bounds
from gatekeeper.config import render_candidate, render_policy
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.ledger import Identities
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import PlannedRun, Provenance, Software
from gatekeeper.core.reuse import Surroundings
from gatekeeper.pipeline import child
from gatekeeper.rundir import RunDirectory
from tests.coherent import coherent_evidence, coherent_policy
from tests.command_line import Ran, gatekeeper
from tests.once import once

CACHE = ("--cache", "cache", "--cache-key", "cache.key")
HERE = Surroundings(code="c" * 64, software=(Software(name="python", version="3"),), device="1 × auto on a machine")


class Workshop:
    """A directory with a candidate, a policy and a ledger, where the private part is played."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.evidence = coherent_evidence()
        self.model = b"these bytes stand for an ONNX model"
        self.data = b"the data"
        self.provenance: Provenance | None = None
        self.surroundings = HERE
        self.tasks: list[str] = []
        self.write(coherent_policy())
        (path / "candidate.yaml").write_text(render_candidate(self.evidence.candidate), encoding="utf-8")

    def write(self, policy: Policy, name: str = "policy.yaml") -> None:
        """Write a policy's file."""
        (self.path / name).write_text(render_policy(policy), encoding="utf-8")

    def run_private_part(self, run: RunDirectory, task: str, *, quiet: bool = False, device: str = "auto") -> None:
        """Plays the child process."""
        self.tasks.append(task)
        evidence = self._evidence(run.salt)
        if task == "plan":
            planned = PlannedRun(
                dataset=evidence.dataset, plan=evidence.plan, non_private=True, provenance=self.provenance
            )
            run.write_planned(planned)
            run.write_identities(Identities(units=tuple((f"unit {number}",) for number in range(240))))
            return
        run.model.write_bytes(self.model)
        run.write_evidence(evidence)

    def _evidence(self, salt: bytes) -> Evidence:
        commitment = hmac.digest(salt, self.data, "sha256").hex()
        return dataclasses.replace(
            self.evidence,
            dataset=dataclasses.replace(self.evidence.dataset, commitment=commitment),
            model=dataclasses.replace(
                self.evidence.model, sha256=hashlib.sha256(self.model).hexdigest(), size=len(self.model)
            ),
        )

    def certify(self, *extra: str, policy: str = "policy.yaml") -> Ran:
        """Certify the candidate; the report is short."""
        return gatekeeper("certify", "candidate.yaml", "--policy", policy, "-q", "--format", "openmetrics", *extra)

    def trained(self) -> int:
        """How often a training was played."""
        return self.tasks.count("produce")

    def runs(self) -> list[RunDirectory]:
        """Every run directory, oldest first."""
        return [RunDirectory(path) for path in sorted((self.path / ".gatekeeper/runs").iterdir())]


@functools.cache
def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that computes each answer once."""
    return functools.cache(function)


def played(path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop in `path`, which becomes the current directory; with what lies there already."""
    monkeypatch.chdir(path)
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    made = Workshop(path)
    monkeypatch.setattr(child, "run_private_part", made.run_private_part)
    # All runs here are of one mechanism: what follows from it is computed once.
    for module, name in ((bounds, "bounds"), (privacy, "account"), (privacy, "identification_power")):
        monkeypatch.setattr(module, name, remembered(getattr(module, name)))
    monkeypatch.setattr("gatekeeper.cache.describe_surroundings", lambda device, *, processes: made.surroundings)
    return made


def _certify(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = played(path, patch)
        assert gatekeeper("ledger", "init").code == 0
        ran = made.certify("--no-sign", *CACHE)
        assert ran.code == 0, ran.stderr


@pytest.fixture
def workshop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop in the current directory, where a run was certified with a cache and not signed."""
    shutil.copytree(once(tmp_path_factory, "certified", _certify), tmp_path, dirs_exist_ok=True)
    return played(tmp_path, monkeypatch)
