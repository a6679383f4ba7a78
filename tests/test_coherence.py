"""Evidence whose parts contradict each other is believed by nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gatekeeper.core.certificate import Evidence
from gatekeeper.core.code import CodeFile
from gatekeeper.core.codec import from_plain, plain
from gatekeeper.core.coherence import check_bounds, check_coherence
from gatekeeper.core.risk import Count
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.errors import AuditContradiction, InvalidValueError
from tests.facts import bound, outcome, sample_facts, sample_policy, statement

Tree = dict[str, Any]


def _evidence(edit: Callable[[Tree], None] = lambda _: None) -> Evidence:
    tree = plain(sample_facts().evidence)
    edit(tree)
    return from_plain(tree, Evidence)


def _check(evidence: Evidence) -> None:
    check_coherence(sample_policy(), evidence, sample_facts().ledger)


def _set(path: str, value: object) -> Callable[[Tree], None]:
    def edit(tree: Tree) -> None:
        *parents, last = path.split(".")
        node: Any = tree
        for key in parents:
            node = node[int(key) if key.isdigit() else key]
        node[last] = value

    return edit


def test_coherent_evidence_is_accepted() -> None:
    _check(_evidence())


@pytest.mark.parametrize("place", ["candidate.training", "plan"])
def test_another_clipping_rule_than_planned_is_a_contradiction(place: str) -> None:
    def edit(tree: Tree) -> None:
        _set(f"{place}.clipping", "automatic")(tree)
        _set(f"{place}.clipping_norm", 1.0)(tree)

    with pytest.raises(InvalidValueError, match="clipping of plan and candidate: '"):
        _check(_evidence(edit))


def test_a_record_of_another_clipping_rule_is_a_contradiction() -> None:
    def edit(tree: Tree) -> None:
        _set("record.clipping", "automatic")(tree)
        _set("record.clipping_norm", 1.0)(tree)

    with pytest.raises(InvalidValueError, match="clipping of record and plan: 'automatic' and 'flat'"):
        _check(_evidence(edit))


@pytest.mark.parametrize(
    ("path", "value", "fragment"),
    [
        ("plan.mechanism.steps", 9, "steps of plan and candidate"),
        ("plan.mechanism.sampling_rate", 0.5, "sampling rate of plan and candidate"),
        ("plan.clipping_norm", 1000.0, "clipping norm of plan and candidate"),
        ("candidate.training.clipping_norm", 1000.0, "clipping norm of plan and candidate"),
        ("plan.divisor", 1, "divisor of plan"),
        ("plan.budget.epsilon", 1.0, "ε of plan and candidate"),
        ("plan.budget.delta", 1e-9, "δ of plan and candidate"),
        ("candidate.training.epsilon", 1.0, "ε of plan and candidate"),
        ("candidate.training.sampling", "poisson", "sampling of plan and candidate"),
        ("plan.resume_allowance", 1, "resume allowance of plan and candidate"),
        ("candidate.training.resume_allowance", 1, "resume allowance of plan and candidate"),
        ("record.mechanism.steps", 0, "steps of record, and of recipe"),
        ("record.mechanism.steps", 5, "steps of record, and of recipe"),
        ("record.mechanism.steps", 7, "7 steps were taken, 6 were planned"),
        ("record.mechanism.noise_multiplier", 10.0, "mechanism of record and plan"),
        ("record.mechanism.sampling", "poisson", "mechanism of record and plan"),
        ("record.clipping_norm", 1000.0, "clipping norm of record and plan"),
        ("record.divisor", 1, "divisor of record and plan"),
        ("plan.precision", "bfloat16", "precision of plan and candidate"),
        ("candidate.training.precision", "bfloat16", "precision of plan and candidate"),
        ("record.precision", "bfloat16", "precision of record and plan"),
        ("dataset.train_units", 200, "sampling rate of plan and candidate|at most"),
        ("dataset.max_images_per_unit", 1, "with at most 1 a unit"),
        ("dataset.max_images_per_unit", 10_000, "with at most 10000 a unit"),
        ("dataset.synthetic", False, "synthetic data"),
        ("dataset.format", "digits", "format of data and candidate"),
        ("dataset.task", "segmentation", "task of data and candidate"),
        ("dataset.image_shape", [1, 8, 8, 8], "dimensions of data and candidate"),
        ("candidate.data.image_size", [99, 99], "image size of data and candidate"),
        ("candidate.data.unit", "lesion", "unit of data and candidate"),
        ("attacks.nulls.0.threshold", 0.9999, "threshold of"),
        ("attacks.nulls.0.confidence", 0.01, "confidence of null and policy"),
        ("attacks.nulls.0.units", 1, "a null from 1 units"),
        ("attacks.nulls.0.strangers_passing", 0.0, "of strangers pass"),
        ("attacks.outcomes.0.sample.trials", 10_000, "more units attacked"),
        ("attacks.outcomes.0.negative_control.trials", 10_000, "negative control on more units"),
        ("attacks.outcomes.0.positive_control", {"successes": 1, "trials": 1}, "positive control on fewer units"),
        ("attacks.outcomes.0.participations", 0, "participations in"),
        ("attacks.outcomes.0.median_similarity", 0.99, "median similarity above τ"),
        ("attacks.outcomes", [], "attack analytic was not made"),
        (
            "attacks.outcomes.2.similarity.above_null",
            0.5,
            "attack denoised was not made: realistic, one step, with prior",
        ),
        ("attacks.nulls.0.candidates", 64, "no null for realistic, one step, ncc"),
        ("attacks.spectrum.units", 2, "a spectrum from 2 units"),
        ("attacks.spectrum.bands.0.count", 5, "numbers of an image"),
        ("identifications.0.candidates", 2, "2 candidates of"),
        ("identifications.0.attack", "guessing", "not by candidate matching"),
        ("identifications.0.identified", {"successes": 1, "trials": 1}, "1 trials, fewer than 400"),
        ("identifications.0.mechanism.unit", "pixel", "mechanism of attack"),
        ("utility.measurements.0.low", 0.91, "is no interval"),
        ("utility.measurements.0.high", 1.5, "is no interval"),
        ("utility.measurements.0.units", 10**9, "independent test units of accuracy"),
        ("utility.drops.0.estimate", -0.04, "where twin and model differ"),
        ("utility.baseline", [], "where twin and model differ"),
    ],
)
def test_a_contradiction_is_found_and_named(path: str, value: object, fragment: str) -> None:
    with pytest.raises(InvalidValueError, match=fragment):
        _check(_evidence(_set(path, value)))


def _with_allowance(tree: Tree) -> None:
    tree["candidate"]["training"]["resume_allowance"] = tree["plan"]["resume_allowance"] = 4
    tree["plan"]["mechanism"]["steps"] += 4


def test_steps_that_were_done_again_are_part_of_the_mechanism_and_within_the_plan() -> None:
    def redone(steps: int, counted: int) -> Callable[[Tree], None]:
        def edit(tree: Tree) -> None:
            _with_allowance(tree)
            tree["record"].update(starts=3, redone_steps=steps)
            tree["record"]["mechanism"]["steps"] = counted

        return edit

    for edit in (_with_allowance, redone(4, 10), redone(0, 6)):
        evidence = _evidence(edit)
        check_coherence(sample_policy(), evidence, statement(evidence))
    for steps, counted, said in ((3, 6, "of recipe with"), (3, 10, "of recipe with"), (5, 11, "10 were planned")):
        with pytest.raises(InvalidValueError, match=said):
            _check(_evidence(redone(steps, counted)))


def test_steps_that_were_done_again_without_another_start_are_refused_at_birth() -> None:
    with pytest.raises(InvalidValueError, match="done again in 1 starts"):
        _evidence(_set("record.redone_steps", 1))


def test_an_exact_lower_limit_cannot_be_raised() -> None:
    def one_image_a_unit(tree: Tree) -> None:
        tree["dataset"].update(train_images=240, test_images=240, max_images_per_unit=1)
        tree["utility"]["measurements"][0]["low"] = 0.89

    with pytest.raises(InvalidValueError, match="216 of 240 units give"):
        _check(_evidence(one_image_a_unit))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("attacks.nulls.0.quantile_high", 0.1),
        ("attacks.nulls.0.threshold", 1.0),
        ("attacks.outcomes.0.median_similarity", 1e9),
        ("record.mechanism.steps", 10**10),
        ("record.mechanism.steps", 10**400),
        ("record.mechanism.noise_multiplier", 1e-300),
        ("dataset.max_images_per_unit", 10**400),
    ],
)
def test_what_cannot_be_is_refused_at_birth(path: str, value: object) -> None:
    with pytest.raises(InvalidValueError):
        _evidence(_set(path, value))


def test_a_second_null_or_outcome_of_the_same_kind_is_refused_at_birth() -> None:
    for name in ("nulls", "outcomes"):
        with pytest.raises(InvalidValueError, match="once"):
            _evidence(lambda tree, name=name: tree["attacks"][name].append(tree["attacks"][name][0]))


def test_an_attack_that_beats_its_bound_contradicts_it() -> None:
    check_bounds(sample_facts(delta=1e-5))
    beaten = outcome(sample=Count(successes=60, trials=200))
    with pytest.raises(AuditContradiction, match="its bound allows"):
        check_bounds(sample_facts(delta=1e-5, attack=beaten, risk=bound(0.01)))
    check_bounds(sample_facts(delta=1e-5, attack=beaten, risk=bound(0.2)))


def test_a_spend_above_the_planned_budget_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="its plan allowed"):
        check_bounds(sample_facts(epsilon=1e7, delta=1e-5))
    with pytest.raises(InvalidValueError, match="its plan allowed"):
        check_bounds(sample_facts(delta=1e-6))


CODE = {"name": "nets.small", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("record.provenance.base_weights", "0" * 64, "base weights of record and candidate"),
        ("candidate.model.base", "weights.safetensors", "base weights of record and candidate"),
        ("record.provenance.code", [CODE], "the policy doesn't allow it"),
        ("record.provenance.code", [CODE], "code of the user's, of record and candidate"),
        ("record.provenance.frozen_parameters", 3, "the candidate trains them all"),
        ("dataset.code", [CODE], "code that reads the data, of card and candidate"),
        ("dataset.code", [CODE], "the policy doesn't allow it"),
    ],
)
def test_provenance_that_candidate_or_policy_contradicts_is_refused(path: str, value: object, says: str) -> None:
    with pytest.raises(InvalidValueError, match=says):
        _check(_evidence(_set(path, value)))


def test_code_that_the_policy_allows_is_believed() -> None:
    def edit(tree: Tree) -> None:
        tree["record"]["provenance"].update(code=[CODE], base_weights="1" * 64, frozen_parameters=3)
        tree["candidate"]["model"].update(
            network=None, width=None, factory="nets.small:make", base="w.safetensors", trainable=["head.*"]
        )

    policy = dataclasses.replace(sample_policy(), allow_code=(CodeFile(**CODE),))
    check_coherence(policy, _evidence(edit), sample_facts().ledger)


def _read_by_code(tree: Tree) -> None:
    """The sample run on what a factory yielded."""
    tree["dataset"].update(format="factory", synthetic=False, code=[CODE])
    tree["candidate"]["data"].update(format="factory", path=None, factory="nets.small:items", phantom=None)


def test_code_that_read_the_data_must_be_allowed_and_named() -> None:
    statement, policy = sample_facts().ledger, dataclasses.replace(sample_policy(), allow_code=(CodeFile(**CODE),))
    check_coherence(policy, _evidence(_read_by_code), statement)
    with pytest.raises(InvalidValueError, match="the policy doesn't allow it"):
        check_coherence(sample_policy(), _evidence(_read_by_code), statement)

    def unnamed(tree: Tree) -> None:
        _read_by_code(tree)
        tree["dataset"].pop("code")

    with pytest.raises(InvalidValueError, match="code that reads the data"):
        check_coherence(policy, _evidence(unnamed), statement)


def _dice(**changes: object) -> Callable[[Tree], None]:
    """The sample run as one of segmentation, with one more Dice."""

    def edit(tree: Tree) -> None:
        tree["dataset"].update(task="segmentation", format="phantom-abdomen", classes=["background", "liver", "lesion"])
        tree["candidate"]["data"].update(format="phantom-abdomen", image_size=None)
        utility = tree["utility"]
        for name in ("measurements", "baseline", "drops"):
            mean = {**utility[name][0], "metric": "dice"}
            utility[name] = [mean, {**mean, "class_name": "lesion", "units": 40}]
        utility["measurements"][1].update(changes)

    return edit


def _scans(**changes: object) -> Callable[[Tree], None]:
    """The sample run as one on slices of 48×48."""

    def edit(tree: Tree) -> None:
        side = tree["dataset"]["image_shape"][1:]
        tree["dataset"].update(format="dicom", synthetic=False)
        scan = {**plain(ScanSpec(size=tuple(side))), **changes}
        tree["candidate"]["data"].update(format="dicom", path="scans", image_size=None, phantom=None, scan=scan)

    return edit


def test_scans_are_as_large_as_the_candidate_says() -> None:
    _check(_evidence(_scans()))


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"dimensions": 3, "size": None}, "dimensions of data and candidate"),
        ({"size": [64, 32]}, "image size of data and candidate"),
    ],
)
def test_scans_of_another_size_are_found(changes: dict[str, object], fragment: str) -> None:
    with pytest.raises(InvalidValueError, match=fragment):
        _check(_evidence(_scans(**changes)))


def test_dice_may_be_of_fewer_units_than_were_tested() -> None:
    _check(_evidence(_dice()))


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"units": 241}, "independent test units of dice of lesion"),
        ({"class_name": "spleen"}, "dice of spleen of the model: not measured of segmentation"),
        ({"class_name": "background"}, "dice of background of the model: not measured"),
        ({"class_name": None}, "measured twice"),
        ({"metric": "mcc", "class_name": None}, "mcc of the model: not measured of segmentation"),
        ({"estimate": 0.85}, "drop of dice of lesion"),
    ],
)
def test_a_contradiction_of_dice_is_found_and_named(changes: dict[str, object], fragment: str) -> None:
    with pytest.raises(InvalidValueError, match=fragment):
        _check(_evidence(_dice(**changes)))


def test_dice_is_no_metric_of_a_classifier() -> None:
    with pytest.raises(InvalidValueError, match="dice of the model: not measured of classification"):
        _check(_evidence(_set("utility.measurements.0.metric", "dice")))


def test_code_that_leaks_more_than_its_mechanism_is_a_contradiction() -> None:
    facts = sample_facts(delta=1e-5)
    check_bounds(facts)
    leak = dataclasses.replace(facts.evidence.identifications[0], identified=Count(successes=390, trials=400))
    with pytest.raises(AuditContradiction, match="picks the target among 16 candidates"):
        check_bounds(dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, identifications=(leak,))))
