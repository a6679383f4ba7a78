"""The verdict: a value, never an exception, with every finding in the policy's order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_sha256, check_text, check_tuple
from gatekeeper.core.fields import ADDED
from gatekeeper.core.waiver import WaiverUse
from gatekeeper.errors import InvalidValueError

Status = Literal["passed", "failed", "inconclusive", "waived"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one rule found.

    Attributes:
        rule: the rule's id, or the name of a condition that every policy implies.
        statement: what was demanded, in plain words.
        status: passed, failed, inconclusive; or waived: violated, and excused by a waiver.
        comparator: `≤` or `≥`.
        measured: the value that the rule reads; NaN where there is none.
        limit: what it was compared with.
        margin: how far `measured` is on the passing side (negative where it fails); NaN where there is none.
        statistic: what `measured` is, such as `upper confidence bound` or `bound`.
        confidence: of that statistic, or None where it is exact.
        sample_size: how many units it rests on, or None.
        detail: what a reader needs to understand the outcome.
        remedy: what would change it; None where it passed.
        waiver: the id of the waiver that excuses it; None unless it is waived.
    """

    rule: str
    statement: str
    status: Status
    comparator: Literal["≤", "≥"]
    measured: float
    limit: float
    margin: float
    statistic: str
    confidence: float | None
    sample_size: int | None
    detail: str
    remedy: str | None
    waiver: str | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(rule=self.rule)
        check_text(statement=self.statement)
        check_choice(status=self.status, choices=get_args(Status))
        check_choice(comparator=self.comparator, choices=("≤", "≥"))
        check_text(statistic=self.statistic)
        check_text(detail=self.detail)
        if (self.status == "waived") != (self.waiver is not None):
            raise InvalidValueError(f"finding {self.rule}: waived findings name their waiver, and no others do")


def _check_findings(findings: tuple[Finding, ...]) -> None:
    check_tuple(findings=findings, of=Finding)
    if not findings:
        raise InvalidValueError("a verdict without findings is vacuous")


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """Every rule holds for this very file, or is waived. Only an approval releases a model.

    Attributes:
        model_digest: SHA-256 of the ONNX file that is approved.
        policy_digest: SHA-256 of the policy's canonical form.
        findings: one for each rule, all passed or waived.
        waivers: the waivers that it rests on, one for each waived finding, in their order.
    """

    model_digest: str
    policy_digest: str
    findings: tuple[Finding, ...]
    waivers: tuple[WaiverUse, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        check_sha256(model_digest=self.model_digest)
        check_sha256(policy_digest=self.policy_digest)
        _check_findings(self.findings)
        check_tuple(waivers=self.waivers, of=WaiverUse)
        if any(finding.status not in ("passed", "waived") for finding in self.findings):
            raise InvalidValueError("an approval can't hold a finding that did not pass and is not waived")
        waived = [(finding.rule, finding.waiver) for finding in self.findings if finding.status == "waived"]
        if waived != [(use.rule, use.id) for use in self.waivers]:
            raise InvalidValueError("an approval names the waiver of each waived finding, in order, and no others")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """At least one rule is violated.

    Attributes:
        policy_digest: SHA-256 of the policy's canonical form.
        findings: one for each rule, at least one failed.
    """

    policy_digest: str
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        check_sha256(policy_digest=self.policy_digest)
        _check_findings(self.findings)
        if all(finding.status != "failed" for finding in self.findings):
            raise InvalidValueError("a refusal needs a finding that failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inconclusive:
    """No rule is violated, but at least one could not be judged.

    Attributes:
        policy_digest: SHA-256 of the policy's canonical form.
        findings: one for each rule, at least one inconclusive and none failed.
    """

    policy_digest: str
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        check_sha256(policy_digest=self.policy_digest)
        _check_findings(self.findings)
        statuses = {finding.status for finding in self.findings}
        if "failed" in statuses or "inconclusive" not in statuses:
            raise InvalidValueError("an inconclusive verdict has an inconclusive finding and no failed one")


Verdict = Approval | Refusal | Inconclusive
