"""`gatekeeper policy explain`: a rule in words, with numbers that the gate agrees with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from gatekeeper.core.adversary import ALL_STEPS_SPECTRAL, RELAXED, WORST_CASE, Adversary
from gatekeeper.core.policy import Policy, WaiverTerms
from gatekeeper.core.risk import Count
from gatekeeper.errors import InvalidInputError
from gatekeeper.gate import decide
from gatekeeper.report import exit_code
from gatekeeper.report.rule_meaning import meaning_of, most_successes
from gatekeeper.report.rule_meaning_text import meaning_schema, render_meaning_json, render_meaning_text
from tests.command_line import gatekeeper
from tests.config_files import POLICY, file_of
from tests.facts import sample_policy
from tests.policy_facts import facts_for, with_attack


def with_adversary(adversary: Adversary) -> Policy:
    policy = sample_policy()
    (rule,) = policy.risk_rules
    knows = adversary.knows != "nothing"
    changed = dataclasses.replace(
        rule,
        adversary=adversary,
        similarity=None if knows else rule.similarity,
        evidence=("bound",) if knows else rule.evidence,
        worst_max=None,
    )
    return dataclasses.replace(policy, rules=(*policy.utility_rules, changed))


@pytest.mark.parametrize("units", [60, 200, 600])
@pytest.mark.parametrize("maximum", [0.005, 0.05, 0.3])
def test_the_most_successes_are_the_last_that_pass(units: int, maximum: float) -> None:
    most = most_successes(units=units, maximum=maximum, confidence=0.95)
    assert most == -1 or Count(successes=most, trials=units).upper(confidence=0.95) <= maximum
    assert most == units or Count(successes=most + 1, trials=units).upper(confidence=0.95) > maximum


def test_what_it_says_passes_is_what_the_gate_passes() -> None:
    policy = dataclasses.replace(
        sample_policy(), audit=dataclasses.replace(sample_policy().audit, units=600), max_attempts=5
    )
    (rule,), facts = policy.risk_rules, facts_for(policy)
    assert "at most 4 of 600 audited units" in meaning_of(policy, rule.id).passes
    for successes, code in ((4, 0), (5, 1)):
        spoilt = with_attack(facts, rule, sample=Count(successes=successes, trials=600))
        assert exit_code(decide(policy, spoilt)) == code


def test_each_adversary_has_its_own_evidence_and_its_own_scope() -> None:
    worst, relaxed, prior = (
        meaning_of(with_adversary(a), "reconstruction") for a in (WORST_CASE, RELAXED, ALL_STEPS_SPECTRAL)
    )
    assert "proven against every attack" in worst.evidence[0]
    assert worst.means == "no attacker whatever picks the target among the candidates more often: proven"
    assert "up to its sign" in relaxed.means
    assert "no proof" in prior.evidence[0]
    assert "were the images Gaussian" in prior.means
    assert not any("membership" in said for said in worst.not_said)
    assert any("membership" in said for said in prior.not_said)


def test_waivers_are_told_as_the_policy_takes_them() -> None:
    policy = dataclasses.replace(sample_policy(), waivers=WaiverTerms(max_days=30))
    marked = dataclasses.replace(policy, rules=tuple(dataclasses.replace(r, waivable=False) for r in policy.rules))
    assert meaning_of(sample_policy(), "drop").waivers == "the policy accepts no waivers"
    assert (
        "signed by an approver, for this model and this policy, at most 30 days" in meaning_of(policy, "drop").waivers
    )
    assert meaning_of(marked, "drop").waivers.startswith("never")
    assert meaning_of(policy, "privacy-epsilon").waivers.startswith("never")


def test_the_plain_estimate_is_called_what_it_is() -> None:
    policy = sample_policy()
    estimate = dataclasses.replace(policy.utility_rules[0], statistic="estimate")
    policy = dataclasses.replace(policy, rules=(estimate, *policy.rules[1:]))
    assert "no interval guards it" in meaning_of(policy, estimate.id).means
    assert "no interval" not in meaning_of(sample_policy(), estimate.id).means


def test_a_rule_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInputError, match="no rule 'mcc'") as refused:
        meaning_of(sample_policy(), "mcc")
    assert "reconstruction/worst" in str(refused.value)
    without = with_adversary(ALL_STEPS_SPECTRAL)
    for name in ("reconstruction/worst", "accuracy/worst", "policy-lock", "privacy-total-epsilon"):
        with pytest.raises(InvalidInputError):
            meaning_of(without, name)


def test_text_and_json_say_the_same(tmp_path: Path) -> None:
    meaning = meaning_of(sample_policy(), "reconstruction")
    printed = json.loads(render_meaning_json(meaning))
    jsonschema.Draft202012Validator(meaning_schema()).validate(printed)
    text = " ".join(render_meaning_text(meaning).split())
    assert printed["passes"] in text
    path = str(file_of(tmp_path, POLICY))
    assert "a pass means" in gatekeeper("policy", "explain", "mcc", "--policy", path).stdout
    assert json.loads(gatekeeper("policy", "explain", "mcc", "--policy", path, "--json").stdout)["rule"] == "mcc"
    assert gatekeeper("policy", "explain", "none", "--policy", path).code == 2
