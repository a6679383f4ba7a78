"""Waivers: what failed by no more than somebody answers for is waived, with its value in full sight.

Only a violation that was surely measured can be excused. What is inconclusive stays so, and so do violations that were
found in spite of a failed control: how bad they are is not known.
"""

from __future__ import annotations

from dataclasses import replace

from gatekeeper.core.certificate import Facts
from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule, WaiverTerms
from gatekeeper.core.rounding import in_full
from gatekeeper.core.verdict import Finding
from gatekeeper.core.waiver import PresentedWaiver, WaiverUse, use_of
from gatekeeper.gate.risk import doubt_of


def with_waivers(finding: Finding, rule: UtilityRule | RiskRule | None, policy: Policy, facts: Facts) -> Finding:
    """A finding after the waivers that were presented for it: waived, or failed with the reasons why none applies.

    Args:
        finding: as it was found.
        rule: the rule that it is a finding of; None where the policy implies it, which nobody can waive.
        policy: what it is judged by.
        facts: what was measured, and the waivers.
    """
    presented = [each for each in facts.waivers if each.waiver.rule == finding.rule]
    if finding.status != "failed" or not presented:
        return finding
    detail = finding.detail
    for each in presented:
        objection = _objection(each, finding, rule, policy, facts)
        if objection is None:
            return replace(finding, status="waived", waiver=each.waiver.id, detail=f"{detail}; {_excuse(each)}")
        detail += f"; waiver {each.waiver.id} does not apply: {objection}"
    return replace(finding, detail=detail)


def uses(findings: tuple[Finding, ...], facts: Facts) -> tuple[WaiverUse, ...]:
    """The waivers that findings rest on, in their order."""
    presented = {each.waiver.id: each for each in facts.waivers}
    return tuple(use_of(presented[finding.waiver]) for finding in findings if finding.waiver is not None)


def _excuse(presented: PresentedWaiver) -> str:
    waiver = presented.waiver
    signed = "unsigned" if presented.signer is None else f"key {presented.signer[:16]}…"
    return (
        f"WAIVED by {waiver.id} up to {in_full(waiver.ceiling)} until the end of {waiver.expires} (UTC): "
        f"{waiver.reason} (owner {waiver.owner}, approver {waiver.approver}, {signed})"
    )


def _objection(
    presented: PresentedWaiver, finding: Finding, rule: UtilityRule | RiskRule | None, policy: Policy, facts: Facts
) -> str | None:
    """Why a waiver does not excuse a finding, or None."""
    if policy.waivers is None:
        return "the policy accepts no waivers"
    return (
        _objection_of_subject(presented, policy, facts)
        or _objection_of_time(presented, policy.waivers)
        or _objection_of_rule(presented, rule, policy, facts)
        or _objection_of_value(presented, finding)
    )


def _objection_of_rule(
    presented: PresentedWaiver, rule: UtilityRule | RiskRule | None, policy: Policy, facts: Facts
) -> str | None:
    if rule is None:
        return "rules on accounting, attempts, locks and the run's own code can't be waived"
    if not rule.waivable:
        return "the policy marks the rule as waivable: false"
    doubt = doubt_of(rule, policy, facts) if isinstance(rule, RiskRule) else None
    if doubt is not None:
        return f"the evidence is inconclusive, so how bad it is is not known ({doubt})"
    if policy.waivers is not None and policy.waivers.signed and presented.signer is None:
        return "it is not signed, and the policy asks for a signature"
    return None


def _objection_of_subject(presented: PresentedWaiver, policy: Policy, facts: Facts) -> str | None:
    waiver, model = presented.waiver, facts.evidence.candidate.name
    if waiver.model != model:
        return f"it is for model {waiver.model}, this is {model}"
    if waiver.policy_digest != digest(policy):
        return f"it is for the policy with digest {waiver.policy_digest}, this one's is {digest(policy)}"
    return None


def _objection_of_time(presented: PresentedWaiver, terms: WaiverTerms) -> str | None:
    """It must hold, and not for longer than the policy lets anybody promise."""
    waiver = presented.waiver
    left = waiver.days_left(presented.presented)
    if presented.presented > waiver.end:
        return f"it expired at the end of {waiver.expires} (UTC)"
    if left > terms.max_days:
        return (
            f"it runs for {left} days more, to {waiver.expires}; the policy accepts waivers that expire within "
            f"{terms.max_days} days"
        )
    return None


def _objection_of_value(presented: PresentedWaiver, finding: Finding) -> str | None:
    ceiling = presented.waiver.ceiling
    covered = finding.measured <= ceiling if finding.comparator == "≤" else finding.measured >= ceiling
    return None if covered else f"measured is {finding.measured!r}, worse than its ceiling {in_full(ceiling)}"
