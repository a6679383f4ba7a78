"""Names of rules: none may be taken for another's, for what every policy implies, or for what a result says of it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.rule_names import IMPLIED, name_clash, property_name, worst_name
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate import decide
from tests.facts import sample_facts, sample_policy
from tests.policy_facts import facts_for

IDS = st.text("abAB-_/1", min_size=1, max_size=6)


@given(st.lists(IDS, unique=True, max_size=5))
def test_names_that_don_t_clash_are_told_apart_everywhere(ids: list[str]) -> None:
    names = [*IMPLIED, *ids, *map(worst_name, ids)]
    apart = len({property_name(name) for name in names}) == len(names)
    assert (name_clash(ids) is None) == apart


@pytest.mark.parametrize(
    ("ids", "other"),
    [
        (["privacy-epsilon"], "privacy-epsilon"),
        (["Privacy_Epsilon"], "privacy-epsilon"),
        (["own-code"], "own-code"),
        (["policy-lock"], "policy-lock"),
        (["attempts"], "attempts"),
        (["waivers-used"], "a verification result says"),
        (["policy-passed"], "a verification result says"),
        (["policy_passed"], "'policy-passed', which"),
        (["a", "a/worst"], "worst"),
        (["a/worst", "a"], "worst"),
        (["acc-min", "acc_min"], "acc-min"),
    ],
)
def test_names_that_would_be_taken_for_others_are_refused(ids: list[str], other: str) -> None:
    clash = name_clash(ids)
    assert clash is not None
    assert other in clash


def test_no_policy_is_born_with_such_names_and_every_name_that_the_gate_gives_is_known() -> None:
    policy = sample_policy()
    renamed = dataclasses.replace(policy.rules[0], id="privacy-epsilon")
    with pytest.raises(InvalidValueError, match="would be taken for 'privacy-epsilon'"):
        dataclasses.replace(policy, rules=(renamed, *policy.rules[1:]))
    complete = dataclasses.replace(
        policy, require_lock=True, privacy=dataclasses.replace(policy.privacy, max_total_epsilon=1e9)
    )
    own = {name for rule in policy.rules for name in (rule.id, worst_name(rule.id))}
    for facts in (facts_for(complete), dataclasses.replace(sample_facts(), lock=None)):
        judged = complete if facts.lock is not None else policy
        assert {finding.rule for finding in decide(judged, facts).findings} - own <= set(IMPLIED)
