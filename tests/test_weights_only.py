"""The adversary who has the released weights alone: as policies name it, the gate judges it and reports print it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gatekeeper.config import load_policy
from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, WEIGHTS_ONLY, Adversary
from gatekeeper.core.candidate import ModelSpec
from gatekeeper.core.certificate import Evidence, Facts
from gatekeeper.core.coherence import check_coherence
from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.risk import AttackOutcome, Count, NullCalibration
from gatekeeper.core.weights_only import WeightsSearch, unfit
from gatekeeper.errors import ConfigError, InvalidInputError, InvalidValueError
from gatekeeper.gate import decide
from gatekeeper.pipeline.weights import check_weights_attacks, too_few_images
from gatekeeper.report import Report, render, render_text, report_schema
from gatekeeper.report.content import not_measured
from tests.facts import SIMILARITY, outcome, sample_facts, sample_policy

MLP = ModelSpec(network="mlp", width=8)


def _outcome(**changes: Any) -> AttackOutcome:
    return outcome(
        **{
            "attack": "stationarity",
            "adversary": WEIGHTS_ONLY,
            "source": "released-model",
            "positive_control": Count(successes=5, trials=10),
            "negative_control": Count(successes=1, trials=200),
            "noise_draws": 1,
            "participations": 0,
            "candidates": 100,
            **changes,
        }
    )


def _rule(**changes: Any) -> RiskRule:
    fields: dict[str, Any] = {
        "id": "weights",
        "adversary": WEIGHTS_ONLY,
        "similarity": SIMILARITY,
        "maximum": 0.05,
        "confidence": 0.95,
        "worst_max": None,
        "evidence": ("attack",),
        "attacks": ("stationarity",),
    }
    return RiskRule(**{**fields, **changes})


def _policy(rule: RiskRule | None = None) -> Policy:
    policy = sample_policy()
    return dataclasses.replace(policy, rules=(*policy.rules, rule or _rule()))


def _facts(*made: AttackOutcome, null: bool = True) -> Facts:
    facts = sample_facts()
    attacks = facts.evidence.attacks
    nulls: tuple[NullCalibration, ...] = attacks.nulls
    if null:
        nulls = (*nulls, dataclasses.replace(nulls[0], candidates=100))
    attacks = dataclasses.replace(attacks, nulls=nulls, outcomes=(*attacks.outcomes, *made))
    candidate = dataclasses.replace(facts.evidence.candidate, model=MLP)
    evidence = dataclasses.replace(facts.evidence, attacks=attacks, candidate=candidate)
    return dataclasses.replace(facts, evidence=evidence)


def _judged(facts: Facts, rule: RiskRule | None = None) -> tuple[str, str]:
    findings = decide(_policy(rule), facts).findings
    (found,) = (finding for finding in findings if finding.rule == "weights")
    return found.status, found.detail


def test_a_silent_attack_whose_controls_hold_passes() -> None:
    status, detail = _judged(_facts(_outcome()))
    assert status == "passed"
    assert "released-model" in detail


def test_one_that_reconstructs_too_many_fails() -> None:
    assert _judged(_facts(_outcome(sample=Count(successes=11, trials=200))))[0] == "failed"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (_facts(), "no attack stationarity was run for weights only"),
        (_facts(_outcome(positive_control=Count(successes=1, trials=10))), "trained on them alone"),
        (_facts(_outcome(negative_control=Count(successes=60, trials=200))), "took no part"),
        (_facts(_outcome(), null=False), "no null calibration supports"),
        (_facts(_outcome(sample=Count(successes=0, trials=100))), "less than the policy asks"),
        (_facts(_outcome(candidates=10, threshold=0.8)), "no null calibration supports"),
    ],
)
def test_what_proves_nothing_is_inconclusive(facts: Facts, says: str) -> None:
    status, detail = _judged(facts)
    assert status == "inconclusive"
    assert says in detail


def test_an_attack_that_hands_in_too_few_images_could_not_have_failed() -> None:
    rule = _rule(maximum=0.45)
    status, detail = _judged(_facts(_outcome()), rule)
    assert (status, "hands in 100 images" in detail) == ("inconclusive", True)
    assert "weights_only.candidates above 216" in too_few_images(_policy(rule), sample_facts().evidence.dataset)[0]
    assert too_few_images(_policy(), sample_facts().evidence.dataset) == ()


def test_class_inversion_needs_more_than_chance() -> None:
    rule = _rule(attacks=("stationarity", "class-inversion"))
    for right, status in ((70, "inconclusive"), (80, "passed")):  # of two classes
        made = _outcome(attack="class-inversion", positive_control=Count(successes=right, trials=100))
        assert _judged(_facts(_outcome(), made), rule)[0] == status


def test_images_as_good_as_the_controls_must_be_enough_to_fail_the_rule() -> None:
    """12 of 240 units are allowed; of ten images one reconstructs a unit, or three of twenty."""
    for successes, status in ((2, "inconclusive"), (3, "passed")):
        made = _outcome(positive_control=Count(successes=successes, trials=10))
        assert _judged(_facts(made))[0] == status


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"evidence": ("bound", "attack")}, "no bound of its own is known"),
        ({"evidence": ("bound",), "attacks": None}, "no bound of its own is known"),
        ({"attacks": None}, "run where a rule names them"),
        ({"attacks": ("analytic",)}, "not weights only"),
        ({"attacks": ("class-inversion",)}, "says nothing of units"),
        ({"source": "production-step"}, "stationarity is released-model, not production-step"),
        ({"adversary": ONE_STEP}, "plays weights only, not realistic, one step"),
        ({"adversary": ALL_STEPS, "attacks": None, "source": "released-model"}, "name the attacks"),
    ],
)
def test_a_rule_that_nothing_could_support_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        _rule(**changes)


@pytest.mark.parametrize("wrong", [{"knows": "candidates"}, {"prior": "spectral"}])
def test_it_knows_no_image(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="weights alone"):
        Adversary(**{"observes": "weights-only", "knows": "nothing", **wrong})


def _evidence(*made: AttackOutcome) -> Evidence:
    return _facts(*made).evidence


def test_coherent_evidence_is_accepted() -> None:
    check_coherence(_policy(), _evidence(_outcome()), sample_facts().ledger)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"participations": 1}, "1 gradients in 1 draws"),
        ({"noise_draws": 3}, "0 gradients in 3 draws"),
        ({"candidates": 7}, "hands in, and those of the policy: 7 and 100"),
        ({"positive_control": Count(successes=3, trials=3)}, "trials of the positive control"),
    ],
)
def test_an_edited_outcome_is_a_contradiction(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        check_coherence(_policy(), _evidence(_outcome(**changes)), sample_facts().ledger)


def test_stationarity_of_another_network_is_a_contradiction() -> None:
    evidence = _evidence(_outcome())
    other = dataclasses.replace(evidence.candidate, model=ModelSpec(network="resnet9", width=4))
    with pytest.raises(InvalidValueError, match="ReLU layers alone"):
        check_coherence(_policy(), dataclasses.replace(evidence, candidate=other), sample_facts().ledger)


@pytest.mark.parametrize(
    ("model", "task", "fits"),
    [
        (MLP, "classification", (True, True)),
        (ModelSpec(network="lenet", width=6), "classification", (True, True)),
        (ModelSpec(network="resnet9", width=8), "classification", (False, True)),
        (ModelSpec(network="mlp", width=8, trainable=("head.*",)), "classification", (False, True)),
        (ModelSpec(network="mlp", width=8, base="weights.safetensors"), "classification", (False, True)),
        (ModelSpec(network="unet", width=8), "segmentation", (False, False)),
    ],
)
def test_which_attack_is_made_on_which_network(model: ModelSpec, task: Any, fits: tuple[bool, bool]) -> None:
    found = tuple(unfit(attack, model=model, task=task) is None for attack in ("stationarity", "class-inversion"))
    assert found == fits


def test_a_rule_that_the_candidate_cannot_be_judged_by_is_refused_with_a_remedy() -> None:
    candidate = sample_facts().evidence.candidate  # a resnet9
    with pytest.raises(InvalidInputError, match="rule weights: attack stationarity can't be made") as caught:
        check_weights_attacks(_policy(), candidate, task="classification")
    assert "not measured" in (caught.value.hint or "")


def test_what_no_rule_asks_for_is_printed_as_not_measured() -> None:
    ((adversary, reason),) = not_measured(sample_facts().evidence.attacks.outcomes)
    assert (adversary, "not measured" in reason) == (WEIGHTS_ONLY, True)
    assert not_measured((_outcome(),)) == ()


def test_reports_print_the_row_measured_or_not() -> None:
    for facts, measured in ((_facts(), False), (_facts(_outcome()), True)):
        report = Report(
            gatekeeper_version="1.2.3",
            created="2030-01-02T03:04:05Z",
            policy=_policy(),
            facts=facts,
            verdict=decide(_policy(), facts),
        )
        text = render_text(report, width=300)
        row = next(line for line in text.splitlines() if line.strip().startswith("weights only "))
        assert ("stationarity 0/200 (best of 100" in row, "not measured: no bound" in row) == (measured, not measured)
        document = json.loads(render(report, "json"))
        jsonschema.validate(document, report_schema())
        assert bool(document["not_measured"]) is not measured


POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: weights, version: 1, owner: tests}
spec:
  privacy: {unit: image, epsilon: {max: 1.0e+9}, delta: {max: 1.0e-5}}
  rules:
    - {id: accuracy, metric: accuracy, min: 0.1}
    - id: weights
      risk: reconstruction
      adversary: weights-only
      max: 0.05
      RULE
  audit: {units: 200, positive_control: {min: 0.9}, negative_control: {max: 0.1}AUDIT}
"""


def _written(path: Path, *, rule: str = "attacks: [stationarity]", audit: str = "") -> Path:
    file = path / "policy.yaml"
    file.write_text(POLICY.replace("RULE", rule).replace("AUDIT", audit))
    return file


def test_a_policy_file_names_it_and_says_how_hard_to_search(tmp_path: Path) -> None:
    search = ", weights_only: {candidates: 50, starts: 3, iterations: 9, positive_control: {min: 0.5}}"
    policy = load_policy(_written(tmp_path, audit=search))
    (rule,) = policy.risk_rules
    assert (rule.adversary, rule.evidence, rule.attacks) == (WEIGHTS_ONLY, ("attack",), ("stationarity",))
    expected = WeightsSearch(candidates=50, starts=3, iterations=9, min_positive_control=0.5)
    assert policy.audit.weights_only == expected
    assert load_policy(_written(tmp_path)).audit.weights_only == WeightsSearch()


@pytest.mark.parametrize(
    ("rule", "line", "says"),
    [
        ("attacks: [stationarity]\n      evidence: [bound, attack]", 13, "set evidence: [attack]"),
        ("confidence: 0.95", 10, "set attacks to one or several of stationarity, class-inversion"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_remedy(tmp_path: Path, rule: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_policy(_written(tmp_path, rule=rule))
    told = str(caught.value)
    assert f"policy.yaml:{line}:" in told
    assert says in told


@pytest.mark.parametrize("wrong", [{"candidates": 1}, {"starts": 0}, {"iterations": 0}, {"min_positive_control": 1.0}])
def test_a_search_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        WeightsSearch(**wrong)
