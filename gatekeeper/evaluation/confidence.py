"""Confidence limits of a metric over units, by random weights and one unseen worst unit for each class.

The units are the independent draws, however many images each has. A lower limit imagines, beside the n units seen, one
unit of each class that the model gets wrong; units and imagined ones get Dirichlet(1, …, 1) weights, and the limit is a
quantile of the metric under those weights. For a share right and wrong with one image a unit that is Clopper
and Pearson's exact limit, since the weight of x right ones among n + 1 is Beta(x, n − x + 1); for bounded
means it is the limit of Gaffke (2005, "Three test statistics for a nonparametric one-sided hypothesis on the
mean of a nonnegative variable"), and for a function of several classes' shares it melds their exact limits as Fay,
Proschan and Brittain (2015, "Combining one-sample confidence procedures for inference in the two-sample case") do.
The upper limit imagines units that the model gets right. A percentile bootstrap lacks the imagined units: it
gives 1 where no error was seen, and covers far less than it claims. Coverage is shown by simulation, in the tests.

The weights are drawn from a fixed seed: the same predictions give the same limits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.evaluation.metrics import Confusion, Floats, auroc

# Draws beyond a limit: with 250 a limit of confidence 0.95 is one of a confidence between 0.944 and 0.956.
BEYOND = 250
_CHUNK_VALUES = 2**22
_SEED = 20_250_101

METHOD = "Dirichlet weights over units with one imagined unit a class (Gaffke 2005; Fay et al. 2015)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """One-sided limits, each at the confidence asked for."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """A metric of weighted units.

    Attributes:
        units: how many columns the weights have, imagined units included (they come last).
        value: maps weights of shape (weightings, units) to the metric, shape (weightings,).
    """

    units: int
    value: Callable[[Floats], Floats]


def sizes(true: Floats) -> Floats:
    """How many images an imagined unit of each class has: those of the largest unit; 0 for a class without images.

    A smaller imagined unit covers too seldom where large units are the difficult ones.

    Args:
        true: images of each class in each unit, shape (units, classes).
    """
    return np.asarray(true.max(axis=0), dtype=float)


def with_imagined(table: Confusion, *, right: bool) -> Confusion:
    """The units, and one more for each class, all of whose images the model gets right or wrong.

    Wrong predictions are shared out evenly among the other classes.
    """
    own = np.diag(sizes(table.true))
    classes = len(own)
    wrong = (own.sum(axis=1, keepdims=True) - own) / max(classes - 1, 1)
    return Confusion(
        correct=np.vstack((table.correct, own if right else np.zeros_like(own))),
        true=np.vstack((table.true, own)),
        predicted=np.vstack((table.predicted, own if right else wrong)),
    )


def weighted_table(table: Confusion, metric: Callable[[Confusion], Floats], *, right: bool) -> Weighted:
    """A metric of the confusion matrix, with imagined units that are right or wrong."""
    full = with_imagined(table, right=right)
    return Weighted(units=len(full.true), value=lambda weights: metric(full.weighted(weights)))


def weighted_auroc(
    *, scores: Floats, labels: NDArray[np.int64], unit_of: NDArray[np.int64], units: int, right: bool
) -> Weighted:
    """AUROC, with an imagined image of each class that is ranked last (or first) of its class's side."""
    classes = scores.shape[1]
    true = np.zeros((units, classes))
    np.add.at(true, (unit_of, labels), 1.0)
    own = np.where(np.eye(classes, dtype=np.bool_), np.inf, -np.inf)
    all_scores = np.vstack((scores, own if right else -own))
    all_labels = np.concatenate((labels, np.arange(classes)))
    column = np.concatenate((unit_of, units + np.arange(classes)))
    multiple = np.concatenate((np.ones(len(labels)), sizes(true)))

    def value(weights: Floats) -> Floats:
        return auroc(scores=all_scores, labels=all_labels, weights=weights[:, column] * multiple)

    return Weighted(units=units + classes, value=value)


def difference(first: Weighted, second: Weighted) -> Weighted:
    """The first metric less the second, under the same weights: paired over units."""
    return Weighted(units=first.units, value=lambda weights: first.value(weights) - second.value(weights))


def _weights(*, draws: int, units: int, columns: int) -> Iterator[Floats]:
    """Independent exponential weights: normalised they are Dirichlet(1, …, 1), and no metric minds their scale."""
    rng = np.random.default_rng(_SEED)
    size = max(1, _CHUNK_VALUES // columns)
    for start in range(0, draws, size):
        yield rng.standard_exponential((min(size, draws - start), units))


def _sorted_values(metric: Weighted, *, draws: int, columns: int) -> Floats:
    chunks = [metric.value(weights) for weights in _weights(draws=draws, units=metric.units, columns=columns)]
    return np.sort(np.concatenate(chunks))


def limits(
    *,
    pessimistic: Weighted,
    optimistic: Weighted,
    confidences: tuple[float, ...],
    columns: int,
    beyond: int = BEYOND,
) -> tuple[Limits, ...]:
    """The limits at each confidence.

    Args:
        pessimistic: the metric with imagined units that lower it.
        optimistic: the metric with imagined units that raise it.
        confidences: of each limit alone, strictly between 0 and 1.
        columns: how many values one weighting expands to, to bound memory.
        beyond: how many draws lie beyond the limit of the highest confidence: more draw a finer limit.

    Returns:
        One pair of limits for each confidence, in order.
    """
    draws = math.ceil(beyond / (1 - max(confidences)))
    lower = _sorted_values(pessimistic, draws=draws, columns=columns)
    upper = _sorted_values(optimistic, draws=draws, columns=columns)
    ranks = [math.floor((1 - confidence) * draws) for confidence in confidences]
    return tuple(Limits(low=float(lower[k]), high=float(upper[-1 - k])) for k in ranks)
