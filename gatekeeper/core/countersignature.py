"""Countersignatures: what a person decided about a release after the gate had signed it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_integer, check_sha256, check_text, check_utc_time
from gatekeeper.core.trust_checks import check_role
from gatekeeper.errors import InvalidValueError

COUNTERSIGNATURE_TYPE = "urn:gatekeeper:countersignature:v1"

Decision = Literal["approved", "rejected"]
DECISIONS: tuple[str, ...] = get_args(Decision)

_REQUIREMENT = re.compile(r"(?P<role>[^:]+)(:(?P<people>[1-9][0-9]?))?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Countersignature:
    """What somebody signed.

    Attributes:
        role: as what: `privacy-officer`, `clinical-owner`.
        decision: `approved` or `rejected`.
        person: who, as the trust file names the owner of the key.
        comment: why, or None.
        decided: UTC time by the person's own clock.
        certificate_digest: SHA-256 of the certificate's bundle, so of every fact that was decided on.
    """

    role: str
    decision: Decision
    person: str
    comment: str | None
    decided: str
    certificate_digest: str

    def __post_init__(self) -> None:
        check_role(role=self.role)
        check_choice(decision=self.decision, choices=DECISIONS)
        check_text(person=self.person)
        if self.comment is not None:
            check_text(comment=self.comment)
            if any("\ud800" <= character <= "\udfff" for character in self.comment):
                raise InvalidValueError(f"comment must be Unicode, got {self.comment!a}")
        check_utc_time(decided=self.decided)
        check_sha256(certificate_digest=self.certificate_digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """Who must have approved.

    Attributes:
        role: as what.
        people: how many different people, at least 1.
    """

    role: str
    people: int = 1

    def __post_init__(self) -> None:
        check_role(role=self.role)
        check_integer(people=self.people, at_least=1)

    def __str__(self) -> str:
        return self.role if self.people == 1 else f"{self.role}:{self.people}"


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Roles separated by commas, each with how many people must approve in it where that is more than one.

    Raises:
        InvalidValueError: it is something else, or names a role twice.

    >>> [str(each) for each in parse_requirements("privacy-officer, approver:2")]
    ['privacy-officer', 'approver:2']
    """
    found = []
    for part in text.split(","):
        match = _REQUIREMENT.fullmatch(part.strip())
        if match is None:
            raise InvalidValueError(
                f"approvals are required as ROLE or ROLE:PEOPLE, separated by commas, got {part.strip()!r}"
            )
        found.append(Requirement(role=match["role"], people=int(match["people"] or 1)))
    roles = [each.role for each in found]
    if len(set(roles)) != len(roles):
        raise InvalidValueError(f"approvals are required of each role once, got {text!r}")
    return tuple(found)
