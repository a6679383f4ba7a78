"""What a report is besides the report of a certification: an audit, a re-judgement, or of evidence that was reused.

Whoever reads a report by its verdict alone must not take an audit or a re-judgement for a release. So wherever a format
says `approved`, these say that they passed, and as what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.checks import check_choice, check_text
from gatekeeper.core.judgement import Judgement

NoticeKind = Literal["audit", "re-judgement", "reuse"]

_PREFIXES: dict[NoticeKind, str] = {"audit": "AUDIT", "re-judgement": "RE-JUDGED"}
_PASSED: dict[NoticeKind, str] = {"audit": "audit-passed", "re-judgement": "rejudged-passed"}

OUTCOMES = ("approved", *_PASSED.values(), "refused", "inconclusive")

_AUDIT = (
    "This is an audit: nothing was signed or released, and this run never will be. It was counted in ledger {ledger} "
    "as run {run}. A release takes a run of its own, certified without --audit-only where ledger and key are."
)
_REUSE = (
    "The evidence was reused: run {run} trained, measured and attacked, and the ledger counted that run. Nothing was "
    "trained again, and no new run is counted."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What else a report is.

    Attributes:
        kind: `audit`, `re-judgement` (neither releases anything), or `reuse` of evidence.
        text: what follows from that, in sentences.
    """

    kind: NoticeKind
    text: str

    def __post_init__(self) -> None:
        check_choice(kind=self.kind, choices=("audit", "re-judgement", "reuse"))
        check_text(text=self.text)


def notices_of(judgement: Judgement) -> tuple[Notice, ...]:
    """What is to be said of a run's judgement."""
    ledger = judgement.facts.ledger
    found = []
    if judgement.audit_only:
        found.append(Notice(kind="audit", text=_AUDIT.format(ledger=ledger.head.ledger, run=ledger.run)))
    if judgement.reused:
        found.append(Notice(kind="reuse", text=_REUSE.format(run=ledger.run)))
    return tuple(found)


def outcome_word(word: str, notices: tuple[Notice, ...]) -> str:
    """The verdict as programs read it: `approved` only where a release may follow.

    >>> outcome_word("approved", (Notice(kind="audit", text="An audit."),))
    'audit-passed'
    """
    return next((_PASSED[each.kind] for each in notices if each.kind in _PASSED), word) if word == "approved" else word


def headline_word(word: str, notices: tuple[Notice, ...]) -> str:
    """The verdict as people read it, in capitals.

    >>> headline_word("refused", (Notice(kind="audit", text="An audit."),))
    'AUDIT: REFUSED'
    """
    prefix = next((_PREFIXES[each.kind] for each in notices if each.kind in _PREFIXES), None)
    if prefix is None:
        return word.upper()
    return f"{prefix}: {'PASSED' if word == 'approved' else word.upper()}"
