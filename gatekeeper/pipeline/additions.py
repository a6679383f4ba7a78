"""What people signed after the gate had: looked at against a trust file, and counted where approvals are required.

The folder is covered by no signature of the release: whoever hands the release on can add files to it and remove them.
So an approval counts only by its own signature, and that none of a rejection is there proves nothing.
"""

from __future__ import annotations

import datetime
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatekeeper.core.countersignature import Countersignature, Requirement
from gatekeeper.core.trust import RELEASE, Distrust, TrustedKey, TrustFile
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.steps import VerifiedStep

if TYPE_CHECKING:
    from gatekeeper.signing.additions import Addition
    from gatekeeper.signing.verification import VerifiedRelease

_FOLDER = "attestations/approvals"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A countersignature that is believed.

    Attributes:
        made: what was decided.
        key: whose key signed it.
    """

    made: Countersignature
    key: TrustedKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """What is in the folder.

    Attributes:
        standing: the latest decision of each key in each role.
        disbelieved: why each other file counts for nothing.
    """

    standing: tuple[Decided, ...]
    disbelieved: tuple[str, ...]


def check_approvals(
    release: VerifiedRelease, *, signer: str, trust: TrustFile | None, required: tuple[Requirement, ...], now: str
) -> VerifiedStep:
    """What people decided, and whether all who must have approved did.

    Args:
        release: its signatures and digests fit.
        signer: fingerprint of the key that signed it.
        trust: whose keys may sign as what, or None.
        required: who must have approved.
        now: UTC time of the verification.

    Raises:
        VerificationError: an approval that is required is missing, somebody who is asked rejected, or one person would
            have to count twice.
    """
    title, added = "approvals", release.approvals
    if trust is None:
        if required:
            raise VerificationError(
                "approvals are required, and no trust file says whose count",
                where=_FOLDER,
                hint="verify with --trust instead of --public-key",
            )
        unchecked = f"{len(added)} added after signing; no trust file says whose count" if added else "none"
        return VerifiedStep(title=title, detail=unchecked)
    found = decisions(release, signer=signer, trust=trust, now=now)
    for requirement in required:
        _check_requirement(requirement, found)
    _check_people(required, found)
    return VerifiedStep(title=title, detail=_summary(found, required))


def decisions(release: VerifiedRelease, *, signer: str, trust: TrustFile, now: str) -> Decisions:
    """Every file of the folder, believed or not; of one person in one role the latest decision stands."""
    standing: dict[tuple[str, str], Decided] = {}
    disbelieved = []
    for added in release.approvals:
        try:
            decided = _decided(added, release, signer=signer, trust=trust, now=now)
        except VerificationError as error:
            disbelieved.append(str(error))
            continue
        place = (person(decided.key), decided.made.role)
        before = standing.get(place)
        if before is None or _order(decided.made) > _order(before.made):
            standing[place] = decided
    return Decisions(standing=tuple(standing.values()), disbelieved=tuple(disbelieved))


def person(key: TrustedKey) -> str:
    """Whose key it is, however the name is written: composed or not, in capitals or not, in a certificate or not."""
    return unicodedata.normalize("NFKC", key.owner.removeprefix("CN=")).casefold().strip()


def quoted(comment: str) -> str:
    """A comment that can't be taken for what stands around it."""
    return json.dumps(comment, ensure_ascii=False)


def shifted(time: str, minutes: int) -> str:
    """A UTC time so many minutes later."""
    moved = datetime.datetime.fromisoformat(time) + datetime.timedelta(minutes=minutes)
    return moved.strftime("%Y-%m-%dT%H:%M:%SZ")


def _order(made: Countersignature) -> tuple[str, bool]:
    """Later decisions stand before earlier ones; in one second a rejection does."""
    return (made.decided, made.decision == "rejected")


def _decided(added: Addition, release: VerifiedRelease, *, signer: str, trust: TrustFile, now: str) -> Decided:
    """One countersignature, if its key may sign in its role and it is about this release."""
    from gatekeeper.signing.countersignatures import read_countersignature
    from gatekeeper.signing.dsse import named_key

    where = added.file
    fingerprint = named_key(added.content, where=where)
    key = trust.find(fingerprint)
    if key is None:
        raise VerificationError(f"was signed with key {fingerprint}, which is not in the trust file", where=where)
    if RELEASE in key.roles or fingerprint == signer:
        raise VerificationError(f"was signed with {fingerprint}, a key that signs releases, too", where=where)
    made = read_countersignature(added, public_key=key.public_key, subjects=release.subjects, where=where)
    answer = trust.judge(fingerprint, role=made.role, now=now, claimed=min(made.decided, now))
    if isinstance(answer, Distrust):
        raise VerificationError(answer.explanation, where=where)
    if made.person != key.owner:
        raise VerificationError(f"names {made.person!r}, and was signed with a key of {key.owner!r}", where=where)
    if made.certificate_digest != release.certificate_digest:
        raise VerificationError("is about another certificate of this model", where=where)
    # Clocks differ, and what is wrong with a date must never undo a rejection.
    earliest, latest = (shifted(time, minutes) for time, minutes in ((release.certificate.created, -10), (now, 10)))
    if made.decision == "approved" and not earliest <= made.decided <= latest:
        raise VerificationError(
            f"was decided at {made.decided}, which is before the release, {release.certificate.created}, or after "
            f"now, {now}",
            where=where,
        )
    return Decided(made=made, key=key)


def _check_requirement(requirement: Requirement, found: Decisions) -> None:
    asked = [each for each in found.standing if each.made.role == requirement.role]
    for each in asked:
        if each.made.decision == "rejected":
            comment = "" if each.made.comment is None else f": {quoted(each.made.comment)}"
            raise VerificationError(
                f"{each.key.owner} ({each.made.role}) rejected the release at {each.made.decided}{comment}",
                where=_FOLDER,
                hint="do not use the release",
            )
    if len(asked) < requirement.people:
        why = "".join(f"\n  {reason}" for reason in found.disbelieved)
        raise VerificationError(
            f"{requirement.people} approval(s) as {requirement.role} are required, {len(asked)} there"
            f"{'; files that count for nothing:' if why else ''}{why}",
            where=_FOLDER,
            hint=f"gatekeeper approve DIR --role {requirement.role} --decision approved, with a key of that role",
        )


def _check_people(required: tuple[Requirement, ...], found: Decisions) -> None:
    """Nobody counts in two of the roles that are required: four eyes are those of two people."""
    roles: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for each in found.standing:
        if any(each.made.role == requirement.role for requirement in required):
            roles.setdefault(person(each.key), set()).add(each.made.role)
            names[person(each.key)] = each.key.owner
    for owner, held in roles.items():
        if len(held) > 1:
            raise VerificationError(
                f"{names[owner]} approved as {' and as '.join(sorted(held))}: nobody counts in two of the roles that "
                "are required",
                where=_FOLDER,
                hint="have another person approve in one of them, and remove one of these files",
            )


def _summary(found: Decisions, required: tuple[Requirement, ...]) -> str:
    parts = list(_words(found))
    if required:
        parts.insert(0, f"{', '.join(map(str, required))}, as required")
    return "; ".join(parts) or "none"


def _words(found: Decisions) -> Iterator[str]:
    for each in found.standing:
        comment = "" if each.made.comment is None else f" ({quoted(each.made.comment)})"
        word = "approved" if each.made.decision == "approved" else "REJECTED"
        yield f"{word} by {each.key.owner} as {each.made.role} at {each.made.decided}{comment}"
    for reason in found.disbelieved:
        yield f"counts for nothing: {reason}"
