"""The verdict on evidence that was measured under another policy.

A finding is judged only if a run under the new policy would have measured the same thing for it. Otherwise it is
inconclusive, whatever its number: what was not measured passes nothing, and refuses nothing. Where the policy itself
would have made another training of the candidate, nothing of the evidence is about that training, and every finding is
inconclusive. More audited units than the policy asks for are welcome: the shares that they estimate are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gatekeeper.core.adversary import WEIGHTS_ONLY
from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.rounding import in_full, round_up
from gatekeeper.core.rule_names import worst_name
from gatekeeper.core.verdict import Finding, Verdict
from gatekeeper.gate.decision import decide, verdict_of

_CERTIFY_AGAIN = "certify again under this policy"

# A null is calibrated on as many training units at most.
_NULL_UNITS = 1000


def decide_again(
    policy: Policy, facts: Facts, *, recorded: Policy, tried: int | None = None, next_total: float | None = None
) -> Verdict:
    """Judge evidence that was measured under one policy by another.

    Args:
        policy: what must hold.
        facts: what was measured, and what follows from it under `policy`. Their ledger counts attempts of `recorded`,
            and no lock of another policy's.
        recorded: the policy that the run was planned, counted and measured under.
        tried: how often `policy` was tried on these units already, or None where no ledger was asked.
        next_total: ε of all runs on these units and one more like this, an upper bound; likewise.

    Returns:
        What `decide` gives, where both policies are the same; otherwise with every finding inconclusive that the
        evidence does not answer.

    Raises:
        InvalidValueError: as `decide`.
    """
    verdict = decide(policy, facts)
    if digest(policy) == digest(recorded):
        return verdict
    whole = _another_training(policy, facts)
    gaps = {**dict(_gaps(policy, facts, recorded)), **dict(_tried_gaps(policy, facts, tried or 0))}
    findings = (_attempts_told(each, policy, facts, tried) for each in verdict.findings)
    findings = (_open(each, whole or gaps.get(each.rule)) for each in findings)
    findings = (_under_ceiling(each, policy, facts) for each in findings)
    return verdict_of(tuple(_within_total(each, next_total) for each in findings), policy, facts)


def _open(finding: Finding, reason: str | None) -> Finding:
    """A finding that the evidence does not answer, or the same."""
    if reason is None:
        return finding
    return replace(finding, status="inconclusive", waiver=None, detail=reason, remedy=_CERTIFY_AGAIN)


def _another_training(policy: Policy, facts: Facts) -> str | None:
    """What the candidate leaves to the policy's ceiling, where that is another one now."""
    training, planned = facts.evidence.candidate.training, facts.evidence.plan.budget
    for name, own, ceiling, was in (
        ("ε", training.epsilon, policy.privacy.max_epsilon, planned.epsilon),
        ("δ", training.delta, policy.privacy.max_delta, planned.delta),
    ):
        if own is None and ceiling != was:
            return (
                f"the candidate leaves {name} to the policy's ceiling: the run was planned for {in_full(was)}, under "
                f"this policy it would be {in_full(ceiling)}, another training with another noise"
            )
    return None


def _under_ceiling(finding: Finding, policy: Policy, facts: Facts) -> Finding:
    """The spend may be below a ceiling that the candidate's own demand is above: no run would begin."""
    asked, ceiling = facts.evidence.candidate.training.epsilon, policy.privacy.max_epsilon
    if finding.rule != "privacy-epsilon" or finding.status != "passed" or asked is None or asked <= ceiling:
        return finding
    reason = f"the candidate asks for ε {in_full(asked)}, which this policy does not plan for"
    return replace(finding, status="inconclusive", detail=reason, remedy="lower training.epsilon and certify again")


def _within_total(finding: Finding, next_total: float | None) -> Finding:
    """The total of then may be below a limit that another run, which a release takes, would pass: none would begin."""
    if finding.rule != "privacy-total-epsilon" or finding.status != "passed":
        return finding
    if next_total is None or next_total <= finding.limit:
        return finding
    reason = (
        f"by the ledger the ε of all runs on these units would be {round_up(next_total, digits=6)} with one under this "
        "policy: it would not begin"
    )
    return replace(finding, status="inconclusive", detail=reason, remedy="certify on other units")


def _gaps(policy: Policy, facts: Facts, recorded: Policy) -> Iterator[tuple[str, str]]:
    """The names of findings that the evidence does not answer, each with the reason."""
    if policy.require_lock:
        yield "policy-lock", "no run was counted with a lock on this policy: it was recorded under another one"
    attempts, allowed = facts.ledger.attempts, policy.max_attempts
    if allowed is not None and attempts > allowed:
        yield (
            "attempts",
            f"the run was attempt {attempts} of the policy that it was recorded under; the ledger counts those of this "
            "policy anew",
        )
    for rule in policy.risk_rules:
        reason = _unlike_null(rule, policy, facts, recorded) or _unlike_attack(rule, policy, recorded)
        if reason is not None:
            yield rule.id, reason
        reason = reason or _unlike_worst(policy, facts, recorded)
        if reason is not None:
            yield worst_name(rule.id), reason


def _tried_gaps(policy: Policy, facts: Facts, tried: int) -> Iterator[tuple[str, str]]:
    """What a run under the policy would leave less confidence to, or not begin for: it was tried before."""
    if policy.max_attempts is not None and tried >= policy.max_attempts:
        yield "attempts", f"by the ledger this policy was tried {tried} times on these units: no run would begin"
    attempt = max(facts.ledger.attempts, tried + 1)
    for read, due in zip(policy.rules_at(facts.ledger.attempts), policy.rules_at(attempt), strict=True):
        if read.confidence == due.confidence or not _reads_confidence(read):
            continue
        reason = (
            f"by the ledger this policy was tried {tried} times on these units: a run under it would be read at "
            f"confidence {in_full(round(due.confidence, 6))}, not {in_full(round(read.confidence, 6))}"
        )
        yield read.id, reason


def _reads_confidence(rule: UtilityRule | RiskRule) -> bool:
    return rule.statistic != "estimate" if isinstance(rule, UtilityRule) else "attack" in rule.evidence


def _attempts_told(finding: Finding, policy: Policy, facts: Facts, tried: int | None) -> Finding:
    """The attempts that are compared are those of the recorded policy."""
    if finding.rule != "attempts":
        return finding
    told = "no ledger was asked how often this policy was tried on these units"
    if tried is not None:
        told = f"by the ledger this policy was tried {tried} times on these units"
    return replace(
        finding,
        statement=f"the run was at most attempt {policy.max_attempts} of the policy that it was recorded under",
        detail=f"it was attempt {facts.ledger.attempts} of that one; {told}",
    )


def _unlike_null(rule: RiskRule, policy: Policy, facts: Facts, recorded: Policy) -> str | None:
    """Why τ would be another one, or None."""
    if rule.similarity is None or rule.similarity.at_least is not None:
        return None
    was, now = recorded.audit.null_confidence, policy.audit.null_confidence
    if was != now:
        return f"τ was calibrated at confidence {in_full(was)}, this policy asks for {in_full(now)}"
    wanted = min(policy.audit.units, facts.evidence.dataset.train_units, _NULL_UNITS)
    fewest = min(
        (null.units for null in facts.evidence.attacks.nulls if null.similarity == rule.similarity), default=wanted
    )
    return None if fewest >= wanted else f"τ was calibrated on {fewest} units, this policy asks for {wanted}"


def _unlike_attack(rule: RiskRule, policy: Policy, recorded: Policy) -> str | None:
    """Why the attacks that the rule reads would be other ones, or None; that one is missing, `decide` sees."""
    if "attack" not in rule.evidence:
        return None
    if rule.adversary == WEIGHTS_ONLY:
        return _unlike_search(policy, recorded)
    was, now = recorded.audit.noise_draws, policy.audit.noise_draws
    return None if was == now else f"the attacks had {was} noise draws for each unit, this policy asks for {now}"


def _unlike_search(policy: Policy, recorded: Policy) -> str | None:
    """Why attacks on the released model would search otherwise, or None."""
    was, now = recorded.audit.weights_only, policy.audit.weights_only
    for name in ("candidates", "starts", "iterations"):
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            return f"the attacks on the released model had {name} = {before}, this policy asks for {after}"
    return None


def _unlike_worst(policy: Policy, facts: Facts, recorded: Policy) -> str | None:
    """Why the worst stratum would be another one, or None: a part of it may be worse than all of it."""
    units = facts.evidence.dataset.train_units
    was, now = min(recorded.audit.worst_units, units), min(policy.audit.worst_units, units)
    return None if was == now else f"the worst stratum had {was} units, this policy asks for {now}"
