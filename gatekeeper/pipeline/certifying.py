"""One run from its plan to its verdict: counted in the ledger before its first step, and its end told, however it ends.

The pieces are those of `child`, `counting` and `judgement`; this is their order, for every command that trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.ledger import Conclusion
from gatekeeper.core.policy import Policy
from gatekeeper.errors import GatekeeperError, LedgerError
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.rundir import Judgement, RunDirectory

if TYPE_CHECKING:
    from gatekeeper.ledger import Ledger

# `plan-beyond` plans for a budget above the policy's ceilings: to be looked at, and refused by the judge.
PlanTask = Literal["plan", "plan-beyond"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclinedRun:
    """A run that the policy refuses before its first step: nothing ran, and nothing is counted.

    Attributes:
        objection: why.
    """

    objection: str


def produce_and_judge(
    run: RunDirectory,
    policy: Policy,
    candidate: Candidate,
    ledger: Ledger,
    *,
    quiet: bool,
    device: DeviceChoice,
    warn: Callable[[str], None],
    plan: PlanTask = "plan",
    endorsed: Endorsed = NOTHING,
) -> Judgement | DeclinedRun:
    """Plan, count, train, attack and judge a run; what an interrupted run has done already is not done again.

    Args:
        run: the caller holds its lock.
        policy: as read by this process.
        candidate: likewise.
        ledger: where the run is counted.
        quiet: whether to draw no progress.
        device: where to train.
        warn: told what went wrong and changes nothing.
        plan: how to plan.
        endorsed: the lock on the policy, which is counted with the run, and the waivers to judge it with.

    Raises:
        GatekeeperError: those of `run_private_part`, `reserve`, `settle` and `judge`.
        KeyboardInterrupt: somebody asked to stop.
    """
    from gatekeeper.pipeline import counting
    from gatekeeper.pipeline.child import run_private_part
    from gatekeeper.pipeline.judgement import judge
    from gatekeeper.report import verdict_word

    resumed = run.has("planned.json")
    if not resumed:
        run_private_part(run, plan, quiet=quiet)
    count = counting.reserve_again if resumed else counting.reserve
    permission = count(run, policy, ledger, lock=endorsed.lock)
    if permission.permit is None:
        return DeclinedRun(objection=permission.objection or "the policy gives no reason")
    try:
        if not run.has("evidence.json"):
            run_private_part(run, "produce", quiet=quiet, device=device)
        run.remove_training()
        counting.settle(run, ledger, permit=permission.permit)
        judgement = judge(run, policy=policy, candidate=candidate, endorsed=endorsed)
    except GatekeeperError as error:
        conclude(run, ledger, "failed", error.code, warn=warn)
        raise
    except KeyboardInterrupt:
        conclude(run, ledger, "failed", "interrupted", warn=warn)
        raise
    detail = counting.AUDIT_ONLY if run.audit_only else ""
    conclude(run, ledger, verdict_word(judgement.verdict), detail, warn=warn)
    return judgement


def conclude(
    run: RunDirectory, ledger: Ledger, conclusion: Conclusion, detail: str = "", *, warn: Callable[[str], None]
) -> None:
    """Tell the ledger how the run ended: for people only, so a ledger that is away changes nothing else."""
    from gatekeeper.pipeline import counting

    try:
        counting.conclude(run, ledger, conclusion, detail)
    except LedgerError as error:
        warn(f"warning: the ledger was not told that the run was {conclusion}: {error}")
