"""Recorded evidence, judged by another policy: nothing is trained, written or signed. Loads no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.coherence import check_bounds
from gatekeeper.core.judgement import Judgement
from gatekeeper.core.policy import Policy
from gatekeeper.errors import InvalidInputError
from gatekeeper.gate import decide_again
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.pipeline.judgement import establish, presented, without_idle_waivers
from gatekeeper.pipeline.planning import check_rules_fit
from gatekeeper.pipeline.recorded import Recorded
from gatekeeper.pipeline.trust import utc_now

if TYPE_CHECKING:
    from gatekeeper.report import Notice


def rejudge(recorded: Recorded, policy: Policy, *, endorsed: Endorsed = NOTHING) -> Judgement:
    """The verdict of a policy on recorded evidence. It is kept nowhere, and nothing can be signed for it.

    Args:
        recorded: the evidence.
        policy: what must hold.
        endorsed: the lock that the run was counted with, where `policy` is the one that it was counted under, and
            waivers under `policy`.

    Raises:
        AuditContradiction: an attack beat its bound.
        InvalidInputError: no run of this candidate could be judged by the policy, or the evidence contradicts itself.
    """
    created, same = utc_now(), digest(policy) == digest(recorded.policy)
    statement = recorded.statement if same else replace(recorded.statement, lock=None)
    given = _endorsed(recorded, endorsed, same=same)
    if not same:
        _check_fit(recorded, policy)
    facts = establish(
        recorded.evidence, policy, statement, endorsed=presented(given, at=created), recorded=recorded.policy
    )
    check_bounds(facts)
    verdict = decide_again(
        policy, facts, recorded=recorded.policy, tried=recorded.tried, next_total=recorded.next_total
    )
    return without_idle_waivers(Judgement(created=created, facts=facts, verdict=verdict))


def _endorsed(recorded: Recorded, given: Endorsed, *, same: bool) -> Endorsed:
    """Lock and waivers to judge with; those of a release go with its own policy."""
    if not same and given.lock is not None:
        raise InvalidInputError(
            "the run was recorded under another policy, so it can't have been counted with a lock on this one",
            where=str(recorded.where),
            hint="leave out --lock; the rule on the lock stays inconclusive",
        )
    if not same:
        return given
    lock, waivers = given.lock or recorded.endorsed.lock, given.waivers or recorded.endorsed.waivers
    if lock is None and recorded.statement.lock is not None:
        raise InvalidInputError(
            f"the run was counted with a lock by key {recorded.statement.lock.locker}, and no lock was given",
            where=str(recorded.where),
            hint="give --lock and --trust as certify had them",
        )
    return Endorsed(lock=lock, waivers=waivers)


def _check_fit(recorded: Recorded, policy: Policy) -> None:
    """Refuse a policy under which no run of this candidate would begin, or be judged."""
    evidence = recorded.evidence
    check_rules_fit(policy, evidence.candidate, evidence.dataset)
    for what, files in (
        ("the network was made", evidence.record.provenance.code),
        ("the data were read", evidence.dataset.code),
    ):
        for file in files:
            if file not in policy.allow_code:
                raise InvalidInputError(
                    f"{what} by code that this policy does not allow: {file}",
                    where=str(recorded.where),
                    hint="name it in allow_code, or certify another candidate",
                )


def notices_of_rejudgement(recorded: Recorded, policy: Policy) -> tuple[Notice, ...]:
    """What every report of a re-judgement says of itself."""
    from gatekeeper.report import Notice

    then = recorded.policy
    asked = "No ledger was asked how often this one was tried on these units."
    if recorded.tried is not None:
        asked = f"By the ledger, this one was tried {recorded.tried} times on these units."
    attempt = (
        f"It was attempt {recorded.statement.attempts} of that policy, and is read with the confidence that this one "
        f"leaves to such an attempt. {asked} Their total is that of the run's time."
    )
    text = (
        f"This is a re-judgement: evidence that was recorded under policy {then.name} v{then.version} (digest "
        f"{digest(then)}), in run {recorded.statement.run}, was judged by policy {policy.name} v{policy.version} "
        f"(digest {digest(policy)}). Nothing was trained, signed or released, and nothing can be released for it: a "
        f"release takes a run that was certified under its policy, which is locked before the run where it asks for "
        f"that. {attempt} {recorded.vouched}"
    )
    return (Notice(kind="re-judgement", text=text),)
