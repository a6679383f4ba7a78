from __future__ import annotations

import math

import numpy as np
import pytest

from gatekeeper.core.binomial import lower_limit
from gatekeeper.core.metric import METRICS_OF
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.evaluation import evaluate
from gatekeeper.evaluation.utility import EXACT, UNDEFINED
from tests.tiny import TinyUnits


def units_of(*, units: int, images: int, classes: int = 2, seed: int = 0) -> TinyUnits:
    rng = np.random.default_rng(seed)
    count = units * images
    labels = np.concatenate((np.arange(classes), rng.integers(classes, size=count - classes)))
    return TinyUnits(
        images=np.zeros((count, 1, 2, 2), dtype=np.uint8),
        labels=labels,
        unit_of=np.repeat(np.arange(units), images),
        units=units,
    )


def answers(data: TinyUnits, *, strength: float, classes: int = 2, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((len(data.labels), classes))
    return noise + strength * np.eye(classes)[data.labels]


def test_every_metric_is_measured_at_every_confidence_in_order() -> None:
    data = units_of(units=40, images=2)
    report = evaluate(logits=answers(data, strength=3), test=data, confidences=(0.95, 0.9, 0.95))
    expected = [(metric, confidence) for metric in METRICS_OF["classification"] for confidence in (0.95, 0.9)]
    assert [(m.metric, m.confidence) for m in report.measurements] == expected
    assert report.baseline == report.drops == ()
    for measurement in report.measurements:
        assert measurement.low < measurement.estimate <= measurement.high
        assert measurement.estimate < measurement.high or measurement.estimate == 1
        assert measurement.units == 40
        assert measurement.method


def test_accuracy_of_one_image_a_unit_is_exact() -> None:
    data = units_of(units=50, images=1)
    logits = answers(data, strength=2)
    right = int((logits.argmax(axis=1) == data.labels).sum())
    accuracy = evaluate(logits=logits, test=data, confidences=(0.95,)).measurements[0]
    assert accuracy.method == EXACT
    assert accuracy.low == lower_limit(successes=right, trials=50, confidence=0.95)
    clustered = units_of(units=25, images=2)
    assert evaluate(logits=logits, test=clustered, confidences=(0.95,)).measurements[0].method != EXACT


def test_a_twin_brings_its_own_measurements_and_the_drop() -> None:
    data = units_of(units=60, images=2)
    model, twin = answers(data, strength=1), answers(data, strength=4, seed=2)
    report = evaluate(logits=model, test=data, confidences=(0.95,), baseline_logits=twin)
    for measured, baseline, drop in zip(report.measurements, report.baseline, report.drops, strict=True):
        assert measured.metric == baseline.metric == drop.metric
        assert drop.estimate == pytest.approx(baseline.estimate - measured.estimate)
        assert drop.low < drop.estimate < drop.high
        # The limits of AUROC are the widest: 60 units don't prove its drop.
        assert drop.low > 0 or drop.metric == "auroc"


def test_two_models_that_agree_may_still_differ_on_units_not_seen() -> None:
    data = units_of(units=100, images=1)
    logits = answers(data, strength=3)
    drops = evaluate(logits=logits, test=data, confidences=(0.95,), baseline_logits=logits).drops
    for drop in drops:
        assert drop.estimate == 0
        assert drop.low < 0 < drop.high
    # Of 100 units none differs: the exact upper limit of the share that does.
    assert drops[0].high == pytest.approx(1 - 0.05 ** (1 / 100), abs=0.003)


def test_pairing_makes_the_drop_narrower_than_two_separate_limits() -> None:
    data = units_of(units=120, images=1)
    model = answers(data, strength=1)
    twin = model + 0.2 * np.eye(2)[data.labels]
    report = evaluate(logits=model, test=data, confidences=(0.95,), baseline_logits=twin)
    width = report.drops[0].high - report.drops[0].low
    assert width < 0.7 * (
        report.measurements[0].high - report.measurements[0].low + report.baseline[0].high - report.baseline[0].low
    )


def test_a_missing_class_makes_a_metric_undefined_and_says_so() -> None:
    data = units_of(units=40, images=1)
    logits = answers(data, strength=2, classes=3)
    report = evaluate(logits=logits, test=data, confidences=(0.95,), baseline_logits=logits)
    by_metric = {m.metric: m for m in report.measurements}
    for metric in ("balanced_accuracy", "auroc"):
        assert math.isnan(by_metric[metric].estimate)
        assert math.isnan(by_metric[metric].low)
        assert by_metric[metric].method == UNDEFINED
    assert math.isfinite(by_metric["mcc"].low)
    assert math.isfinite(by_metric["accuracy"].low)
    assert {d.metric for d in report.drops if math.isnan(d.estimate)} == {"balanced_accuracy", "auroc"}


def test_logits_of_the_wrong_shape_are_refused() -> None:
    data = units_of(units=10, images=1)
    for logits in (np.zeros((9, 2)), np.zeros(10), np.zeros((10, 1))):
        with pytest.raises(InvalidValueError, match="logits must have shape"):
            evaluate(logits=logits, test=data, confidences=(0.95,))
    with pytest.raises(InvalidValueError, match="baseline_logits"):
        evaluate(logits=np.zeros((10, 2)), test=data, confidences=(0.95,), baseline_logits=np.zeros((3, 2)))


def test_logits_that_are_not_finite_are_refused() -> None:
    data = units_of(units=10, images=1)
    logits = answers(data, strength=1)
    logits[4, 1] = np.nan
    with pytest.raises(InvalidValueError, match="finite; 1 value"):
        evaluate(logits=logits, test=data, confidences=(0.95,))


def test_a_label_without_an_output_is_refused() -> None:
    data = units_of(units=10, images=1, classes=3)
    with pytest.raises(DataError, match="class 2"):
        evaluate(logits=np.zeros((10, 2)), test=data, confidences=(0.95,))
