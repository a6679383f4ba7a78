"""A run's evidence that contradicts neither itself nor its mechanism, and the certificate that follows from it."""

from __future__ import annotations

import dataclasses

from gatekeeper.core.adversary import WORST_CASE
from gatekeeper.core.certificate import Certificate, Evidence
from gatekeeper.core.identification import CANDIDATES
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Approval
from gatekeeper.gate import decide
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.pipeline.judgement import establish
from gatekeeper.pipeline.matching import audit_mechanism
from gatekeeper.privacy import identification_power, participations
from tests.facts import every_outcome, identification, outcome, sample_facts, sample_policy, statement

# So much noise that not even an attacker who knows all other records picks the target.
_NOISE = 20.0


def coherent_policy() -> Policy:
    """The sample policy, of which the rule on risk reads the worst case's bound."""
    policy = sample_policy()
    (rule,) = policy.risk_rules
    bounded = dataclasses.replace(
        rule, adversary=WORST_CASE, similarity=None, evidence=("bound",), worst_max=None, maximum=0.5
    )
    return dataclasses.replace(policy, rules=(*policy.utility_rules, bounded))


def coherent_evidence(*, model: str = "tiny") -> Evidence:
    """Evidence that `establish` believes."""
    evidence = sample_facts().evidence
    run = dataclasses.replace(evidence.record.mechanism, noise_multiplier=_NOISE)
    matched = audit_mechanism(run, candidates=CANDIDATES)
    proven = identification_power(matched, prior_success=1 / CANDIDATES).worst_case
    return dataclasses.replace(
        evidence,
        candidate=dataclasses.replace(evidence.candidate, name=model),
        plan=dataclasses.replace(evidence.plan, mechanism=run),
        record=dataclasses.replace(evidence.record, mechanism=run),
        attacks=dataclasses.replace(
            evidence.attacks, outcomes=every_outcome(outcome(), uses=participations(run).upper_quantile())
        ),
        identifications=tuple(
            dataclasses.replace(each, mechanism=matched, bound=proven) for each in identification(run)
        ),
    )


def certify(policy: Policy, *, created: str, endorsed: Endorsed = NOTHING) -> Certificate:
    """The certificate of coherent evidence that a policy approves; it binds no files."""
    evidence = coherent_evidence()
    lock = None if endorsed.lock is None else endorsed.lock.note
    facts = establish(evidence, policy, dataclasses.replace(statement(evidence), lock=lock), endorsed=endorsed)
    verdict = decide(policy, facts)
    assert isinstance(verdict, Approval), [f.detail for f in verdict.findings if f.status != "passed"]
    return Certificate(gatekeeper_version="1", created=created, policy=policy, facts=facts, approval=verdict, files=())
