"""Metrics as they are defined, one pair or one image at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def naive_auroc(*, scores: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Over classes, the mean weighted share of (positive, negative) pairs in the right order; ties count a half."""
    areas = []
    for index in range(scores.shape[1]):
        right = total = 0.0
        for i in np.flatnonzero(labels == index):
            for j in np.flatnonzero(labels != index):
                pair = weights[i] * weights[j]
                total += pair
                right += pair * ((scores[i, index] > scores[j, index]) + (scores[i, index] == scores[j, index]) / 2)
        areas.append(right / total)
    return float(np.mean(areas))


def percentile_bootstrap_lower(
    *, right: NDArray[np.float64], labels: NDArray[np.int64], draws: int, level: float, rng: np.random.Generator
) -> float:
    """The percentile bootstrap's lower limit of a binary MCC, image by image: what must not be used."""
    values = []
    for _ in range(draws):
        chosen = rng.integers(0, len(labels), size=len(labels))
        truth, answer = labels[chosen], np.where(right[chosen] > 0, labels[chosen], 1 - labels[chosen])
        true_positive = float(np.sum((truth == 1) & (answer == 1)))
        true_negative = float(np.sum((truth == 0) & (answer == 0)))
        false_positive = float(np.sum((truth == 0) & (answer == 1)))
        false_negative = float(np.sum((truth == 1) & (answer == 0)))
        spread = (
            (true_positive + false_positive)
            * (true_positive + false_negative)
            * (true_negative + false_positive)
            * (true_negative + false_negative)
        )
        product = true_positive * true_negative - false_positive * false_negative
        values.append(product / math.sqrt(spread) if spread else 0.0)
    return float(np.quantile(values, level))
