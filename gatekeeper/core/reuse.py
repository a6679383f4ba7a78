"""Evidence that is used again: what it was made of, all of which must be the same, and what is kept of its run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.checks import check_sha256, check_text, check_tuple
from gatekeeper.core.codec import digest
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.lock import LockNote
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import PlannedRun, Software
from gatekeeper.errors import InvalidValueError

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What evidence depends on besides policy, candidate and data.

    Attributes:
        code: SHA-256 of gatekeeper's own files.
        software: Python and every installed distribution.
        device: what it runs on, and in how many processes.
    """

    code: str
    software: tuple[Software, ...]
    device: str

    def __post_init__(self) -> None:
        check_sha256(code=self.code)
        check_tuple(software=self.software, of=Software)
        check_text(device=self.device)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a run was made of, but for its data.

    Attributes:
        candidate_name, policy_name: under which the newest run is found.
        candidate: digest of the candidate.
        policy: digest of the policy.
        lock: the lock that the run was counted with, or None.
        audit_only: whether the run is never to be signed.
        surroundings: code, software and devices.
    """

    candidate_name: str
    policy_name: str
    candidate: str
    policy: str
    lock: LockNote | None
    audit_only: bool
    surroundings: Surroundings

    def __post_init__(self) -> None:
        check_text(candidate_name=self.candidate_name)
        check_text(policy_name=self.policy_name)
        check_sha256(candidate=self.candidate)
        check_sha256(policy=self.policy)


def differences(then: Origin, now: Origin) -> tuple[str, ...]:
    """In which parts two origins differ, in words; none where evidence of the one is evidence of the other."""
    return tuple(_differences(then, now))


def _differences(then: Origin, now: Origin) -> Iterator[str]:
    for what, was, is_now in (
        ("the candidate", (then.candidate_name, then.candidate), (now.candidate_name, now.candidate)),
        ("the policy", (then.policy_name, then.policy), (now.policy_name, now.policy)),
        ("the lock on the policy", then.lock, now.lock),
        ("whether it is an audit", then.audit_only, now.audit_only),
        ("gatekeeper's code", then.surroundings.code, now.surroundings.code),
    ):
        if was != is_now:
            yield what
    if then.surroundings.software != now.surroundings.software:
        yield f"installed software ({_changed(then.surroundings.software, now.surroundings.software)})"
    if then.surroundings.device != now.surroundings.device:
        yield f"the device ({then.surroundings.device}, now {now.surroundings.device})"


def _changed(then: tuple[Software, ...], now: tuple[Software, ...]) -> str:
    before, after = ({each.name: each.version for each in software} for software in (then, now))
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    shown = [f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}" for name in names[:_MOST_NAMED]]
    return ", ".join([*shown, *(["…"] if len(names) > _MOST_NAMED else [])])


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRun:
    """All of a run that judging and signing need, but for the model's file and the salt of its data.

    Attributes:
        origin: what it was made of.
        policy: what it was counted under.
        candidate: what was built.
        planned: the data's facts, the plan, and what the network came from.
        evidence: what was measured.
        ledger: what the ledger said of the run.
    """

    origin: Origin
    policy: Policy
    candidate: Candidate
    planned: PlannedRun
    evidence: Evidence
    ledger: LedgerStatement

    def __post_init__(self) -> None:
        if not _RUN.fullmatch(self.ledger.run):
            raise InvalidValueError(f"a run is named by letters, digits, dots and dashes, got {self.ledger.run!r}")
        for what, one, other in (
            ("candidate of run and origin", digest(self.candidate), self.origin.candidate),
            ("policy of run and origin", digest(self.policy), self.origin.policy),
            ("lock of ledger and origin", self.ledger.lock, self.origin.lock),
            ("audit or not, of ledger and origin", self.ledger.audit_only, self.origin.audit_only),
            ("candidate of run and evidence", self.candidate, self.evidence.candidate),
            ("data of plan and evidence", self.planned.dataset, self.evidence.dataset),
            ("plan and that of the evidence", self.planned.plan, self.evidence.plan),
        ):
            if one != other:
                raise InvalidValueError(f"{what}: {one!r} and {other!r}")

    @property
    def run(self) -> str:
        """The run's name, in the ledger and as a directory."""
        return self.ledger.run
