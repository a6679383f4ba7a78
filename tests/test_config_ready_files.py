"""The ready policies and examples load, explain themselves, and fit each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import load_candidate, load_policy
from gatekeeper.core.adversary import ALL_STEPS, ALL_STEPS_SPECTRAL, ONE_STEP, PAPER_ATTACKS
from gatekeeper.core.policy import Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import Count
from gatekeeper.gate import decide
from gatekeeper.report import exit_code
from gatekeeper.report.rule_meaning import meaning_of
from tests.policy_facts import facts_for, with_attack, with_bound, with_utility

ROOT = Path(__file__).parent.parent
POLICIES = {path.stem: path for path in sorted((ROOT / "policies").glob("*.yaml"))}
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}
PAIRS = [
    ("lesions", "demo"),
    ("lesions-1e9", "demo"),
    ("digits", "digits"),
    ("digits", "digits-strict"),
    ("blood-cells", "blood-cells"),
    ("abdomen", "abdomen"),
    ("abdomen-3d", "liver"),
    ("blood-cells-finetune", "blood-cells"),
]


@pytest.mark.parametrize("name", POLICIES)
def test_a_ready_policy_loads_and_is_named_after_its_file(name: str) -> None:
    assert load_policy(POLICIES[name]).name == name


@pytest.mark.parametrize("name", POLICIES)
def test_a_ready_policy_gives_its_reasons(name: str) -> None:
    lines = POLICIES[name].read_text(encoding="utf-8").split("\n")
    assert sum(line.lstrip().startswith("#") for line in lines) > 15


def test_every_example_has_a_policy() -> None:
    assert {example for example, _ in PAIRS} == set(EXAMPLES)


@pytest.mark.parametrize(("example", "policy"), PAIRS)
def test_an_example_is_within_its_policy(example: str, policy: str) -> None:
    candidate, terms = load_candidate(EXAMPLES[example]), load_policy(POLICIES[policy]).privacy
    assert candidate.data.unit == terms.unit
    assert candidate.training.epsilon is not None
    assert candidate.training.epsilon <= terms.max_epsilon
    assert candidate.training.delta is not None
    assert candidate.training.delta <= terms.max_delta


def test_the_two_digits_policies_differ_in_the_adversary_alone() -> None:
    plain, strict = load_policy(POLICIES["digits"]), load_policy(POLICIES["digits-strict"])
    (one_step,), (all_steps,) = plain.risk_rules, strict.risk_rules
    assert (one_step.adversary.observes, all_steps.adversary.observes) == ("one-step", "all-steps")
    assert one_step.maximum == all_steps.maximum
    assert (plain.privacy, plain.utility_rules, plain.audit) == (strict.privacy, strict.utility_rules, strict.audit)


def test_the_two_lesion_examples_differ_in_the_budget_alone() -> None:
    small, large = load_candidate(EXAMPLES["lesions"]), load_candidate(EXAMPLES["lesions-1e9"])
    assert (small.training.epsilon, large.training.epsilon) == (1e5, 1e9)
    assert (small.data, small.model) == (large.data, large.model)


def _spoilt(policy: Policy, rule: UtilityRule | RiskRule) -> int:
    """The exit code where one rule alone is violated."""
    facts = facts_for(policy)
    if isinstance(rule, UtilityRule):
        changes = {"high": 1.0, "estimate": 1.0} if rule.needs_twin else {"low": -1.0, "estimate": 0.0}
        return exit_code(decide(policy, with_utility(facts, rule, **changes)))
    if "attack" not in rule.evidence:
        return exit_code(decide(policy, with_bound(facts, rule, 1.0)))
    units = policy.audit.units
    return exit_code(decide(policy, with_attack(facts, rule, sample=Count(successes=units, trials=units))))


@pytest.mark.parametrize("name", POLICIES)
def test_a_ready_policy_can_be_passed_and_each_of_its_rules_can_refuse(name: str) -> None:
    policy = load_policy(POLICIES[name])
    assert exit_code(decide(policy, facts_for(policy))) == 0
    assert [_spoilt(policy, rule) for rule in policy.rules] == [1] * len(policy.rules)


@pytest.mark.parametrize("name", POLICIES)
def test_every_finding_of_a_ready_policy_is_explained(name: str) -> None:
    policy = load_policy(POLICIES[name])
    findings = decide(policy, facts_for(policy)).findings
    assert [meaning_of(policy, finding.rule).rule for finding in findings] == [finding.rule for finding in findings]


def test_the_ready_policies_read_the_adversaries_that_they_are_named_after() -> None:
    def risk(name: str) -> RiskRule:
        (rule,) = load_policy(POLICIES[name]).risk_rules
        return rule

    paper, strict, prior = risk("paper-2024"), risk("strict-all-steps"), risk("prior-aware")
    assert (paper.adversary, paper.attacks, paper.evidence) == (ONE_STEP, PAPER_ATTACKS, ("attack",))
    assert (strict.adversary, strict.evidence) == (ALL_STEPS, ("bound", "attack"))
    assert (prior.adversary, prior.evidence) == (ALL_STEPS_SPECTRAL, ("bound", "attack"))
    assert not any(rule.waivable for rule in (strict, prior, risk("research-preview")))


def test_what_the_ready_policies_say_of_their_samples_is_so() -> None:
    passes = {
        "paper-2024": "at most 4 of 600",
        "strict-all-steps": "at most 2 of 1000",
        "prior-aware": "at most 9 of 1000",
        "research-preview": "at most 1 of 150",
    }
    for name, says in passes.items():
        policy = load_policy(POLICIES[name])
        (rule,) = policy.risk_rules
        assert says in meaning_of(policy, rule.id).passes


def test_locks_and_waivers_are_where_the_comments_say() -> None:
    terms = {name: load_policy(path) for name, path in POLICIES.items()}
    assert {name for name, policy in terms.items() if policy.require_lock} == {"strict-all-steps", "prior-aware"}
    assert {name for name, policy in terms.items() if policy.waivers} == {"research-preview"}
