"""Everything that the template sets: made from the report, so that no number is computed twice."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.codec import digest
from gatekeeper.report.content import (
    NON_CLAIMS,
    RECOMPUTED,
    Report,
    exit_code,
    headline_of,
    ledger_sentence,
    lock_sentence,
    may_release,
    privacy_sentence,
    trusted,
    verdict_word,
    waiver_sentences,
)
from gatekeeper.report.html.checking import Command, check_commands
from gatekeeper.report.html.crosswalk import CROSSWALK, Source
from gatekeeper.report.html.facts_listed import Fact, FactGroup, fact_groups
from gatekeeper.report.html.headline import Figure, figures, verdict_sentence
from gatekeeper.report.html.more_tables import ledger_table, own_code_table, waiver_table
from gatekeeper.report.html.promise import Promise, promise_of
from gatekeeper.report.html.rule_rows import RuleRow, rule_rows
from gatekeeper.report.html.sign_off import PAPER_ROLES, Endorsement, endorsements
from gatekeeper.report.sections import summary
from gatekeeper.report.tables import TableText, adversary_table, utility_table

_WORDS = {"approved": "Approved", "refused": "Refused", "inconclusive": "Inconclusive"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The page's content, in its order.

    Attributes:
        verdict: `approved`, `refused` or `inconclusive`; `waived` is an approval on waivers.
        word: the same for people.
        model: the candidate's name.
        created: UTC time of the verdict.
        sentence: the verdict in a sentence.
        summary: how many checks ended how.
        synthetic: whether the images were generated.
        may_leave: whether a release may follow.
        notices: what else the report is, in sentences.
        model_digest: SHA-256 of the file that was judged.
        subject: what was judged, by what.
        figures: what a reader looks for first.
        promise: the guarantee in plain words.
        privacy: the guarantee in one sentence.
        rules: each finding.
        adversaries, own_code, utility, spends, waivers: tables; None where there is nothing to show.
        fact_groups: data and privacy facts.
        ledger, lock, waiver_sentences: in sentences.
        recomputed, trusted, non_claims: what is checked again, what is believed, what is not said.
        commands: how to check it.
        crosswalk: who asks for what, and where it is.
        endorsements, paper_roles: who signed, and who may sign on paper.
    """

    verdict: str
    word: str
    model: str
    created: str
    sentence: str
    summary: str
    synthetic: bool
    may_leave: bool
    notices: tuple[str, ...]
    model_digest: str
    subject: tuple[Fact, ...]
    figures: tuple[Figure, ...]
    promise: Promise
    privacy: str
    rules: tuple[RuleRow, ...]
    adversaries: TableText
    own_code: TableText | None
    utility: TableText
    fact_groups: tuple[FactGroup, ...]
    ledger: str
    spends: TableText
    lock: str
    waivers: TableText | None
    waiver_sentences: tuple[str, ...]
    recomputed: tuple[str, ...]
    trusted: tuple[str, ...]
    non_claims: tuple[str, ...]
    commands: tuple[Command, ...]
    crosswalk: tuple[Source, ...]
    endorsements: tuple[Endorsement, ...]
    paper_roles: tuple[str, ...]


def page_of(report: Report) -> Page:
    """What the page of a report says."""
    word = verdict_word(report.verdict)
    waived = any(finding.status == "waived" for finding in report.verdict.findings)
    on_waivers = word == "approved" and waived
    shown = f"{_WORDS[word]} on waivers" if on_waivers else _WORDS[word]
    verdict = "waived" if on_waivers else word
    if headline_of(report) != word.upper():
        # Nothing of an audit or a re-judgement looks like an approval.
        shown, verdict = headline_of(report).capitalize(), "inconclusive" if word == "approved" else word
    return Page(
        verdict=verdict,
        word=shown,
        model=report.facts.evidence.candidate.name,
        created=report.created,
        sentence=verdict_sentence(report),
        summary=summary(report),
        synthetic=report.facts.evidence.dataset.synthetic,
        may_leave=may_release(report),
        notices=tuple(notice.text for notice in report.notices),
        model_digest=report.facts.evidence.model.sha256,
        subject=_subject(report),
        figures=figures(report),
        promise=promise_of(report),
        privacy=privacy_sentence(report.facts),
        rules=rule_rows(report),
        adversaries=adversary_table(report),
        own_code=own_code_table(report),
        utility=utility_table(report),
        fact_groups=fact_groups(report),
        ledger=ledger_sentence(report),
        spends=ledger_table(report),
        lock=lock_sentence(report.facts),
        waivers=waiver_table(report),
        waiver_sentences=waiver_sentences(report),
        recomputed=RECOMPUTED,
        trusted=trusted(report.facts),
        non_claims=NON_CLAIMS,
        commands=check_commands(report),
        crosswalk=CROSSWALK,
        endorsements=endorsements(report),
        paper_roles=PAPER_ROLES,
    )


def _subject(report: Report) -> tuple[Fact, ...]:
    facts, policy = report.facts, report.policy
    about = facts.evidence.candidate.description
    pairs = (
        ("Candidate", facts.evidence.candidate.name if about is None else f"{facts.evidence.candidate.name}: {about}"),
        ("Policy", f"{policy.name} v{policy.version}, owned by {policy.owner}"),
        ("Policy's digest", digest(policy)),
        ("Model file", f"model.onnx, SHA-256 {facts.evidence.model.sha256}"),
        ("Run", facts.ledger.run),
        ("Time of the verdict", report.created),
        ("Judged by", f"gatekeeper {report.gatekeeper_version}; exit code of the verdict {exit_code(report.verdict)}"),
    )
    return tuple(Fact(name=name, text=text) for name, text in pairs)
