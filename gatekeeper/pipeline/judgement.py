"""From evidence to facts, from facts to a verdict, from an approval to a signed release. Loads no torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.certificate import Certificate, Evidence, Facts
from gatekeeper.core.coherence import check_bounds, check_coherence
from gatekeeper.core.ledger import LedgerStatement
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy
from gatekeeper.core.policy_file import PolicyFile
from gatekeeper.core.risk import IdentificationPower, RiskBound
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import InvalidInputError, InvalidValueError, SigningError
from gatekeeper.gate import decide
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.pipeline.trust import utc_now
from gatekeeper.rundir import Judgement, RunDirectory
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.report import Notice, Report
    from gatekeeper.signing.keys import SigningKey


def establish(
    evidence: Evidence,
    policy: Policy,
    statement: LedgerStatement,
    *,
    endorsed: Endorsed = NOTHING,
    recorded: Policy | None = None,
) -> Facts:
    """The facts that follow from evidence and ledger: what was spent, and what the mechanism withstands.

    Args:
        evidence: what was measured.
        policy: what judges.
        statement: what the ledger says of the run.
        endorsed: the lock that the run was counted with, and the waivers that are presented.
        recorded: the policy that the evidence was measured under; None means the one that judges.

    Raises:
        InvalidValueError: the evidence contradicts itself, or the ledger counted the run with another lock.
    """
    from gatekeeper.privacy import account, compose

    check_coherence(recorded or policy, evidence, statement)
    _check_powers(evidence)
    mechanism, delta = evidence.record.mechanism, evidence.plan.budget.delta
    return Facts(
        evidence=evidence,
        ledger=statement,
        total=compose([spend.taken for spend in statement.spends], delta),
        guarantee=account(mechanism, delta),
        bounds=withstood(mechanism, evidence, policy),
        lock=endorsed.lock,
        waivers=endorsed.waivers,
    )


def withstood(
    mechanism: Mechanism, evidence: Evidence, policy: Policy, *, power: IdentificationPower | None = None
) -> tuple[RiskBound, ...]:
    """What a mechanism withstands on the data of a run: every adversary's bound.

    Args:
        mechanism: the one that ran, or another one on the same data.
        evidence: of the run.
        policy: says among how many candidates the target is picked.
        power: what adversaries who know candidates achieve, where that is known or of no interest; None computes it.
    """
    from gatekeeper.audit.bounds import bounds
    from gatekeeper.privacy import identification_power, participations

    candidates = policy.audit.candidates or evidence.dataset.train_units
    return bounds(
        mechanism=mechanism,
        participations=participations(mechanism),
        nulls=evidence.attacks.nulls,
        spectrum=evidence.attacks.spectrum,
        max_images=evidence.dataset.max_images_per_unit,
        power=power or identification_power(mechanism, prior_success=1 / candidates),
    )


def _check_powers(evidence: Evidence) -> None:
    """Attacks must have what their adversaries have, and matching candidates the mechanism and limit that it should."""
    from gatekeeper.pipeline.matching import audit_mechanism
    from gatekeeper.privacy import identification_power, participations

    run = evidence.record.mechanism
    upper = max(1, participations(run).upper_quantile())
    for outcome in evidence.attacks.outcomes:
        expected = {"one-step": 1, "all-steps": upper, "weights-only": 0}[outcome.adversary.observes]
        if outcome.participations != expected:
            raise InvalidValueError(
                f"attack {outcome.attack} ({outcome.adversary.title}) averaged {outcome.participations} gradients, the "
                f"adversary has {expected}"
            )
    for found in evidence.identifications:
        wanted = audit_mechanism(run, candidates=found.candidates)
        if not math.isclose(found.mechanism.noise_multiplier, wanted.noise_multiplier, rel_tol=1e-6) or (
            found.mechanism.steps != wanted.steps
        ):
            raise InvalidValueError(f"attack {found.attack} was made on {found.mechanism!r}, not on {wanted!r}")
        proven = identification_power(found.mechanism, prior_success=found.chance).worst_case
        if not math.isclose(found.bound, proven, rel_tol=1e-6):
            raise InvalidValueError(
                f"attack {found.attack} was compared with γ = {found.bound!r}, its mechanism withstands {proven!r}"
            )


def judge(run: RunDirectory, *, policy: Policy, candidate: Candidate, endorsed: Endorsed = NOTHING) -> Judgement:
    """Verdict on a run, from evidence that must be about this very policy, candidate and file.

    Args:
        run: where the private part left its evidence.
        policy: as read by this process, not by the private part.
        candidate: likewise.
        endorsed: the lock that the run was counted with, and the waivers that are presented, likewise.

    Raises:
        InvalidInputError: the evidence is about something else.
    """
    evidence = run.read_evidence()
    if evidence.candidate != candidate or run.read_policy() != policy:
        raise InvalidInputError(
            "the run is about another candidate or policy",
            where=str(run.path),
            hint="give the policy that it was certified with, as it was then, or certify again with this one",
        )
    found = _digest_file(run.model)
    if found != evidence.model.sha256:
        raise InvalidInputError(
            f"model.onnx has sha256 {found}, the evidence is about {evidence.model.sha256}", where=str(run.model)
        )
    created = utc_now()
    statement = run.read_ledger()
    facts = establish(evidence, policy, statement, endorsed=presented(endorsed, at=created))
    check_bounds(facts)
    judgement = without_idle_waivers(Judgement(created=created, facts=facts, verdict=decide(policy, facts)))
    judgement = replace(judgement, audit_only=run.audit_only or statement.audit_only, reused=run.reused)
    run.write_judgement(judgement)
    return judgement


def presented(endorsed: Endorsed, *, at: str) -> Endorsed:
    """The same, its waivers presented at the time of the judgement: they may have expired since they were read."""
    return replace(endorsed, waivers=tuple(replace(each, presented=at) for each in endorsed.waivers))


def without_idle_waivers(judgement: Judgement) -> Judgement:
    """An approval's facts hold the waivers that it rests on, and none of other models and rules."""
    if not isinstance(judgement.verdict, Approval):
        return judgement
    used = {use.id for use in judgement.verdict.waivers}
    waivers = tuple(each for each in judgement.facts.waivers if each.waiver.id in used)
    return replace(judgement, facts=replace(judgement.facts, waivers=waivers))


def report_of(
    policy: Policy,
    judgement: Judgement,
    *,
    policy_file: PolicyFile | None = None,
    notices: tuple[Notice, ...] = (),
) -> Report:
    """What every report format is made from.

    Args:
        policy: what judged.
        judgement: facts and verdict.
        policy_file: says at which lines findings are shown, or None.
        notices: what is to be said besides what follows from the judgement.
    """
    from gatekeeper.report import Report, notices_of

    return Report(
        gatekeeper_version=__version__,
        created=judgement.created,
        policy=policy,
        facts=judgement.facts,
        verdict=judgement.verdict,
        policy_file=policy_file,
        notices=(*notices, *notices_of(judgement)),
    )


def release(
    run: RunDirectory,
    *,
    policy: Policy,
    candidate: Candidate,
    key: Callable[[], SigningKey],
    out: Path,
    endorsed: Endorsed = NOTHING,
) -> Approval:
    """Sign an approved run and let it leave, in one atomic rename, after it has verified itself.

    The verdict is reached again from the evidence: a stored approval is no approval.

    Args:
        run: the run.
        policy: what must hold, as read by this process: a policy in the run directory is whoever's wrote it.
        candidate: what the run must be about, likewise.
        key: opens the release key; called only for an approval.
        out: the release directory to create.
        endorsed: lock and waivers, likewise.

    Returns:
        The approval that was signed.

    Raises:
        SigningError: the run is not approved or for an audit only, the release key locked the policy, or the release
            can't be written.
    """
    from gatekeeper.pipeline.exceptions import lock_files
    from gatekeeper.pipeline.reports import report_files
    from gatekeeper.signing.layout import digests_of
    from gatekeeper.signing.release import standard_side_files, write_release

    check_signable(run)
    judgement = judge(run, policy=policy, candidate=candidate, endorsed=endorsed)
    approval = judgement.verdict
    if not isinstance(approval, Approval):
        raise SigningError(
            "the run is not approved, so nothing is signed", where=str(run.path), hint="see `gatekeeper report`"
        )
    unbound = Certificate(
        gatekeeper_version=__version__,
        created=judgement.created,
        policy=policy,
        facts=judgement.facts,
        approval=approval,
        files=(),
    )
    side_files = (*standard_side_files(unbound), *report_files(unbound), *lock_files(unbound))
    certificate = replace(unbound, files=digests_of(side_files))
    write_release(
        out=out,
        staging=run.staging,
        model=run.model,
        certificate=certificate,
        side_files=side_files,
        key=_other_than_the_endorsers(key(), judgement),
        check=lambda directory: _check(directory, certificate),
    )
    return approval


def check_signable(run: RunDirectory) -> None:
    """Refuse to sign anything of a run that was begun for an audit only.

    Raises:
        SigningError: it was.
    """
    if (
        run.audit_only
        or (run.has("judgement.json") and run.read_judgement().audit_only)
        or (run.has("ledger.json") and run.read_ledger().audit_only)
    ):
        raise SigningError(
            "the run was certified with --audit-only: it is never signed",
            where=str(run.path),
            hint="for a release certify the candidate without --audit-only, where ledger and key are",
        )


def _other_than_the_endorsers(key: SigningKey, judgement: Judgement) -> SigningKey:
    """The release key, which must not have locked the policy or signed a waiver: both are a check on who releases."""
    lock, own = judgement.facts.lock, key.public.fingerprint
    if lock is not None and lock.locker == own:
        raise SigningError(f"the release key {own} locked the policy itself", hint="lock it with another key")
    for each in judgement.facts.waivers:
        if each.signer == own:
            raise SigningError(
                f"the release key {own} signed waiver {each.waiver.id} itself", hint="have another sign it"
            )
    return key


def _check(directory: Path, certificate: Certificate) -> None:
    """What `verify` will recompute must hold before the release leaves."""
    from gatekeeper.pipeline.exceptions import check_lock_file
    from gatekeeper.pipeline.reports import check_report
    from gatekeeper.pipeline.verification import recompute

    recompute(certificate)
    check_lock_file(directory, certificate)
    check_report(directory, certificate)


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
