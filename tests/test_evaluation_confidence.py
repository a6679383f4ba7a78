from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.evaluation.confidence import (
    Limits,
    difference,
    limits,
    sizes,
    weighted_auroc,
    weighted_table,
    with_imagined,
)
from gatekeeper.evaluation.metrics import Confusion, accuracy, balanced_accuracy, confusion, mcc
from tests.reference.evaluation_clustered_units import Draw, Population, draw, draw_ranked
from tests.reference.evaluation_naive_metrics import percentile_bootstrap_lower

REPEATS = 300
# Three standard errors below 0.95 for one population; 1 % below it for all of them together.
ENOUGH = 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPEATS)
ENOUGH_TOGETHER = 0.94


def table_of(sample: Draw, units: int, *, merged: bool = False) -> Confusion:
    table = confusion(scores=sample.scores, labels=sample.labels, unit_of=sample.unit_of, units=units)
    return table.merged() if merged else table


def table_limits(table: Confusion, metric, *, beyond: int = 40, confidences=(0.95,)) -> Limits:
    return limits(
        pessimistic=weighted_table(table, metric, right=False),
        optimistic=weighted_table(table, metric, right=True),
        confidences=confidences,
        columns=len(table.true),
        beyond=beyond,
    )[0]


def covered(found: list[Limits], truth: float) -> tuple[float, float]:
    """Shares of lower and of upper limits on the right side of the truth."""
    low = np.mean([limit.low <= truth + 1e-12 for limit in found])
    high = np.mean([limit.high >= truth - 1e-12 for limit in found])
    return float(low), float(high)


POPULATIONS = [
    (73, Population(sizes=(1,), prevalence=(0.9, 0.1), recall=(0.97, 0.7), shared=0.0, one_class=True)),
    (73, Population(sizes=(3,), prevalence=(0.9, 0.1), recall=(0.99, 0.95), shared=0.7, one_class=True)),
    (73, Population(sizes=(1, 1, 2, 8), prevalence=(0.5, 0.5), recall=(0.93, 0.93), shared=0.7, one_class=False)),
    (300, Population(sizes=(3,), prevalence=(0.9, 0.1), recall=(0.8, 0.5), shared=0.7, one_class=False)),
    (150, Population(sizes=(3,), prevalence=(0.6, 0.3, 0.1), recall=(0.95, 0.9, 0.8), shared=0.7, one_class=False)),
]


def coverage(units: int, population: Population) -> dict[str, tuple[float, float]]:
    """How often the lower and the upper limit of each metric are right."""
    rng = np.random.default_rng(1)
    samples = [draw(population, units=units, rng=rng) for _ in range(REPEATS)]
    complete = [s for s in samples if len(set(s.labels)) == len(population.prevalence)]
    return {
        metric.__name__: covered(
            [table_limits(table_of(sample, units, merged=metric is accuracy), metric) for sample in complete], truth
        )
        for metric, truth in (
            (accuracy, population.true_accuracy()),
            (balanced_accuracy, population.true_balanced_accuracy()),
            (mcc, population.true_mcc()),
        )
    }


@pytest.mark.parametrize(
    "populations", [POPULATIONS[:3], pytest.param(POPULATIONS, marks=pytest.mark.slow)], ids=["small", "all"]
)
def test_limits_cover_as_often_as_they_claim(populations: list[tuple[int, Population]]) -> None:
    results = [coverage(units, population) for units, population in populations]
    for metric in ("accuracy", "balanced_accuracy", "mcc"):
        shares = np.array([result[metric] for result in results])
        assert shares.min() >= ENOUGH, (metric, shares)
        assert shares.mean(axis=0).min() >= ENOUGH_TOGETHER, (metric, shares)


def test_a_percentile_bootstrap_does_not_cover_where_these_limits_do() -> None:
    """The check can fail: a good model, 100 units, a rare class."""
    population = Population(sizes=(1,), prevalence=(0.9, 0.1), recall=(0.99, 0.95), shared=0.0, one_class=True)
    rng = np.random.default_rng(1)
    samples = [draw(population, units=100, rng=rng) for _ in range(80)]
    ours = [table_limits(table_of(sample, 100), mcc) for sample in samples]
    theirs = [
        percentile_bootstrap_lower(
            right=(sample.scores.argmax(axis=1) == sample.labels).astype(float),
            labels=sample.labels,
            draws=150,
            level=0.05,
            rng=rng,
        )
        for sample in samples
    ]
    assert covered(ours, population.true_mcc())[0] >= ENOUGH
    assert np.mean([low <= population.true_mcc() for low in theirs]) < 0.85


@pytest.mark.parametrize(("size", "prevalence", "shift"), [(1, 0.5, 1.5), (2, 0.2, 0.5), (1, 0.1, 3.0)])
def test_auroc_limits_cover(size: int, prevalence: float, shift: float) -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(80):
        sample = draw_ranked(units=73, size=size, prevalence=prevalence, shift=shift, rng=rng)
        low, high = (
            weighted_auroc(scores=sample.scores, labels=sample.labels, unit_of=sample.unit_of, units=73, right=right)
            for right in (False, True)
        )
        found += limits(pessimistic=low, optimistic=high, confidences=(0.95,), columns=73 * size, beyond=20)
    assert min(covered(found, float(ndtr(shift / np.sqrt(2))))) >= 0.9


def test_drop_limits_cover_a_twin_that_mends_some_errors() -> None:
    worse = Population(sizes=(2,), prevalence=(0.6, 0.4), recall=(0.8, 0.8), shared=0.7, one_class=True)
    better = Population(sizes=(2,), prevalence=(0.6, 0.4), recall=(0.92, 0.92), shared=0.7, one_class=True)
    rng, units = np.random.default_rng(3), 150
    found: dict[str, list[Limits]] = {"accuracy": [], "mcc": []}
    for _ in range(REPEATS):
        sample = draw(worse, units=units, rng=rng)
        wrong = sample.scores.argmax(axis=1) != sample.labels
        mended = wrong & (rng.random(units)[sample.unit_of] < 0.6)
        twin = Draw(
            scores=np.where(mended[:, None], np.eye(2)[sample.labels], sample.scores),
            labels=sample.labels,
            unit_of=sample.unit_of,
        )
        for name, metric in (("accuracy", accuracy), ("mcc", mcc)):
            model, other = (table_of(s, units, merged=name == "accuracy") for s in (sample, twin))
            found[name] += limits(
                pessimistic=difference(
                    weighted_table(other, metric, right=False), weighted_table(model, metric, right=True)
                ),
                optimistic=difference(
                    weighted_table(other, metric, right=True), weighted_table(model, metric, right=False)
                ),
                confidences=(0.95,),
                columns=units,
                beyond=40,
            )
    assert min(covered(found["accuracy"], 0.12)) >= ENOUGH
    assert min(covered(found["mcc"], better.true_mcc() - worse.true_mcc())) >= ENOUGH


@settings(max_examples=10, deadline=None)
@given(trials=st.integers(20, 120), data=st.data())
def test_one_image_a_unit_gives_clopper_and_pearsons_limits(trials: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, trials))
    correct = (np.arange(trials) < right).astype(np.float64)[:, None]
    ones = np.ones((trials, 1))
    found = table_limits(Confusion(correct=correct, true=ones, predicted=ones), accuracy, beyond=1000)
    assert found.low == pytest.approx(lower_limit(successes=right, trials=trials, confidence=0.95), abs=0.005)
    assert found.high == pytest.approx(upper_limit(successes=right, trials=trials, confidence=0.95), abs=0.005)


def test_no_error_seen_leaves_room_for_errors() -> None:
    labels = np.arange(75) % 2
    sample = Draw(scores=np.eye(2)[labels], labels=labels, unit_of=np.arange(75))
    for metric in (accuracy, balanced_accuracy, mcc):
        found = table_limits(table_of(sample, 75, merged=metric is accuracy), metric)
        assert 0.7 < found.low < 0.97
        assert found.high == pytest.approx(1.0)


def test_limits_are_narrow_enough_to_be_of_use() -> None:
    """73 units of three images: accuracy 0.9 is told from 0.82, MCC 0.87 from 0.70."""
    labels = np.arange(219) % 2
    wrong = np.zeros(219, dtype=np.bool_)
    wrong[::16] = True  # 14 of 219, scattered over units and classes
    wrong[5::40] = True
    sample = Draw(scores=np.eye(2)[labels ^ wrong], labels=labels, unit_of=np.arange(219) // 3)
    share = 1 - wrong.mean()
    found = table_limits(table_of(sample, 73, merged=True), accuracy)
    assert share - 0.08 < found.low < share
    correlation = table_limits(table_of(sample, 73), mcc)
    assert correlation.low > 2 * share - 1 - 0.17


def test_images_of_one_unit_are_not_independent_evidence() -> None:
    labels = np.arange(80) % 2
    scores = np.eye(2)[labels]
    scores[:6] = scores[:6, ::-1]
    single = table_of(Draw(scores=scores, labels=labels, unit_of=np.arange(80)), 80, merged=True)
    copies = Draw(scores=scores.repeat(5, axis=0), labels=labels.repeat(5), unit_of=np.arange(80).repeat(5))
    clustered = table_of(copies, 80, merged=True)
    assert table_limits(clustered, accuracy).low == pytest.approx(table_limits(single, accuracy).low)


def test_higher_confidence_gives_wider_limits() -> None:
    sample = draw(POPULATIONS[3][1], units=100, rng=np.random.default_rng(0))
    table = table_of(sample, 100)
    pair = limits(
        pessimistic=weighted_table(table, mcc, right=False),
        optimistic=weighted_table(table, mcc, right=True),
        confidences=(0.9, 0.99),
        columns=100,
    )
    assert pair[1].low < pair[0].low < pair[0].high < pair[1].high


def test_the_same_predictions_give_the_same_limits() -> None:
    table = table_of(draw(POPULATIONS[3][1], units=60, rng=np.random.default_rng(0)), 60)
    assert table_limits(table, mcc) == table_limits(table, mcc)


def test_imagined_units_are_one_a_class_all_right_or_all_wrong() -> None:
    true = np.array([[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 2.0, 0.0]])
    table = Confusion(correct=true, true=true, predicted=true)
    np.testing.assert_allclose(sizes(true), [2, 4, 0])
    wrong = with_imagined(table, right=False)
    np.testing.assert_allclose(wrong.correct[3:], 0)
    np.testing.assert_allclose(wrong.predicted[3:], [[0, 1, 1], [2, 0, 2], [0, 0, 0]])
    right = with_imagined(table, right=True)
    np.testing.assert_allclose(right.correct[3:], np.diag([2, 4, 0]))
    np.testing.assert_allclose(right.true, wrong.true)
