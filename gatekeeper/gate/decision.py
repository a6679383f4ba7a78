"""The verdict: every finding, in the policy's order."""

from __future__ import annotations

from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy, UtilityRule
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal, Verdict
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate.privacy import budget_findings
from gatekeeper.gate.risk import risk_findings
from gatekeeper.gate.utility import utility_finding
from gatekeeper.gate.waivers import uses, with_waivers


def decide(policy: Policy, facts: Facts) -> Verdict:
    """Judge the facts of a run by a policy.

    Args:
        policy: what must hold.
        facts: what was proven and measured.

    Returns:
        `Refusal` if any rule is violated and not waived, else `Inconclusive` if any could not be judged, else
        `Approval` of the file whose digest the facts hold.

    Raises:
        InvalidValueError: the facts are about another unit of privacy or adjacency than the policy's, or the lock is on
            another policy.
    """
    _check_subject(policy, facts)
    found = [with_waivers(finding, None, policy, facts) for finding in budget_findings(policy, facts)]
    for rule in policy.rules_at(facts.ledger.attempts):
        findings = (
            [utility_finding(rule, facts)] if isinstance(rule, UtilityRule) else risk_findings(rule, policy, facts)
        )
        found += [with_waivers(finding, rule, policy, facts) for finding in findings]
    return verdict_of(tuple(found), policy, facts)


def verdict_of(findings: tuple[Finding, ...], policy: Policy, facts: Facts) -> Verdict:
    """The verdict that follows from all the findings of a policy."""
    statuses, policy_digest = {finding.status for finding in findings}, digest(policy)
    if "failed" in statuses:
        return Refusal(policy_digest=policy_digest, findings=findings)
    if "inconclusive" in statuses:
        return Inconclusive(policy_digest=policy_digest, findings=findings)
    return Approval(
        model_digest=facts.evidence.model.sha256,
        policy_digest=policy_digest,
        findings=findings,
        waivers=uses(findings, facts),
    )


def _check_subject(policy: Policy, facts: Facts) -> None:
    mechanism = facts.evidence.record.mechanism
    for name, demanded, given in (
        ("unit of privacy", policy.privacy.unit, mechanism.unit),
        ("unit of the data", policy.privacy.unit, facts.evidence.dataset.unit),
        ("adjacency", policy.privacy.adjacency, mechanism.adjacency),
    ):
        if demanded != given:
            raise InvalidValueError(f"the policy's {name} is {demanded!r}, the run's is {given!r}")
    if facts.lock is not None and facts.lock.policy_digest != digest(policy):
        raise InvalidValueError(
            f"the lock is on the policy with digest {facts.lock.policy_digest}, this one's is {digest(policy)}"
        )
