"""Recorded evidence: of a run directory, as it lies there or under the seal of a runner, or of a signed release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.certificate import Evidence
from gatekeeper.core.codec import digest
from gatekeeper.core.ledger import LedgerStatement, Spend
from gatekeeper.core.policy import Policy
from gatekeeper.errors import InvalidInputError, VerificationError
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.rundir import SEAL, RunDirectory

if TYPE_CHECKING:
    from gatekeeper.ledger import Ledger

_CERTIFICATE = Path("attestations") / "certificate.sigstore.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The evidence of a run, and what it was recorded under.

    Attributes:
        where: the run directory or release.
        policy: what the run was planned, counted and measured under.
        evidence: what was measured.
        statement: what the ledger said of the run.
        endorsed: lock and waivers of a release; they count under its own policy alone.
        vouched: who vouches for all this, in a sentence.
        tried: how often the policy that is to judge was tried on these units, by the ledger; None where none was asked.
        next_total: ε of all runs on these units and one more like this, where that policy limits it; likewise.
    """

    where: Path
    policy: Policy
    evidence: Evidence
    statement: LedgerStatement
    endorsed: Endorsed
    vouched: str
    tried: int | None = None
    next_total: float | None = None


def is_release(path: Path) -> bool:
    """Whether a path looks like a signed release."""
    return (path / _CERTIFICATE).is_file()


def read_recorded_release(path: Path, *, public_key: Path | None, trust: Path | None) -> Recorded:
    """What a release was signed for, once it verifies.

    Args:
        path: the release.
        public_key: of its signer, from outside of it; or
        trust: a trust file; one of the two is given.

    Raises:
        VerificationError: it does not verify.
    """
    from gatekeeper.pipeline.verification import verify

    verified = verify(path, public_key=public_key, trust=trust, policy_digest=None)
    certificate = verified.certificate
    facts = certificate.facts
    return Recorded(
        where=path,
        policy=certificate.policy,
        evidence=facts.evidence,
        statement=facts.ledger,
        endorsed=Endorsed(lock=facts.lock, waivers=facts.waivers),
        vouched="The release's signature vouches for the evidence.",
    )


def read_recorded_run(path: Path, *, policy: Policy, cache_key: Path | None, ledger: Ledger | None) -> Recorded:
    """What a run directory holds, each file read once, as far as it agrees with itself.

    Args:
        path: the run directory.
        policy: what is to judge, for the ledger to say how often it was tried.
        cache_key: the key of its seal, which must then hold; None believes the directory as it lies there.
        ledger: must say of the run what the directory says; None does not ask.

    Raises:
        CacheError: the key can't be used.
        InvalidInputError: parts of it are about something else, or the ledger does not confirm it.
        RunDirectoryError: it holds no evidence.
        VerificationError: the seal is missing or does not hold.
    """
    run = RunDirectory(path)
    recorded, candidate = run.read_policy(), run.read_candidate()
    evidence, statement = run.read_evidence(), run.read_ledger()
    if evidence.candidate != candidate:
        raise InvalidInputError("the evidence is about another candidate than the run's", where=str(path))
    found = run.model_sha256()
    if found != evidence.model.sha256:
        raise InvalidInputError(
            f"model.onnx has sha256 {found}, the evidence is about {evidence.model.sha256}", where=str(run.model)
        )
    if run.has("judgement.json"):
        judged = run.read_judgement().facts
        if (judged.evidence, judged.ledger) != (evidence, statement):
            raise InvalidInputError("evidence or ledger.json changed since the run was judged", where=str(path))
    vouched = "Nothing but the permissions of the run directory vouches for the evidence."
    if cache_key is not None:
        from gatekeeper.cache import load_key, seal_of

        seal = seal_of(
            policy=recorded, candidate=candidate, evidence=evidence, statement=statement, key=load_key(cache_key)
        )
        _check_seal(run, seal)
        vouched = "The seal of the runner's key vouches for the evidence."
    tried = next_total = None
    if ledger is not None:
        _check_ledger(run, ledger, policy=recorded, evidence=evidence, statement=statement)
        vouched += " The ledger confirms that it counted the run under that policy."
        tried = ledger.tried(statement.run, policy_digest=digest(policy))
        if policy.privacy.max_total_epsilon is not None:
            next_total = _next_total(statement.run, ledger, evidence)
    return Recorded(
        where=path,
        policy=recorded,
        evidence=evidence,
        statement=statement,
        endorsed=NOTHING,
        vouched=vouched,
        tried=tried,
        next_total=next_total,
    )


def _next_total(run: str, ledger: Ledger, evidence: Evidence) -> float:
    """What another training like the run's would bring the units to that have spent the most."""
    from gatekeeper.pipeline.counting import total_of

    again = Spend(run="another run", mechanism=evidence.plan.mechanism, settled=False)
    histories = ledger.position(run).standing.histories
    return max(total_of((*history.spends, again), evidence.plan.budget.delta) for history in histories)


def _check_seal(run: RunDirectory, expected: str) -> None:
    from gatekeeper.cache import sealed

    if not run.has(SEAL):
        raise VerificationError(
            "the run has no seal", where=str(run.path), hint="certify with --cache-key, or check without it"
        )
    if not sealed(run.read_text(SEAL), expected):
        raise VerificationError(
            "the run's seal does not hold: a file was changed, or another key sealed it",
            where=str(run.path / SEAL),
            hint="nothing of this run can be believed; certify again",
        )


def _check_ledger(
    run: RunDirectory, ledger: Ledger, *, policy: Policy, evidence: Evidence, statement: LedgerStatement
) -> None:
    """A run that was restored elsewhere is the ledger's by the name in its statement."""
    from gatekeeper.pipeline.counting import contradictions, run_id

    mechanism = evidence.record.mechanism
    for problem in contradictions(statement, ledger, name=run_id(run), policy=policy, mechanism=mechanism):
        raise InvalidInputError(f"the ledger does not confirm the run: {problem}", where=str(run.path))
