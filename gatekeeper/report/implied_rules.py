"""The conditions that every policy implies, in plain words: the budget, the ledger's, and the run's own code."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.core.policy import Policy
from gatekeeper.core.rounding import in_full
from gatekeeper.core.rule_meaning import RuleMeaning

_NEVER = "never: rules on accounting, attempts, controls and locks can't be waived"


def implied_meanings(policy: Policy) -> Iterator[RuleMeaning]:
    """One for each finding that a verdict has besides those of the policy's own rules, in the verdict's order."""
    yield _epsilon(policy)
    yield _delta(policy)
    if policy.privacy.max_total_epsilon is not None:
        yield _total(policy, policy.privacy.max_total_epsilon)
    if policy.max_attempts is not None:
        yield _attempts(policy, policy.max_attempts)
    if policy.require_lock:
        yield _lock(policy)
    yield _own_code(policy)


def _epsilon(policy: Policy) -> RuleMeaning:
    limit, unit = in_full(policy.privacy.max_epsilon), policy.privacy.unit
    return RuleMeaning(
        rule="privacy-epsilon",
        policy=policy.name,
        demand=f"ε of the run is at most {limit}",
        measures=f"the privacy loss of each training {unit} by the mechanism that ran",
        adversary="every attacker, whatever it knows",
        evidence=("a proven upper bound of ε at the run's δ, from sampling, noise multiplier and steps; rounded up",),
        passes=f"a bound of at most {limit}",
        inconclusive=(),
        means=f"the noisy sums of the run are ({limit}, δ)-differentially private for each {unit}",
        not_said=(
            "that an attacker who holds a candidate record learns little, where ε is large",
            "anything about runs besides this one, or about the test units",
        ),
        waivers=_NEVER,
    )


def _delta(policy: Policy) -> RuleMeaning:
    limit = in_full(policy.privacy.max_delta)
    return RuleMeaning(
        rule="privacy-delta",
        policy=policy.name,
        demand=f"δ is at most {limit} and below 1/units",
        measures="the δ that the run was planned and accounted at",
        adversary=None,
        evidence=("a parameter of the run, not a measurement",),
        passes=f"δ ≤ {limit} and δ · units < 1",
        inconclusive=(),
        means="the formal guarantee is not met by publishing one unit at random",
        not_said=("what may happen beyond ε, with a probability of about δ",),
        waivers=_NEVER,
    )


def _total(policy: Policy, limit: float) -> RuleMeaning:
    return RuleMeaning(
        rule="privacy-total-epsilon",
        policy=policy.name,
        demand=f"ε of all runs on these units is at most {in_full(limit)}",
        measures="what every run that the ledger knows took of the units that have spent the most, this one included",
        adversary="every attacker, whatever it knows",
        evidence=("the composition of all their mechanisms; runs that never reported an end count in full",),
        passes=f"a composed bound of at most {in_full(limit)}; a run that would go beyond is refused before its first "
        "step",
        inconclusive=(),
        means="all counted runs together are differentially private at that budget",
        not_said=("anything about runs that no ledger counted, or units that it can't recognise",),
        waivers=_NEVER,
    )


def _attempts(policy: Policy, limit: int) -> RuleMeaning:
    return RuleMeaning(
        rule="attempts",
        policy=policy.name,
        demand=f"this policy was tried on these units at most {limit} times",
        measures="runs under a policy of this digest on any of the units, refused and interrupted ones included",
        adversary=None,
        evidence=("the ledger's count",),
        passes=f"attempt 1 to {limit}",
        inconclusive=(),
        means="the confidence of the rules holds over all attempts together: repeating until luck passes did not pay",
        not_said=("how often other policies were tried on the same units; the ledger knows",),
        waivers=_NEVER,
    )


def _lock(policy: Policy) -> RuleMeaning:
    return RuleMeaning(
        rule="policy-lock",
        policy=policy.name,
        demand="the policy was locked before the run",
        measures="whether the ledger counted the run together with a lock on this very policy",
        adversary=None,
        evidence=("the lock: a signature over the policy's digest by a key that is not the release key",),
        passes="one lock",
        inconclusive=(),
        means="what had to hold was fixed before anybody knew what would come out",
        not_said=(
            "when the lock was signed: its time is the locker's clock; the ledger's entry says by when it existed",
        ),
        waivers=_NEVER,
    )


def _own_code(policy: Policy) -> RuleMeaning:
    return RuleMeaning(
        rule="own-code",
        policy=policy.name,
        demand="no attack on the run's own step surely beats the limit of its mechanism",
        measures="how often an attacker who knows candidates picks the target from noisy sums of the run's own code",
        adversary="worst case: knows every other training record and candidates that hold the target",
        evidence=("a few hundred trials at a noise where no attack on the mechanism does well (Hayes et al. 2023)",),
        passes="a lower confidence limit of the picks that is not above what the mechanism allows",
        inconclusive=(
            "too few units to match candidates",
            "with the noise off the attack does not pick the target (positive control)",
        ),
        means="a program that forgets to clip, halves the noise or takes a unit twice would have been caught",
        not_said=("that the program is right: one that adds 80 % of the noise passes",),
        waivers=_NEVER,
    )
