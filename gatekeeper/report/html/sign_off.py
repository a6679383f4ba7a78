"""Who answers for the release: the signatures that the facts hold, and lines for those who sign on paper."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.report.content import Report

PAPER_ROLES = ("Engineer responsible", "Privacy officer", "Clinical owner")


@dataclass(frozen=True, kw_only=True, slots=True)
class Endorsement:
    """Something that somebody signed before the verdict.

    Attributes:
        what: what it is, and what signing it means.
        person: who, as the document says, or `not named`.
        key: fingerprint of the key whose signature was verified, or that nobody signed.
        time: the time or date that the document claims.
    """

    what: str
    person: str
    key: str
    time: str


def endorsements(report: Report) -> tuple[Endorsement, ...]:
    """The lock and the waivers that were shown to the gate."""
    facts = report.facts
    used = {finding.waiver for finding in report.verdict.findings if finding.waiver is not None}
    found = []
    if facts.lock is not None:
        found.append(
            Endorsement(
                what="Policy lock: the policy was fixed before the run",
                person="not named",
                key=facts.lock.locker,
                time=f"{facts.lock.claimed}, by the locker's own clock",
            )
        )
    for each in facts.waivers:
        use = "the verdict rests on it" if each.waiver.id in used else "the verdict does not rest on it"
        found.append(
            Endorsement(
                what=f"Waiver {each.waiver.id} of {each.waiver.rule}; {use}",
                person=each.waiver.approver,
                key=each.signer or "nobody signed it",
                time=f"until the end of {each.waiver.expires} (UTC)",
            )
        )
    return tuple(found)
