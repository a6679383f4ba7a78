"""How a run ended: its facts and verdict, or why its private part stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatekeeper.core.certificate import Facts
from gatekeeper.core.fields import ADDED
from gatekeeper.core.verdict import Approval, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError

# A failure is none of these: 0 says "certified", 1 says "refused by the policy".
FAILURE_EXIT_CODES = frozenset({2, 3, 4, 5, 130})


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why the private part of a run stopped.

    Attributes:
        code: the error's code.
        message: what happened.
        where: the file, field or unit, or None.
        hint: the remedy, or None.
        exit_code: what the command exits with; one of `FAILURE_EXIT_CODES`, never a verdict's.
    """

    code: str
    message: str
    where: str | None
    hint: str | None
    exit_code: int

    def __post_init__(self) -> None:
        if self.exit_code not in FAILURE_EXIT_CODES:
            raise InvalidValueError(f"exit_code must be one of {sorted(FAILURE_EXIT_CODES)}, got {self.exit_code}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Facts and verdict of a run.

    Attributes:
        created: UTC time of the verdict, RFC 3339.
        facts: everything that the gate read.
        verdict: what it decided.
        audit_only: whether the run is never to be signed, whatever the verdict.
        reused: whether the evidence was taken from a cache.
    """

    created: str
    facts: Facts
    verdict: Approval | Refusal | Inconclusive
    audit_only: bool = field(default=False, metadata=ADDED)
    reused: bool = field(default=False, metadata=ADDED)
