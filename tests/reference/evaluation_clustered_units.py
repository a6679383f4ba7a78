"""Test units whose true metrics are known: images of one unit share their luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Population:
    """Where test units come from.

    Attributes:
        sizes: how many images a unit has, each as likely.
        prevalence: share of each class.
        recall: how often each class is predicted right.
        shared: probability that an image's luck is its unit's rather than its own.
        one_class: whether all images of a unit are of one class.
    """

    sizes: tuple[int, ...]
    prevalence: tuple[float, ...]
    recall: tuple[float, ...]
    shared: float
    one_class: bool

    def true_accuracy(self) -> float:
        return float(np.dot(self.prevalence, self.recall))

    def true_balanced_accuracy(self) -> float:
        return float(np.mean(self.recall))

    def true_mcc(self) -> float:
        """Gorodkin's R_K of the population's confusion matrix, entry by entry."""
        classes = range(len(self.prevalence))
        matrix = [
            [
                self.prevalence[t] * (self.recall[t] if p == t else (1 - self.recall[t]) / (len(classes) - 1))
                for p in classes
            ]
            for t in classes
        ]
        rows = [sum(matrix[t]) for t in classes]
        columns = [sum(matrix[t][p] for t in classes) for p in classes]
        covariance = sum(matrix[c][c] for c in classes) - sum(rows[c] * columns[c] for c in classes)
        spread = (1 - sum(r * r for r in rows)) * (1 - sum(c * c for c in columns))
        return float(covariance / np.sqrt(spread))


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Images of some units, and one model's scores on them."""

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    unit_of: NDArray[np.int64]


def draw(population: Population, *, units: int, rng: np.random.Generator) -> Draw:
    """Test units with predictions; scores are 1 for the predicted class and 0 otherwise."""
    classes = len(population.prevalence)
    unit_of = np.repeat(np.arange(units), rng.choice(population.sizes, size=units))
    images = len(unit_of)
    labels = rng.choice(classes, p=population.prevalence, size=units)[unit_of]
    if not population.one_class:
        labels = rng.choice(classes, p=population.prevalence, size=images)
    luck = np.where(rng.random(images) < population.shared, rng.random(units)[unit_of], rng.random(images))
    right = luck < np.array(population.recall)[labels]
    predicted = np.where(right, labels, (labels + 1 + rng.integers(0, classes - 1, size=images)) % classes)
    return Draw(scores=np.eye(classes)[predicted], labels=labels, unit_of=unit_of)


def draw_ranked(*, units: int, size: int, prevalence: float, shift: float, rng: np.random.Generator) -> Draw:
    """Two classes with normal scores, `shift` standard deviations apart; half the variance is the unit's.

    The population's AUROC is Φ(shift/√2).
    """
    unit_of = np.repeat(np.arange(units), size)
    labels = (rng.random(units) < prevalence).astype(np.int64)[unit_of]
    score = shift * labels + np.sqrt(0.5) * (rng.standard_normal(units)[unit_of] + rng.standard_normal(len(unit_of)))
    return Draw(scores=np.column_stack((-score / 2, score / 2)), labels=labels, unit_of=unit_of)
