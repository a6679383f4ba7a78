"""The order on policies: each demand's stricter direction, and the law that makes it an order."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from gatekeeper.core.adversary import ALL_STEPS
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.certificate import Facts
from gatekeeper.core.code import CodeFile
from gatekeeper.core.policy import ParentPolicy, Policy, RiskRule, UtilityRule, WaiverTerms
from gatekeeper.core.policy_order import compare
from gatekeeper.core.risk import Count
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import InvalidValueError
from gatekeeper.gate import decide
from gatekeeper.report.policy_diff import policy_diff_schema, render_policy_diff_json, render_policy_diff_text
from tests.command_line import gatekeeper
from tests.facts import bound, outcome, sample_facts, sample_policy, statement

BASE = dataclasses.replace(sample_policy(), audit=dataclasses.replace(sample_policy().audit, units=400))
CODE = CodeFile(name="nets.small", sha256="0" * 64)


def altered(part: str = "", **changes: Any) -> Policy:
    """The base policy with other values: of itself, of a part, or of the rule called `part`."""
    policy = BASE
    if not part:
        return dataclasses.replace(policy, **changes)
    if part in ("privacy", "audit"):
        return dataclasses.replace(policy, **{part: dataclasses.replace(getattr(policy, part), **changes)})
    rules = tuple(dataclasses.replace(rule, **changes) if rule.id == part else rule for rule in policy.rules)
    return dataclasses.replace(policy, rules=rules)


def similar(**changes: Any) -> Policy:
    (rule,) = BASE.risk_rules
    assert rule.similarity is not None
    return altered("reconstruction", similarity=dataclasses.replace(rule.similarity, **changes))


# What makes the base policy stricter, by the place that says it.
STRICTER: dict[str, Policy] = {
    "privacy.epsilon.max": altered("privacy", max_epsilon=1e5),
    "privacy.delta.max": altered("privacy", max_delta=1e-6),
    "privacy.total_epsilon.max": altered("privacy", max_total_epsilon=1e7),
    "rules.accuracy.min": altered("accuracy", minimum=0.71),
    "rules.drop.max_drop": altered("drop", max_drop=0.09),
    "rules.accuracy.min_units": altered("accuracy", min_units=101),
    "rules.accuracy.confidence": altered("accuracy", confidence=0.96),
    "rules.accuracy.waivable": altered("accuracy", waivable=False),
    "rules.reconstruction.max": altered("reconstruction", maximum=0.018),
    "rules.reconstruction.worst.max": altered("reconstruction", worst_max=0.05),
    "rules.reconstruction.confidence": altered("reconstruction", confidence=0.96),
    "rules.reconstruction.similarity.above_null": similar(above_null=0.98),
    "rules.reconstruction.similarity.at_most": similar(at_most=0.5),
    "audit.units": altered("audit", units=401),
    "audit.noise_draws": altered("audit", noise_draws=4),
    "audit.positive_control.min": altered("audit", min_positive_control=0.95),
    "audit.negative_control.max": altered("audit", max_negative_control=0.04),
    "audit.null_confidence": altered("audit", null_confidence=0.99),
    "require_lock": altered(require_lock=True),
}


@pytest.mark.parametrize("place", STRICTER)
def test_each_demand_has_a_stricter_direction_and_the_other_one_is_looser(place: str) -> None:
    one, other = BASE, STRICTER[place]
    (there,), (back,) = compare(one, other).changes, compare(other, one).changes
    assert (there.where, there.kind) == (place, "tightened")
    assert (back.where, back.kind) == (place, "loosened")
    assert (there.before, there.after) == (back.after, back.before)
    assert (compare(one, other).conclusion, compare(other, one).conclusion) == ("tightened", "loosened")


@pytest.mark.parametrize(
    ("one", "other", "place", "kind"),
    [
        (altered(), altered(allow_code=(CODE,)), "allow_code", "loosened"),
        (altered(), altered(waivers=WaiverTerms(max_days=9)), "waivers", "loosened"),
        (
            altered(waivers=WaiverTerms(max_days=9)),
            altered(waivers=WaiverTerms(max_days=9, signed=False)),
            "waivers.signed",
            "loosened",
        ),
        (altered("audit", candidates=10), altered("audit", candidates=20), "audit.candidates", "loosened"),
        (altered(), altered("audit", candidates=20), "audit.candidates", "changed"),
        (altered(), altered("audit", worst_units=30), "audit.worst_units", "changed"),
        (altered(), altered("privacy", unit="patient"), "privacy.unit", "changed"),
        (altered(), altered("accuracy", metric="mcc"), "rules.accuracy.metric", "changed"),
        (altered(), altered("accuracy", minimum=None, max_drop=0.1, statistic="estimate"), "rules.accuracy", "changed"),
        (altered("accuracy", statistic="estimate"), altered(), "rules.accuracy.statistic", "tightened"),
        (altered(), altered("reconstruction", adversary=ALL_STEPS), "rules.reconstruction.adversary", "changed"),
        (altered(), altered("reconstruction", evidence=("attack",)), "rules.reconstruction.evidence", "loosened"),
        (
            altered("reconstruction", evidence=("bound",), worst_max=None),
            altered("reconstruction", evidence=("attack",), worst_max=None),
            "rules.reconstruction.evidence",
            "changed",
        ),
        (
            altered("reconstruction", attacks=("analytic", "inversion")),
            altered("reconstruction", attacks=("inversion",)),
            "rules.reconstruction.attacks",
            "loosened",
        ),
        (altered(), altered("reconstruction", attacks=("analytic",)), "rules.reconstruction.attacks", "changed"),
        (altered(), similar(at_least=0.5, above_null=None), "rules.reconstruction.similarity.above_null", "changed"),
        (altered(), altered(description="again"), "description", "described"),
        (altered(), altered(parents=(ParentPolicy(name="a", version=1, sha256="0" * 64),)), "extends", "described"),
        (altered(), altered(rules=BASE.rules[::-1]), "rules", "described"),
    ],
)
def test_what_is_looser_other_or_only_described(one: Policy, other: Policy, place: str, kind: str) -> None:
    first = compare(one, other).changes[0]
    assert (first.where, first.kind) == (place, kind)


def test_a_rule_that_is_gone_loosens_and_one_more_tightens() -> None:
    fewer = altered(rules=BASE.rules[1:])
    assert [(c.where, c.kind) for c in compare(BASE, fewer).changes] == [("rules.accuracy", "removed")]
    assert [(c.where, c.kind) for c in compare(fewer, BASE).changes] == [("rules.accuracy", "added")]


def test_fewer_attempts_leave_more_to_chance_in_each_and_that_is_said() -> None:
    five, two = altered(max_attempts=5), altered(max_attempts=2)
    changes = {change.where: change for change in compare(five, two).changes}
    assert changes["max_attempts"].kind == "tightened"
    assert changes["rules.accuracy.confidence"].kind == "loosened"
    assert changes["rules.accuracy.confidence"].before == "0.99 at attempt 2, 0.95 of 5"
    raised = altered(max_attempts=2, rules=tuple(dataclasses.replace(rule, confidence=0.98) for rule in BASE.rules))
    assert compare(five, raised).conclusion == "tightened"
    assert compare(two, five).conclusion == "loosened"


def test_every_field_of_a_policy_is_compared() -> None:
    """A field that the comparison forgot would differ without a change."""
    policies = [
        BASE,
        *STRICTER.values(),
        altered(allow_code=(CODE,)),
        altered(waivers=WaiverTerms(max_days=9)),
    ]
    for one, other in itertools.pairwise(policies):
        assert bool(compare(one, other).changes) == (one != other)
    fields = {f.name for noun in (Policy, UtilityRule, RiskRule) for f in dataclasses.fields(noun)}
    assert fields == {
        *("name", "version", "owner", "description", "privacy", "rules", "audit", "max_attempts", "allow_code"),
        *("parents", "require_lock", "waivers", "id", "metric", "class_name", "minimum", "max_drop", "statistic"),
        *("confidence", "min_units", "waivable", "adversary", "similarity", "maximum", "worst_max", "evidence"),
        *("attacks", "source"),
    }, "compare the new field in core/policy_order.py or core/rule_order.py, then name it here"


# --- the law

Mutation = Callable[[Policy, float], Policy]


def _of_rule(rule_id: str, change: Callable[[Any, float], dict[str, Any]]) -> Mutation:
    def mutate(policy: Policy, factor: float) -> Policy:
        rules = (
            dataclasses.replace(rule, **change(rule, factor)) if rule.id == rule_id else rule for rule in policy.rules
        )
        return dataclasses.replace(policy, rules=tuple(rules))

    return mutate


def _of_part(part: str, change: Callable[[Any, float], dict[str, Any]]) -> Mutation:
    def mutate(policy: Policy, factor: float) -> Policy:
        noun = getattr(policy, part)
        return dataclasses.replace(policy, **{part: dataclasses.replace(noun, **change(noun, factor))})

    return mutate


MUTATIONS: tuple[Mutation, ...] = (
    _of_part("privacy", lambda p, f: {"max_epsilon": p.max_epsilon * f}),
    _of_part("privacy", lambda p, f: {"max_total_epsilon": p.max_epsilon * max(1.0, f)}),
    _of_part("audit", lambda a, f: {"noise_draws": max(1, round(a.noise_draws * f))}),
    _of_part("audit", lambda a, f: {"max_negative_control": min(0.9, a.max_negative_control * f)}),
    _of_part("audit", lambda a, f: {"min_positive_control": min(0.99, a.min_positive_control * f)}),
    _of_rule("accuracy", lambda r, f: {"minimum": min(1.0, r.minimum * f)}),
    _of_rule("accuracy", lambda r, f: {"min_units": max(1, round(r.min_units * f))}),
    _of_rule("accuracy", lambda r, f: {"confidence": min(0.99, max(0.5, r.confidence * f))}),
    _of_rule("accuracy", lambda r, f: {"statistic": "estimate"}),
    _of_rule("drop", lambda r, f: {"max_drop": r.max_drop * f}),
    _of_rule("drop", lambda r, f: {"statistic": "estimate"}),
    _of_rule("reconstruction", lambda r, f: {"maximum": min(0.5, max(0.0136, r.maximum * f))}),
    _of_rule("reconstruction", lambda r, f: {"worst_max": min(1.0, r.worst_max * f)}),
    _of_rule("reconstruction", lambda r, f: {"evidence": ("attack",)}),
    _of_rule("reconstruction", lambda r, f: {"attacks": ("analytic",)}),
    lambda policy, f: dataclasses.replace(policy, max_attempts=max(1, round(2 * f))),
    lambda policy, f: dataclasses.replace(policy, rules=policy.rules[1:]),
)


def _measured(policies: tuple[Policy, ...], attempt: int, spread: float) -> UtilityReport:
    """Accuracy and drop at every confidence that a rule may ask for: surer limits lie farther out."""
    asked = {
        confidence_of_attempt(rule.confidence, attempt=attempt, max_attempts=policy.max_attempts)
        for policy in policies
        for rule in policy.utility_rules
    }

    def at(confidence: float, estimate: float) -> Measurement:
        reach = spread * confidence
        return Measurement(
            metric="accuracy",
            estimate=estimate,
            low=estimate - reach,
            high=min(1.0, estimate + reach),
            confidence=confidence,
            units=110,
            method="m",
        )

    return UtilityReport(
        measurements=tuple(at(confidence, 0.75) for confidence in asked),
        baseline=(),
        drops=tuple(at(confidence, 0.06) for confidence in asked),
    )


def _facts(
    policies: tuple[Policy, ...], *, attempt: int, spread: float, successes: int, worst: int, risk: float
) -> Facts:
    facts = sample_facts(
        epsilon=9e5,
        risk=bound(risk),
        attack=outcome(sample=Count(successes=successes, trials=400), worst=Count(successes=worst, trials=20)),
        past=statement(sample_facts().evidence, attempts=attempt),
    )
    evidence = dataclasses.replace(facts.evidence, utility=_measured(policies, attempt, spread))
    return dataclasses.replace(facts, evidence=evidence)


@given(
    st.lists(st.tuples(st.sampled_from(range(len(MUTATIONS))), st.floats(0.5, 1.9)), min_size=1, max_size=2),
    st.lists(st.tuples(st.sampled_from(range(len(MUTATIONS))), st.floats(0.5, 1.9)), max_size=1),
    st.sampled_from((1, 2)),
    st.sampled_from((0.01, 0.04)),
    st.integers(0, 4),
    st.integers(0, 2),
    st.sampled_from((1e-9, 0.019, 0.02)),
)
@settings(max_examples=60, deadline=None)
def test_what_a_tightened_policy_approves_the_first_one_approves(
    there: list[tuple[int, float]],
    before: list[tuple[int, float]],
    attempt: int,
    spread: float,
    successes: int,
    worst: int,
    risk: float,
) -> None:
    first = second = BASE
    try:
        for index, factor in before:
            first = second = MUTATIONS[index](first, factor)
        for index, factor in there:
            second = MUTATIONS[index](second, factor)
    except InvalidValueError:
        assume(False)  # such a policy can't be
    assume(compare(first, second).conclusion != "loosened")
    facts = _facts((first, second), attempt=attempt, spread=spread, successes=successes, worst=worst, risk=risk)
    approves = isinstance(decide(second, facts), Approval)
    event(f"the second approves: {approves}")
    if approves:
        assert isinstance(decide(first, facts), Approval)


# --- the command


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_the_exit_code_says_whether_anything_was_loosened(tmp_path: Path) -> None:
    from tests.config_files import POLICY

    base = write(tmp_path, "base.yaml", POLICY)
    strict = write(tmp_path, "strict.yaml", POLICY.replace("min: 0.60", "min: 0.65"))
    same, tightened, loosened = (
        gatekeeper("policy", "diff", *each) for each in ((base, base), (base, strict), (strict, base))
    )
    assert (same.code, tightened.code, loosened.code) == (0, 0, 1)
    assert "tightened  rules.mcc.min: 0.6 → 0.65" in tightened.stdout
    assert "LOOSENED" in loosened.stdout
    assert gatekeeper("policy", "diff", base, str(tmp_path / "none.yaml")).code == 2


def test_the_json_suits_its_schema_and_the_text_says_why() -> None:
    comparison = compare(altered(max_attempts=5), altered(max_attempts=2, require_lock=True))
    printed = json.loads(render_policy_diff_json(comparison))
    jsonschema.Draft202012Validator(policy_diff_schema()).validate(printed)
    assert printed["conclusion"] == "loosened"
    assert "max_attempts share the confidence" in render_policy_diff_text(comparison)
