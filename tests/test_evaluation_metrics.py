from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from gatekeeper.evaluation.metrics import accuracy, auroc, balanced_accuracy, confusion, log_odds, mcc
from tests.reference.evaluation_naive_metrics import naive_auroc


def labelled(*, seed: int, images: int, classes: int, decimals: int = 1):
    """Labels of every class, logits with ties, and units of one to several images."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate((np.arange(classes), rng.integers(classes, size=images - classes)))
    logits = np.round(rng.standard_normal((images, classes)) + np.eye(classes)[labels], decimals)
    return logits, labels, np.sort(rng.integers(0, images // 2, size=images))


def sums(logits, labels, unit_of=None, weights=None):
    units = np.arange(len(labels)) if unit_of is None else unit_of
    count = int(units.max()) + 1
    table = confusion(scores=logits, labels=labels, unit_of=units, units=count)
    return table.weighted(np.ones((1, count)) if weights is None else weights)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), images=st.integers(12, 80), classes=st.integers(2, 5))
def test_metrics_agree_with_scikit_learn(seed: int, images: int, classes: int) -> None:
    logits, labels, unit_of = labelled(seed=seed, images=images, classes=classes)
    predicted = logits.argmax(axis=1)
    total = sums(logits, labels, unit_of)
    assert accuracy(total)[0] == pytest.approx(accuracy_score(labels, predicted))
    assert balanced_accuracy(total)[0] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert mcc(total)[0] == pytest.approx(matthews_corrcoef(labels, predicted), abs=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_auroc_agrees_with_scikit_learn_and_with_pairs(seed: int, classes: int) -> None:
    # Twelve decimals: two softmax probabilities that are equal on paper may differ by a rounding, in either program.
    logits, labels, _ = labelled(seed=seed, images=30, classes=classes, decimals=12)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ours = auroc(scores=log_odds(logits), labels=labels, weights=np.ones((1, 30)))[0]
    theirs = (
        roc_auc_score(labels, probabilities[:, 1])
        if classes == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert ours == pytest.approx(theirs)
    scores = np.round(logits)
    weights = np.random.default_rng(seed).random((2, 30)) + 0.1
    expected = [naive_auroc(scores=scores, labels=labels, weights=row) for row in weights]
    np.testing.assert_allclose(auroc(scores=scores, labels=labels, weights=weights), expected, rtol=1e-12)


def test_a_weight_of_two_is_a_unit_seen_twice() -> None:
    logits, labels, unit_of = labelled(seed=3, images=40, classes=3)
    count = int(unit_of.max()) + 1
    weights = np.random.default_rng(0).integers(1, 4, size=(1, count)).astype(np.float64)
    repeats = weights[0, unit_of].astype(int)
    weighted = sums(logits, labels, unit_of, weights)
    repeated = sums(np.repeat(logits, repeats, axis=0), np.repeat(labels, repeats))
    for metric in (accuracy, balanced_accuracy, mcc):
        assert metric(weighted)[0] == pytest.approx(metric(repeated)[0])
    heavy = auroc(scores=logits, labels=labels, weights=repeats[None].astype(float))[0]
    many = np.repeat(logits, repeats, axis=0)
    light = auroc(scores=many, labels=np.repeat(labels, repeats), weights=np.ones((1, len(many))))[0]
    assert heavy == pytest.approx(light)


def test_scores_that_saturate_a_softmax_keep_their_order() -> None:
    logits = np.array([[0.0, 60.0], [0.0, 50.0], [0.0, 40.0]])
    assert (np.diff(log_odds(logits)[:, 1]) < 0).all()
    softmax = 1 / (1 + np.exp(-logits[:, 1]))
    assert softmax[0] == softmax[1] == 1.0


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = np.random.default_rng(0).standard_normal((10, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(log_odds(logits), np.log(probabilities / (1 - probabilities)), rtol=1e-9)
    assert np.isfinite(log_odds(1e4 * logits)).all()


def test_a_missing_class_leaves_a_metric_undefined_where_it_was_not_measured() -> None:
    logits, labels, _ = labelled(seed=0, images=30, classes=3)
    kept = labels != 2
    total = sums(logits[kept], labels[kept])
    assert np.isnan(balanced_accuracy(total)[0])
    assert np.isnan(auroc(scores=logits[kept], labels=labels[kept], weights=np.ones((1, kept.sum())))[0])
    assert np.isfinite(mcc(total)[0])
    alone = labels == 1
    assert np.isnan(mcc(sums(logits[alone], labels[alone]))[0])


def test_a_constant_prediction_has_no_correlation() -> None:
    labels = np.array([0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mcc(sums(np.tile([1.0, 0.0], (4, 1)), labels))[0] == 0.0
        assert mcc(sums(np.eye(2)[labels], labels))[0] == pytest.approx(1.0)
        assert mcc(sums(np.eye(2)[1 - labels], labels))[0] == pytest.approx(-1.0)


def test_mcc_of_many_images_does_not_overflow() -> None:
    labels = np.array([0, 1] * 10)
    scores = np.eye(2)[labels]
    scores[:4] = scores[:4, ::-1]
    expected = mcc(sums(scores, labels))[0]
    assert mcc(sums(scores, labels, weights=np.full((1, 20), 1e100)))[0] == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_weighting_takes_a_model_without_mistakes_beyond_the_ends(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.permutation(np.resize(np.arange(classes), 71))
    weights = rng.standard_exponential((2_000, len(labels)))
    right, wrong = np.eye(classes)[labels], np.eye(classes)[(labels + 1) % classes]
    for logits in (right, wrong):
        assert np.abs(mcc(sums(logits, labels, weights=weights))).max() <= 1
        areas = auroc(scores=logits, labels=labels, weights=weights)
        assert 0 <= areas.min() <= areas.max() <= 1
