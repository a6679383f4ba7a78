"""Accuracy, balanced accuracy, MCC and AUROC of weighted units, many weightings at once.

A metric is a function of weighted sums over units; the plain metric is that of equal weights. Writing it for many
weightings at once is what lets `confidence` move the weights. Images count, units weigh: a unit with three images
contributes three to every sum. Quotients of rounded sums are cut to the metric's range: a model without a mistake is at
its end, not one rounding beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """What every unit adds to the margins and the diagonal of the confusion matrix.

    Attributes:
        correct: images of each true class that were predicted right, shape (units, classes).
        true: images of each true class, same shape.
        predicted: images that were predicted to be of each class, same shape.
    """

    correct: Floats
    true: Floats
    predicted: Floats

    def weighted(self, weights: Floats) -> Confusion:
        """The sums under each row of `weights`, shape (weightings, units): a table of shape (weightings, classes)."""
        return Confusion(correct=weights @ self.correct, true=weights @ self.true, predicted=weights @ self.predicted)

    def merged(self) -> Confusion:
        """The same with all classes in one: only right and wrong are told apart."""
        return Confusion(
            correct=self.correct.sum(axis=1, keepdims=True),
            true=self.true.sum(axis=1, keepdims=True),
            predicted=self.predicted.sum(axis=1, keepdims=True),
        )


def _one_hot_sums(
    index: NDArray[np.int64], *, unit_of: NDArray[np.int64], units: int, classes: int, values: Floats
) -> Floats:
    sums = np.zeros((units, classes))
    np.add.at(sums, (unit_of, index), values)
    return sums


def confusion(*, scores: Floats, labels: NDArray[np.int64], unit_of: NDArray[np.int64], units: int) -> Confusion:
    """Count what each unit's images add to the confusion matrix.

    Args:
        scores: one score for each class, shape (images, classes); the first largest one is the prediction.
        labels: the true class of each image, shape (images,).
        unit_of: the unit of each image, shape (images,).
        units: how many units there are.
    """
    predictions = scores.argmax(axis=1)
    ones = np.ones(len(labels))

    def count(index: NDArray[np.int64], values: Floats) -> Floats:
        return _one_hot_sums(index, unit_of=unit_of, units=units, classes=scores.shape[1], values=values)

    return Confusion(
        correct=count(labels, (predictions == labels).astype(np.float64)),
        true=count(labels, ones),
        predicted=count(predictions, ones),
    )


def accuracy(sums: Confusion) -> Floats:
    """The share of images that were predicted right, shape (weightings,)."""
    return np.asarray(sums.correct.sum(axis=1) / sums.true.sum(axis=1))


def balanced_accuracy(sums: Confusion) -> Floats:
    """The mean over classes of the share predicted right; NaN where a class has no image, since none was measured."""
    empty = sums.true == 0
    recalls = np.where(empty, np.nan, sums.correct / np.where(empty, 1.0, sums.true))
    return np.asarray(recalls.mean(axis=1))


def mcc(sums: Confusion) -> Floats:
    """Matthews' correlation coefficient, of any number of classes (Gorodkin 2004, R_K).

    0 where all predictions are of one class; NaN where all images are, since nothing was measured.
    """
    total = sums.true.sum(axis=1)
    covariance = sums.correct.sum(axis=1) * total - (sums.true * sums.predicted).sum(axis=1)
    spread_true = total**2 - (sums.true**2).sum(axis=1)
    spread_predicted = total**2 - (sums.predicted**2).sum(axis=1)
    tiny = 1e-12 * total**2
    constant = spread_predicted <= tiny
    # One root for each factor: their product would overflow first.
    scale = np.sqrt(np.where(constant, 1.0, spread_predicted)) * np.sqrt(
        np.where(spread_true <= tiny, 1.0, spread_true)
    )
    value = np.where(spread_true <= tiny, np.nan, np.where(constant, 0.0, covariance / scale))
    return np.asarray(np.clip(value, -1.0, 1.0))


def log_odds(logits: Floats) -> Floats:
    """log(p_c/(1 − p_c)) of each class's softmax probability: the same order, without saturating at 0 and 1.

    Args:
        logits: finite, shape (images, classes), at least two classes.
    """
    result = np.empty_like(logits)
    for index in range(logits.shape[1]):
        others = np.delete(logits, index, axis=1)
        top = others.max(axis=1)
        result[:, index] = logits[:, index] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return result


def _one_against_rest(scores: Floats, *, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """P(a positive image's score is above a negative one's) + ½P(equal), under each row of image weights."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    groups = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    of_positive = np.where(positive[order], weights[:, order], 0.0)
    above = np.add.reduceat(of_positive, groups, axis=1)
    beside = np.add.reduceat(weights[:, order] - of_positive, groups, axis=1)
    below = np.cumsum(beside, axis=1) - beside / 2
    return np.asarray((above * below).sum(axis=1) / (above.sum(axis=1) * beside.sum(axis=1)))


def auroc(*, scores: Floats, labels: NDArray[np.int64], weights: Floats) -> Floats:
    """The area under the ROC curve of each class against the rest, averaged over classes; ties count a half.

    Args:
        scores: one score for each class, shape (images, classes).
        labels: the true class of each image, shape (images,).
        weights: above 0, shape (weightings, images).

    Returns:
        Shape (weightings,); NaN where a class has no image or all of them.
    """
    present = np.bincount(labels, minlength=scores.shape[1])
    if np.any(present == 0) or np.any(present == len(labels)):
        return np.full(len(weights), np.nan)
    areas = [
        _one_against_rest(scores[:, index], positive=labels == index, weights=weights)
        for index in range(scores.shape[1])
    ]
    return np.asarray(np.clip(np.mean(areas, axis=0), 0.0, 1.0))
