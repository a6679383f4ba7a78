"""Reports whose names are chosen by somebody who means harm."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from gatekeeper.core.certificate import Facts
from gatekeeper.core.policy import Policy
from gatekeeper.gate import decide
from gatekeeper.report import Report
from tests.facts import measurement, sample_facts, sample_policy

PIECES = (
    *("::error title=x::y", "%0A::notice::", "a\\|b", "|", "||", "<script>alert(1)</script>", "]]>", "<!-- ", "&amp;"),
    *("'", '"', "\\", '\\"', "`", "``@`", "@everyone", "@@", "[a](https://evil.example)", "![x](y)", "{0}", "}{"),
    *("# h", "- ", "1. ", "***", "__x__", "~~x~~", "$x$", "https://evil.example", "www.evil.example", "😀🩺", "#1"),
    *(
        "Ünïcödé",
        "日本語",
        "\ufffe",
        "x" * 3000,
        "=",
        ",",
        ":",
        "END",
        "verdict=approved",
        "# EOF",
        "\N{NO-BREAK SPACE}x",
    ),
)

# What a name may be: no controls, nothing invisible.
names = (
    st.lists(
        st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])), min_size=1
    )
    .map("".join)
    .filter(lambda text: text.strip() != "")
)

# What no name may be, should one come by another way.
anything = st.lists(
    st.sampled_from((*PIECES, "\n", "\r\n", "\r", "\x00", "\x1b[31m", "\x85", "\u2028")) | st.text(), min_size=1
).map("".join)


def hostile_report(*, model: str, policy_name: str, rule: str) -> Report:
    """A refusal of a model, by a rule and a policy, with these names."""
    policy = sample_policy()
    rules = tuple(dataclasses.replace(each, id=rule if each.id == "accuracy" else each.id) for each in policy.rules)
    policy = dataclasses.replace(policy, name=policy_name, rules=rules)
    facts = with_model(sample_facts(accuracy=measurement(low=0.1)), model)
    return report_of(policy, facts)


def with_model(facts: Facts, name: str) -> Facts:
    """The facts of a model of this name."""
    candidate = dataclasses.replace(facts.evidence.candidate, name=name)
    return dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, candidate=candidate))


def report_of(policy: Policy, facts: Facts) -> Report:
    """Judged."""
    return Report(
        gatekeeper_version="1.2.3",
        created="2030-01-02T03:04:05Z",
        policy=policy,
        facts=facts,
        verdict=decide(policy, facts),
    )
