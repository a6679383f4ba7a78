"""The ledger around a run: counted before its first step, settled after its last, and what it says in between.

The private part never sees the ledger or its key. It says what it is about to take and of whom; the parent reserves
that, and only then may the private part train. Whatever happens afterwards, the reservation stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.ledger import Conclusion, History, LedgerStatement, Reservation, Spend, Standing
from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Permit, PlannedRun
from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.errors import DataError, InvalidInputError
from gatekeeper.pipeline.planning import obstacles
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.ledger import Ledger, RunSummary


def run_id(run: RunDirectory) -> str:
    """The name of a run in the ledger: that of its directory."""
    return run.path.resolve().name


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """The ledger's and the policy's answer to a planned run.

    Attributes:
        permit: that the run is counted and may begin, or None.
        objection: why the policy refuses it, or None.
    """

    permit: Permit | None
    objection: str | None


def reserve(run: RunDirectory, policy: Policy, ledger: Ledger, *, lock: PolicyLock | None = None) -> Permission:
    """Count a planned run before its first step, or say why it must not begin.

    Args:
        run: planned by the private part.
        policy: as read by this process.
        ledger: where it is counted.
        lock: the lock on the policy, which is counted with the run, or None.

    Returns:
        A permit, which then lies in the run directory too; or why the policy refuses the run: the units' total would
        pass `total_epsilon`, or the policy was tried on them too often.

    Raises:
        DataError: no outcome of this attempt could pass the policy; nothing is counted.
        LedgerError: the ledger can't be read or written, or was tampered with.
    """
    planned = run.read_planned()
    if run.read_policy() != policy:
        raise InvalidInputError("the run is about another policy", where=str(run.path))
    reservation = Reservation(
        run=run_id(run),
        mechanism=planned.plan.mechanism,
        delta=planned.plan.budget.delta,
        non_private=planned.non_private,
        policy_name=policy.name,
        policy_digest=digest(policy),
        lock=None if lock is None else lock.note,
        audit_only=run.audit_only,
    )
    found = ledger.reserve(
        reservation, run.read_identities(), allow=lambda standing: objection_to(planned, policy, standing)
    )
    if found.declined is not None:
        return Permission(permit=None, objection=found.declined)
    permit = Permit(attempt=found.standing.attempts + 1)
    run.write_permit(permit)
    return Permission(permit=permit, objection=None)


def reserve_again(run: RunDirectory, policy: Policy, ledger: Ledger, *, lock: PolicyLock | None = None) -> Permission:
    """The permit of a run that goes on; it is counted once, however often it was interrupted.

    Args and raises: those of `reserve`, which does the rest where the run was interrupted before it was counted.

    Raises:
        InvalidInputError: another ledger counted the run, this one counted other than is planned, or it knows the run
            as an audit and its directory does not.
    """
    own = _in_ledger(ledger, run_id(run))
    if own is None:
        if run.has("permit.json"):
            raise InvalidInputError(
                "this ledger never counted the run", where=str(run.path), hint="give the ledger that did"
            )
        return reserve(run, policy, ledger, lock=lock)
    if not run.audit_only:
        check_no_audit(run, ledger)
    planned = run.read_planned()
    if (own.reservation.mechanism, own.reservation.delta, own.reservation.policy_digest) != (
        planned.plan.mechanism,
        planned.plan.budget.delta,
        digest(policy),
    ):
        raise InvalidInputError("the ledger counted another plan or policy for this run", where=str(run.path))
    if own.reservation.lock != (None if lock is None else lock.note):
        raise InvalidInputError(
            f"the ledger counted the run with {own.reservation.lock or 'no lock on its policy'}",
            where=str(run.path),
            hint="go on with the lock that the run began with, or without one where it had none",
        )
    permit = Permit(attempt=ledger.attempt(own.reservation.run))
    run.write_permit(permit)
    return Permission(permit=permit, objection=None)


def _in_ledger(ledger: Ledger, name: str) -> RunSummary | None:
    return next((each for each in ledger.account().runs if each.reservation.run == name), None)


def objection_to(planned: PlannedRun, policy: Policy, standing: Standing) -> str | None:
    """Why the policy refuses this run, given what its units have spent.

    Raises:
        DataError: no outcome of this attempt could pass the policy.
    """
    attempt = standing.attempts + 1
    if policy.max_attempts is not None and attempt > policy.max_attempts:
        return (
            f"this would be attempt {attempt} of policy {policy.name} on these units; it allows {policy.max_attempts}"
        )
    problems = obstacles(policy, planned.dataset, attempt=attempt)
    if problems:
        raise DataError(
            "this data set can't satisfy the policy:\n  " + "\n  ".join(problems), where=planned.dataset.name
        )
    limit = policy.privacy.max_total_epsilon
    return None if limit is None else _above(limit, planned, standing)


def _above(limit: float, planned: PlannedRun, standing: Standing) -> str | None:
    """What the total would be, where it would pass the limit: the privacy filter (Rogers et al. 2016)."""
    total, delta = total_with(planned, standing), planned.plan.budget.delta
    if total <= limit:
        return None
    return (
        f"with this run the ε of all runs on these units would be {round_up(total, digits=6)} at δ = {in_full(delta)}; "
        f"total_epsilon allows {in_full(limit)}"
    )


def total_with(planned: PlannedRun, standing: Standing) -> float:
    """ε of all runs, a planned one included, on the units that have then spent the most: an upper bound."""
    own = Spend(run="this run", mechanism=planned.plan.mechanism, settled=False)
    histories = standing.histories or (History(units=planned.dataset.train_units, spends=()),)
    return max(total_of((*history.spends, own), planned.plan.budget.delta) for history in histories)


def total_of(spends: tuple[Spend, ...], delta: float) -> float:
    """ε of these runs together at a δ, an upper bound; at least one run."""
    from gatekeeper.privacy import compose

    return compose([spend.taken for spend in spends], delta).epsilon.high


def settle(run: RunDirectory, ledger: Ledger, *, permit: Permit) -> LedgerStatement:
    """Write down what a run really took, and keep what the ledger then says in the run directory.

    A run that was interrupted just after it was settled is not settled again.

    Args:
        run: it left its evidence.
        ledger: where it was counted.
        permit: as `reserve` gave it.

    Raises:
        LedgerError: the ledger can't be written, or the run took other than was reserved; it then counts in full.
    """
    evidence = run.read_evidence()
    name, delta = run_id(run), evidence.plan.budget.delta
    own = _in_ledger(ledger, name)
    if own is None or not own.settled or own.mechanism != evidence.record.mechanism:
        ledger.settle(name, evidence.record.mechanism)
    position = ledger.position(name)
    standing = position.standing
    most = max(standing.histories, key=lambda history: total_of(history.spends, delta))
    statement = LedgerStatement(
        run=name,
        head=position.head,
        runs=standing.runs,
        non_private_runs=standing.non_private_runs,
        attempts=permit.attempt,
        spends=most.spends,
        lock=None if own is None else own.reservation.lock,
        audit_only=own is not None and own.reservation.audit_only,
    )
    run.write_ledger(statement)
    return statement


def conclude(run: RunDirectory, ledger: Ledger, conclusion: Conclusion, detail: str = "") -> None:
    """Write down how a run ended, for people."""
    ledger.conclude(run_id(run), conclusion, detail)


AUDIT_ONLY = "audit only, never signed"
"""What the ledger is told of the end of an audit, besides its verdict."""


def check_no_audit(run: RunDirectory, ledger: Ledger) -> None:
    """Refuse a run that the ledger counted as an audit.

    Raises:
        InvalidInputError: it did so.
    """
    own = _in_ledger(ledger, run_id(run))
    if own is not None and own.reservation.audit_only:
        raise InvalidInputError(
            "the ledger says that the run was certified with --audit-only: it is never signed",
            where=str(run.path),
            hint="for a release certify the candidate without --audit-only",
        )


def check_statement(run: RunDirectory, ledger: Ledger, *, policy: Policy) -> None:
    """Refuse a run of which the ledger does not say what the run directory says.

    Raises:
        InvalidInputError: the run was not counted, not under this policy, not settled as its evidence says, or its past
            is told otherwise.
    """
    statement, evidence = run.read_ledger(), run.read_evidence()
    name = run_id(run)
    for problem in contradictions(statement, ledger, name=name, policy=policy, mechanism=evidence.record.mechanism):
        raise InvalidInputError(
            f"the ledger does not confirm the run: {problem}",
            where=str(run.path),
            hint="give the ledger that the run was counted in, and the run as `certify` left it",
        )


def contradictions(
    statement: LedgerStatement, ledger: Ledger, *, name: str, policy: Policy, mechanism: Mechanism
) -> Iterator[str]:
    """What the ledger says otherwise of a run.

    Args:
        statement: what the run says of it.
        ledger: where it should have been counted.
        name: of the run in the ledger.
        policy: what it should have been counted under.
        mechanism: what its evidence says that it took.
    """
    if statement.run != name:
        yield f"its statement is about run {statement.run}"
    counted = {each.reservation.run: each for each in ledger.account().runs}
    if name not in counted:
        yield "it was never reserved"
        return
    own = counted[name]
    if own.reservation.lock != statement.lock:
        yield f"it was counted with {own.reservation.lock or 'no lock on its policy'}"
    if own.reservation.audit_only != statement.audit_only:
        yield f"it was counted as {'an audit' if own.reservation.audit_only else 'no audit'}"
    if own.reservation.policy_digest != digest(policy):
        yield f"it was reserved under policy {own.reservation.policy_name} with another digest"
    if not own.settled or own.mechanism != mechanism:
        yield "it was not settled with the mechanism of its evidence"
    if not ledger.contains(statement.head):
        yield f"entry {statement.head.length} is another one than the statement's"
    told = ledger.statement_at(name, statement.head)
    if told is None or (told.runs, told.non_private_runs) != (statement.runs, statement.non_private_runs):
        yield "it tells of other runs on these units"
    elif statement.spends not in {history.spends for history in told.histories}:
        yield "it tells of other spends of these units"
    if ledger.attempt(name) != statement.attempts:
        yield f"it was attempt {ledger.attempt(name)}, not {statement.attempts}"
