"""The facts of a run, and the certificate that an approval turns them into."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatekeeper.core.budget import Guarantee
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.checks import check_integer, check_sha256, check_text, check_tuple, check_utc_time
from gatekeeper.core.fields import ADDED
from gatekeeper.core.identification import Identification
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import DatasetCard, ModelArtifact, TrainingPlan, TrainingRecord
from gatekeeper.core.risk import AttackReport, RiskBound
from gatekeeper.core.utility import UtilityReport
from gatekeeper.core.verdict import Approval
from gatekeeper.core.waiver import PresentedWaiver
from gatekeeper.errors import InvalidValueError

CERTIFICATE_TYPE = "urn:gatekeeper:certificate:v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the private part of a run yields: trained, exported, measured, attacked.

    These are the signer's word; nobody can recompute them without the data.

    Attributes:
        candidate: what was built.
        dataset: the data's public facts.
        plan: what was to run.
        record: what did run.
        model: the file that came out.
        utility: how well it does.
        attacks: what attacks achieved.
        identifications: how often attackers who know candidates picked the target from noisy sums of the run's own
            code; none where there are too few units.
    """

    candidate: Candidate
    dataset: DatasetCard
    plan: TrainingPlan
    record: TrainingRecord
    model: ModelArtifact
    utility: UtilityReport
    attacks: AttackReport
    identifications: tuple[Identification, ...]

    def __post_init__(self) -> None:
        check_tuple(identifications=self.identifications, of=Identification)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything that the gate reads.

    Attributes:
        evidence: what was measured.
        guarantee: what the mechanism that ran is proven to spend; recomputed by `verify`.
        bounds: what the mechanism is proven to withstand; recomputed by `verify`.
        ledger: the data's past, this run included; the signer's word.
        total: what all runs in the ledger spent of the units that have spent the most, at the run's δ; recomputed by
            `verify` from the spends in `ledger`.
        lock: the lock that the ledger counted the run with; None where the policy was not locked before the run.
        waivers: those that were presented; of an approval, those that it rests on.
    """

    evidence: Evidence
    guarantee: Guarantee
    bounds: tuple[RiskBound, ...]
    ledger: LedgerStatement
    total: Guarantee
    lock: PolicyLock | None = field(default=None, metadata=ADDED)
    waivers: tuple[PresentedWaiver, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        check_tuple(bounds=self.bounds, of=RiskBound)
        check_tuple(waivers=self.waivers, of=PresentedWaiver)
        if len({each.waiver.id for each in self.waivers}) != len(self.waivers):
            raise InvalidValueError("waivers must have different ids")
        if (None if self.lock is None else self.lock.note) != self.ledger.lock:
            raise InvalidValueError(
                f"the ledger counted the run with {self.ledger.lock or 'no lock on its policy'}, not with "
                f"{self.lock.note if self.lock else 'none'}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """A file of the release and its content.

    Attributes:
        name: path relative to the release directory, with `/`.
        sha256: digest of its content.
        size: in bytes.
    """

    name: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_sha256(sha256=self.sha256)
        check_integer(size=self.size, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """All the facts and the approval that they support: the predicate that is signed.

    Attributes:
        gatekeeper_version: what issued it.
        created: UTC time of the verdict, RFC 3339.
        policy: the whole policy.
        facts: everything that the gate read.
        approval: the verdict.
        files: the files beside the model that the certificate binds: report and policy.
    """

    gatekeeper_version: str
    created: str
    policy: Policy
    facts: Facts
    approval: Approval
    files: tuple[FileDigest, ...]

    def __post_init__(self) -> None:
        check_text(gatekeeper_version=self.gatekeeper_version)
        check_utc_time(created=self.created)
        check_tuple(files=self.files, of=FileDigest)
        if self.facts.ledger.audit_only:
            raise InvalidValueError(f"run {self.facts.ledger.run} was counted as an audit: it is never signed")
