"""Waivers: a violation that somebody answers for, for one model, one policy, a while, and no worse than a ceiling."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from gatekeeper.core.checks import check_finite, check_sha256, check_text, check_utc_time
from gatekeeper.core.codec import digest
from gatekeeper.errors import InvalidValueError

WAIVER_TYPE = "urn:gatekeeper:waiver:v1"

# The role of a trust file whose keys may sign waivers.
APPROVER = "approver"

# An id is part of a file's name.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_END_OF_DAY = "T23:59:59Z"


def check_waiver_id(**named: object) -> None:
    """Require an id of letters, digits, dots, dashes and underscores, at most 64 of them."""
    ((name, value),) = named.items()
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidValueError(f"{name} must be letters, digits, '.', '-' and '_', at most 64, got {value!r}")


def check_date(**named: object) -> None:
    """Require a date that exists, written as RFC 3339 does: `2030-12-31`."""
    ((name, value),) = named.items()
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise InvalidValueError(f"{name} must be a date such as 2030-12-31, got {value!r}")
    try:
        datetime.date.fromisoformat(value)
    except ValueError as error:
        raise InvalidValueError(f"{name} must be a date that exists, got {value!r}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """What is excused, and who answers for it.

    Attributes:
        id: its name, unique in its file.
        rule: the finding that it excuses: a rule's id, or `<id>/worst`.
        model: the candidate's name.
        policy_digest: SHA-256 of the policy's canonical form.
        ceiling: how bad the measured value may be: the most where the rule says ≤, the least where it says ≥.
        owner: who has to mend it.
        approver: who accepted it.
        reason: why.
        expires: the last day on which it holds, to its end in UTC.
    """

    id: str
    rule: str
    model: str
    policy_digest: str
    ceiling: float
    owner: str
    approver: str
    reason: str
    expires: str

    def __post_init__(self) -> None:
        check_waiver_id(id=self.id)
        for name in ("rule", "model", "owner", "approver", "reason"):
            check_text(**{name: getattr(self, name)})
        check_sha256(policy_digest=self.policy_digest)
        check_finite(ceiling=self.ceiling)
        check_date(expires=self.expires)

    @property
    def end(self) -> str:
        """The last second at which it holds, as UTC time."""
        return self.expires + _END_OF_DAY

    def days_left(self, now: str) -> int:
        """Days from the day of `now`, a UTC time, to the last day; negative once it has expired."""
        check_utc_time(now=now)
        return (datetime.date.fromisoformat(self.expires) - datetime.date.fromisoformat(now[:10])).days


@dataclass(frozen=True, kw_only=True, slots=True)
class PresentedWaiver:
    """A waiver that was shown to the gate.

    Attributes:
        waiver: what it says.
        signer: fingerprint of the approver's key whose signature was verified, or None where nobody signed.
        bundle: the signed bundle, for whoever verifies it again; goes with `signer`.
        presented: UTC time of the judgement that it was shown to.
    """

    waiver: Waiver
    signer: str | None
    bundle: str | None
    presented: str

    def __post_init__(self) -> None:
        check_utc_time(presented=self.presented)
        if (self.signer is None) != (self.bundle is None):
            raise InvalidValueError("a signer goes with its bundle, and the other way round")
        if self.signer is not None:
            check_sha256(signer=self.signer)
        if self.bundle is not None:
            check_text(bundle=self.bundle.removesuffix("\n"))


@dataclass(frozen=True, kw_only=True, slots=True)
class WaiverUse:
    """A waiver that an approval rests on.

    Attributes:
        id: the waiver's.
        rule: the finding that it excuses.
        sha256: digest of its canonical form.
        expires: the last day on which it holds.
        approver: who accepted it.
        signer: fingerprint of the approver's key, or None where the policy takes unsigned waivers.
    """

    id: str
    rule: str
    sha256: str
    expires: str
    approver: str
    signer: str | None

    def __post_init__(self) -> None:
        check_waiver_id(id=self.id)
        check_text(rule=self.rule)
        check_sha256(sha256=self.sha256)
        check_date(expires=self.expires)
        check_text(approver=self.approver)
        if self.signer is not None:
            check_sha256(signer=self.signer)


def use_of(presented: PresentedWaiver) -> WaiverUse:
    """How an approval names a waiver."""
    waiver = presented.waiver
    return WaiverUse(
        id=waiver.id,
        rule=waiver.rule,
        sha256=digest(waiver),
        expires=waiver.expires,
        approver=waiver.approver,
        signer=presented.signer,
    )
