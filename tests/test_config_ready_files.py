"""The ready policies and examples load, explain themselves, and fit each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import load_candidate, load_policy

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
