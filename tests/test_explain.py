"""`gatekeeper explain`: what it names is enough by the functions that judge, and a little less is not."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from statistics import NormalDist

import jsonschema
import pytest

from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, RELAXED, WORST_CASE, Adversary
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.certificate import Facts
from gatekeeper.core.explanation import Explanation, Knob, RuleExplanation
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.record import PlannedRun
from gatekeeper.core.risk import Count, IdentificationPower
from gatekeeper.errors import InvalidValueError, RunDirectoryError
from gatekeeper.gate import decide
from gatekeeper.pipeline.explaining import explain
from gatekeeper.pipeline.judgement import withstood
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.privacy import account
from gatekeeper.report.explanation import explanation_schema, render_explanation_json, render_explanation_text
from gatekeeper.rundir import Failure, Judgement, RunDirectory
from tests.command_line import gatekeeper
from tests.facts import SIMILARITY, bound, measurement, outcome, sample_facts, sample_policy

# That of the rules here which read it fails, as it should.
TRIVIAL = IdentificationPower(
    prior_success=1 / 240, worst_case=1.0, worst_case_method="trivial", relaxed=1.0, relaxed_method="trivial"
)


def judged(root: Path, facts: Facts, policy: Policy | None = None) -> RunDirectory:
    """A run that was judged on these facts."""
    the_policy = policy or sample_policy()
    run = RunDirectory.create(root, policy=the_policy, candidate=facts.evidence.candidate)
    run.write_judgement(Judgement(created="2030-01-02T03:04:05Z", facts=facts, verdict=decide(the_policy, facts)))
    return run


def rule_of(explanation: Explanation, name: str) -> RuleExplanation:
    return next(rule for rule in explanation.rules if rule.rule == name)


def knob_of(rule: RuleExplanation, setting: str) -> Knob:
    return next(knob for knob in rule.knobs if knob.setting == setting)


def gated_by_bound(adversary: Adversary, maximum: float) -> Policy:
    """A policy of which the rule on risk reads one adversary's bound."""
    policy = sample_policy()
    similarity = SIMILARITY if adversary.knows == "nothing" else None
    rule = RiskRule(
        id="risk",
        adversary=adversary,
        similarity=similarity,
        maximum=maximum,
        confidence=0.95,
        worst_max=None,
        evidence=("bound",),
    )
    return dataclasses.replace(policy, rules=(*policy.rules[:2], rule))


def facts_at(policy: Policy, *, epochs: int = 2, sigma: float = 0.1) -> Facts:
    """Facts with the bounds of their own mechanism."""
    facts = sample_facts()
    evidence = facts.evidence
    mechanism = dataclasses.replace(evidence.record.mechanism, steps=3 * epochs, noise_multiplier=sigma)
    training = dataclasses.replace(evidence.candidate.training, epochs=epochs)
    evidence = dataclasses.replace(
        evidence,
        candidate=dataclasses.replace(evidence.candidate, training=training),
        plan=dataclasses.replace(evidence.plan, mechanism=mechanism),
        record=dataclasses.replace(evidence.record, mechanism=mechanism),
    )
    return dataclasses.replace(facts, evidence=evidence, bounds=withstood(mechanism, evidence, policy, power=TRIVIAL))


def bound_at(mechanism: Mechanism, facts: Facts, policy: Policy) -> float:
    (rule,) = policy.risk_rules
    found = withstood(mechanism, facts.evidence, policy, power=TRIVIAL if rule.adversary.knows == "nothing" else None)
    return next(b.value for b in found if (b.adversary, b.similarity) == (rule.adversary, rule.similarity))


# The bound


@pytest.mark.parametrize(
    ("adversary", "maximum"),
    [
        (ONE_STEP, 0.02),
        (ONE_STEP, 0.3),
        (ALL_STEPS, 0.02),
        pytest.param(WORST_CASE, 0.3, marks=pytest.mark.slow),
        pytest.param(RELAXED, 0.05, marks=pytest.mark.slow),
    ],
)
def test_at_the_noise_that_is_named_the_bound_passes_and_a_hundredth_below_it_does_not(
    tmp_path: Path, adversary: Adversary, maximum: float
) -> None:
    policy = gated_by_bound(adversary, maximum)
    facts = facts_at(policy)
    rule = rule_of(explain(judged(tmp_path, facts, policy)), "risk")
    assert rule.status == "failed"
    named = knob_of(rule, "noise multiplier").needed
    assert named is not None
    own = facts.evidence.record.mechanism
    assert bound_at(dataclasses.replace(own, noise_multiplier=named), facts, policy) <= maximum
    assert bound_at(dataclasses.replace(own, noise_multiplier=0.99 * named), facts, policy) > maximum


def test_the_noise_against_the_worst_case_is_named_too(tmp_path: Path) -> None:
    policy = gated_by_bound(WORST_CASE, 0.3)
    facts = facts_at(policy)
    single = dataclasses.replace(facts.evidence.record.mechanism, sampling="poisson", sampling_rate=1.0, steps=1)
    evidence = dataclasses.replace(
        facts.evidence,
        plan=dataclasses.replace(facts.evidence.plan, mechanism=single),
        record=dataclasses.replace(facts.evidence.record, mechanism=single),
    )
    facts = dataclasses.replace(facts, evidence=evidence, bounds=withstood(single, evidence, policy))
    named = knob_of(rule_of(explain(judged(tmp_path, facts, policy)), "risk"), "noise multiplier").needed
    # γ = Φ(Φ⁻¹(κ) + 1/σ), κ = 1/240 (Hayes et al. 2023, one step of the full batch)
    normal = NormalDist()
    expected = 1 / (normal.inv_cdf(0.3) - normal.inv_cdf(1 / 240))
    assert named == pytest.approx(expected, rel=2e-3)
    assert named is not None
    assert named >= expected


@pytest.mark.parametrize("adversary", [ONE_STEP, pytest.param(WORST_CASE, marks=pytest.mark.slow)])
def test_the_epsilon_that_is_named_plans_noise_that_is_enough(tmp_path: Path, adversary: Adversary) -> None:
    policy = gated_by_bound(adversary, 0.1)
    facts = facts_at(policy)
    named = knob_of(rule_of(explain(judged(tmp_path, facts, policy)), "risk"), "training.epsilon").needed
    candidate = facts.evidence.candidate
    training = dataclasses.replace(candidate.training, epsilon=named, delta=facts.evidence.plan.budget.delta)
    plan = make_plan(dataclasses.replace(candidate, training=training), policy, facts.evidence.dataset)
    assert bound_at(plan.mechanism, facts, policy) <= 0.1


def test_the_epochs_that_are_named_are_the_most_at_this_noise(tmp_path: Path) -> None:
    policy = gated_by_bound(ALL_STEPS, 0.1)
    facts = facts_at(policy, epochs=40, sigma=0.3)
    knob = knob_of(rule_of(explain(judged(tmp_path, facts, policy)), "risk"), "training.epochs")
    assert knob.needed is not None
    assert 1 <= knob.needed < knob.now == 40
    own = facts.evidence.record.mechanism
    assert bound_at(dataclasses.replace(own, steps=3 * int(knob.needed)), facts, policy) <= 0.1
    assert bound_at(dataclasses.replace(own, steps=3 * int(knob.needed) + 3), facts, policy) > 0.1


def test_fewer_epochs_are_not_named_to_one_who_sees_a_single_step(tmp_path: Path) -> None:
    policy = gated_by_bound(ONE_STEP, 0.02)
    rule = rule_of(explain(judged(tmp_path, facts_at(policy, epochs=9), policy)), "risk")
    assert {knob.setting for knob in rule.knobs} == {"noise multiplier", "training.epsilon"}


def test_where_guessing_succeeds_too_often_no_noise_is_named(tmp_path: Path) -> None:
    policy = gated_by_bound(WORST_CASE, 0.004)  # 1/240 and less
    rule = rule_of(explain(judged(tmp_path, facts_at(policy), policy)), "risk")
    assert rule.knobs == ()
    assert "guessing among the candidates already succeeds" in rule.caveats[0]


# Attacks


def test_an_attack_that_succeeded_is_not_predicted(tmp_path: Path) -> None:
    attack = outcome(sample=Count(successes=100, trials=200), median_similarity=0.8)
    rule = rule_of(explain(judged(tmp_path, sample_facts(risk=bound(1.0), attack=attack))), "reconstruction")
    assert knob_of(rule, "noise multiplier").needed
    assert any("no closed form alone predicts what an attack achieves" in caveat for caveat in rule.caveats)
    assert any("no larger sample changes that" in caveat for caveat in rule.caveats)


def test_a_share_below_the_limit_needs_so_many_audited_units(tmp_path: Path) -> None:
    facts = sample_facts(attack=outcome(sample=Count(successes=2, trials=200)), risk=bound(0.011))
    rule = rule_of(explain(judged(tmp_path, facts)), "reconstruction")
    assert rule.status == "failed"
    (knob,) = rule.knobs
    assert knob.setting == "audit.units"
    assert knob.needed is not None
    for units, shown in ((int(knob.needed), True), (int(0.8 * knob.needed), False)):
        assert (upper_limit(successes=round(0.01 * units), trials=units, confidence=0.95) <= 0.02) == shown


def test_the_worst_stratum_has_no_closed_form(tmp_path: Path) -> None:
    facts = sample_facts(attack=outcome(worst=Count(successes=5, trials=20)))
    rule = rule_of(explain(judged(tmp_path, facts)), "reconstruction/worst")
    assert (rule.status, rule.knobs) == ("failed", ())
    assert "No closed form is known" in rule.caveats[0]


def test_an_inconclusive_run_says_what_was_in_doubt(tmp_path: Path) -> None:
    facts = sample_facts(attack=outcome(positive_control=Count(successes=10, trials=200)))
    explanation = explain(judged(tmp_path, facts))
    assert explanation.verdict == "inconclusive"
    rule = rule_of(explanation, "reconstruction")
    assert "not judged, though" in rule.margin
    assert "positive control" in rule.caveats[0]


# Accuracy


def test_where_the_estimate_passes_and_the_limit_does_not_more_test_units_are_named(tmp_path: Path) -> None:
    facts = sample_facts(accuracy=measurement(estimate=0.9, low=0.65), drop=measurement(estimate=0.05, low=0, high=0.2))
    explanation = explain(judged(tmp_path, facts))
    assert knob_of(rule_of(explanation, "accuracy"), "test units").needed == math.ceil(240 * (0.25 / 0.2) ** 2)
    assert knob_of(rule_of(explanation, "drop"), "test units").needed == pytest.approx(240 * 9, abs=1)
    assert "would change" in rule_of(explanation, "drop").caveats[0]


def test_where_the_estimate_fails_no_sample_is_named(tmp_path: Path) -> None:
    facts = sample_facts(accuracy=measurement(estimate=0.6, low=0.5), drop=measurement(estimate=0.3, low=0, high=0.4))
    explanation = explain(judged(tmp_path, facts))
    for name, setting, limit in (("accuracy", "accuracy", 0.7), ("drop", "drop of accuracy", 0.1)):
        (knob,) = rule_of(explanation, name).knobs
        assert (knob.setting, knob.needed) == (setting, limit)
        assert "no number of test units helps" in knob.meaning


def test_too_few_test_units_are_named_and_an_undefined_metric_has_no_knob(tmp_path: Path) -> None:
    few = explain(judged(tmp_path / "few", sample_facts(accuracy=measurement(units=50))))
    assert knob_of(rule_of(few, "accuracy"), "test units").needed == 100
    nan = measurement(estimate=math.nan, low=math.nan, high=math.nan)
    undefined = rule_of(explain(judged(tmp_path / "nan", sample_facts(accuracy=nan))), "accuracy")
    assert (undefined.margin, undefined.knobs) == ("there is no number to compare", ())


# Budgets


def test_the_ceiling_is_named_with_the_noise_that_keeps_it(tmp_path: Path) -> None:
    facts = sample_facts(epsilon=1e7)
    rule = rule_of(explain(judged(tmp_path, facts)), "privacy-epsilon")
    assert knob_of(rule, "training.epsilon").needed == 1e6
    named, own = knob_of(rule, "noise multiplier").needed, facts.evidence.record.mechanism
    assert named is not None
    for sigma, keeps in ((named, True), (0.99 * named, False)):
        spent = account(dataclasses.replace(own, noise_multiplier=sigma), facts.guarantee.delta).epsilon.high
        assert (spent <= 1e6) == keeps


def test_delta_attempts_and_totals_say_what_is_left(tmp_path: Path) -> None:
    policy = sample_policy()
    privacy = dataclasses.replace(policy.privacy, max_total_epsilon=2e6)
    policy = dataclasses.replace(policy, privacy=privacy)
    spent = Guarantee(epsilon=Interval(low=1e6, estimate=3e6, high=3e6), delta=1e-4, accountant="g", theorem="t")
    facts = sample_facts(delta=1e-4, total=spent)
    explanation = explain(judged(tmp_path, facts, policy))
    named = knob_of(rule_of(explanation, "privacy-delta"), "training.delta").needed
    assert named is not None
    assert named < 1e-5
    total = rule_of(explanation, "privacy-total-epsilon")
    assert total.knobs == ()
    assert "stays spent" in total.caveats[0]


# The whole


def test_an_approved_run_has_a_margin_for_each_rule_and_nothing_to_turn(tmp_path: Path) -> None:
    explanation = explain(judged(tmp_path, sample_facts()))
    assert explanation.verdict == "approved"
    assert all("within it" in rule.margin and not rule.knobs and not rule.caveats for rule in explanation.rules)
    assert "lower confidence bound 0.8, limit 0.7: 0.1 within it" in rule_of(explanation, "accuracy").margin


@pytest.mark.parametrize(
    "facts",
    [
        sample_facts(),
        sample_facts(epsilon=1e9, risk=bound(0.5)),
        sample_facts(accuracy=measurement(estimate=math.nan, low=math.nan, high=math.nan)),
    ],
)
def test_text_and_json_say_every_rule_and_json_follows_its_schema(tmp_path: Path, facts: Facts) -> None:
    run = judged(tmp_path, facts)
    explanation, schema = explain(run), explanation_schema()
    document = json.loads(render_explanation_json(explanation))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, schema)
    text = render_explanation_text(explanation)
    assert text.startswith(explanation.verdict.upper())
    for rule in explanation.rules:
        assert rule.rule in text
        assert all(knob.setting in text for knob in rule.knobs)
    assert "None of them is a promise" in " ".join(text.split())


def test_the_command_prints_both_and_trains_nothing(tmp_path: Path) -> None:
    run = judged(tmp_path, sample_facts(epsilon=1e9))
    before = sorted(path.name for path in run.path.iterdir())
    text, document = gatekeeper("explain", str(run.path)), gatekeeper("explain", str(run.path), "--json")
    assert (text.code, document.code) == (0, 0), text.stderr
    assert text.stdout.startswith("REFUSED")
    assert json.loads(document.stdout)["verdict"] == "refused"
    assert json.loads(gatekeeper("explain", "--schema").stdout)["$id"] == "urn:gatekeeper:explanation:v1"
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_a_run_without_a_verdict_says_why_there_is_none(tmp_path: Path) -> None:
    facts = sample_facts()
    run = RunDirectory.create(tmp_path, policy=sample_policy(), candidate=facts.evidence.candidate)
    run.write_planned(PlannedRun(dataset=facts.evidence.dataset, plan=facts.evidence.plan, non_private=False))
    with pytest.raises(RunDirectoryError, match="it is unfinished"):
        explain(run)
    run.write_failure(Failure(code="diverged", message="the loss is NaN", where=None, hint=None, exit_code=3))
    ran = gatekeeper("explain", str(run.path))
    assert ran.code == 2
    assert "it is failed: the loss is NaN" in ran.stderr


def test_a_knob_that_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        Knob(setting="noise multiplier", now=math.nan, needed=None, meaning="m")
    with pytest.raises(InvalidValueError):
        Knob(setting="noise multiplier", now=1.0, needed=math.inf, meaning="m")
