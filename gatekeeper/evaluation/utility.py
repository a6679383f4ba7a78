"""Every metric of a classifier on the test units, with limits; and what it lost against a non-private twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.core.metric import METRICS_OF, Metric
from gatekeeper.core.units import UnitImages
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.evaluation.confidence import (
    METHOD,
    Limits,
    Weighted,
    difference,
    limits,
    weighted_auroc,
    weighted_table,
)
from gatekeeper.evaluation.measuring import measurements, undefined
from gatekeeper.evaluation.metrics import (
    Confusion,
    Floats,
    accuracy,
    auroc,
    balanced_accuracy,
    confusion,
    log_odds,
    mcc,
)

EXACT = "Clopper–Pearson, exact"
UNDEFINED = "undefined: a class has no test image"

_TABLE_METRICS: dict[str, Callable[[Confusion], Floats]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "mcc": mcc,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Predictions:
    """One model's answers on the test units."""

    logits: Floats
    labels: NDArray[np.int64]
    unit_of: NDArray[np.int64]
    units: int

    def table(self, metric: Metric) -> Confusion:
        """The confusion matrix by units; accuracy tells only right from wrong."""
        full = confusion(scores=self.logits, labels=self.labels, unit_of=self.unit_of, units=self.units)
        return full.merged() if metric == "accuracy" else full

    def estimate(self, metric: Metric) -> float:
        """The plain metric over all images; NaN where it is undefined."""
        if metric == "auroc":
            ones = np.ones((1, len(self.labels)))
            return float(auroc(scores=log_odds(self.logits), labels=self.labels, weights=ones)[0])
        return float(_TABLE_METRICS[metric](self.table(metric).weighted(np.ones((1, self.units))))[0])

    def weighted(self, metric: Metric, *, right: bool) -> Weighted:
        """The metric under weights, with imagined units that the model gets right or wrong."""
        if metric == "auroc":
            return weighted_auroc(
                scores=log_odds(self.logits),
                labels=self.labels,
                unit_of=self.unit_of,
                units=self.units,
                right=right,
            )
        return weighted_table(self.table(metric), _TABLE_METRICS[metric], right=right)


def _exact_accuracy(model: _Predictions, *, confidences: tuple[float, ...]) -> tuple[Measurement, ...]:
    right, trials = int((model.logits.argmax(axis=1) == model.labels).sum()), len(model.labels)
    exact = tuple(
        Limits(
            low=lower_limit(successes=right, trials=trials, confidence=c),
            high=upper_limit(successes=right, trials=trials, confidence=c),
        )
        for c in confidences
    )
    return measurements(
        "accuracy", estimate=right / trials, limits=exact, confidences=confidences, units=model.units, method=EXACT
    )


def _measured(
    metric: Metric,
    *,
    estimate: float,
    worse: Weighted,
    better: Weighted,
    model: _Predictions,
    confidences: tuple[float, ...],
) -> tuple[Measurement, ...]:
    if np.isnan(estimate):
        return undefined(metric, confidences=confidences, units=model.units, method=UNDEFINED)
    columns = max(model.units, len(model.labels) if metric == "auroc" else 0)
    both = limits(pessimistic=worse, optimistic=better, confidences=confidences, columns=columns)
    return measurements(
        metric, estimate=estimate, limits=both, confidences=confidences, units=model.units, method=METHOD
    )


def measure(
    metric: Metric,
    *,
    logits: Floats,
    labels: NDArray[np.int64],
    unit_of: NDArray[np.int64],
    units: int,
    confidences: tuple[float, ...],
) -> tuple[Measurement, ...]:
    """One metric at each confidence.

    Accuracy with one image a unit has Clopper and Pearson's exact limits; all else has those of `confidence`.

    Args:
        metric: which.
        logits: finite, shape (images, classes).
        labels: the true class of each image, shape (images,).
        unit_of: the unit of each image, shape (images,).
        units: how many units there are.
        confidences: of each limit alone.

    Returns:
        One measurement for each confidence; all NaN where the metric is undefined on these labels.
    """
    model = _Predictions(logits=logits, labels=labels, unit_of=unit_of, units=units)
    if metric == "accuracy" and units == len(labels):
        return _exact_accuracy(model, confidences=confidences)
    return _measured(
        metric,
        estimate=model.estimate(metric),
        worse=model.weighted(metric, right=False),
        better=model.weighted(metric, right=True),
        model=model,
        confidences=confidences,
    )


def measure_drop(
    metric: Metric,
    *,
    logits: Floats,
    baseline_logits: Floats,
    labels: NDArray[np.int64],
    unit_of: NDArray[np.int64],
    units: int,
    confidences: tuple[float, ...],
) -> tuple[Measurement, ...]:
    """The twin's metric less the model's, paired over units; the arguments are those of `measure`.

    The upper limit imagines units that the twin gets right and the model wrong, so that two models that agree on
    every test unit still have an upper limit above 0.
    """
    model = _Predictions(logits=logits, labels=labels, unit_of=unit_of, units=units)
    twin = _Predictions(logits=baseline_logits, labels=labels, unit_of=unit_of, units=units)
    return _measured(
        metric,
        estimate=twin.estimate(metric) - model.estimate(metric),
        worse=difference(twin.weighted(metric, right=False), model.weighted(metric, right=True)),
        better=difference(twin.weighted(metric, right=True), model.weighted(metric, right=False)),
        model=model,
        confidences=confidences,
    )


def _check(name: str, logits: Floats, test: UnitImages) -> None:
    if logits.ndim != 2 or len(logits) != len(test.labels) or logits.shape[1] < 2:
        raise InvalidValueError(
            f"{name} must have shape ({len(test.labels)} images, 2 or more classes), got {logits.shape}"
        )
    if not np.isfinite(logits).all():
        raise InvalidValueError(f"{name} must be finite; {int((~np.isfinite(logits)).sum())} values are not")
    if int(test.labels.max()) >= logits.shape[1]:
        raise DataError(
            f"the test data has class {int(test.labels.max())}, but the model answers {logits.shape[1]} classes only",
            hint="train and test with the same classes",
        )


def evaluate(
    *,
    logits: Floats,
    test: UnitImages,
    confidences: tuple[float, ...],
    baseline_logits: Floats | None = None,
    on_limits: Callable[[int], None] = lambda metrics: None,
) -> UtilityReport:
    """Every metric at every confidence, of the model and, where there is one, of its non-private twin and the drop.

    Args:
        logits: the exported model's, float64, shape (images, classes).
        test: test units, none of which took part in training.
        confidences: of each limit alone, strictly between 0 and 1; at least one, repeated ones count once.
        baseline_logits: the twin's on the same images, or None.
        on_limits: hears how many metrics have their limits since it last heard; `limits_in_all` tells the total.

    Returns:
        The report: measurements in the order of `core.metric.METRICS_OF`, then of confidences. A metric that these
        labels leave undefined (balanced accuracy or AUROC when a class is missing, MCC with one class) is NaN.

    Raises:
        InvalidValueError: logits of the wrong shape or not finite.
        DataError: a test label that the model has no output for.
    """
    levels = tuple(dict.fromkeys(confidences))
    metrics = METRICS_OF["classification"]
    _check("logits", logits, test)

    def every(answers: Floats) -> tuple[Measurement, ...]:
        found: list[Measurement] = []
        for metric in metrics:
            found += measure(
                metric, logits=answers, labels=test.labels, unit_of=test.unit_of, units=test.units, confidences=levels
            )
            on_limits(1)
        return tuple(found)

    if baseline_logits is None:
        return UtilityReport(measurements=every(logits))
    _check("baseline_logits", baseline_logits, test)
    drops: list[Measurement] = []
    for metric in metrics:
        drops += measure_drop(
            metric,
            logits=logits,
            baseline_logits=baseline_logits,
            labels=test.labels,
            unit_of=test.unit_of,
            units=test.units,
            confidences=levels,
        )
        on_limits(1)
    return UtilityReport(measurements=every(logits), baseline=every(baseline_logits), drops=tuple(drops))


def limits_in_all(*, twin: bool) -> int:
    """How many metrics `evaluate` gives limits: of the model, and with a twin of the twin and of the drop."""
    return len(METRICS_OF["classification"]) * (3 if twin else 1)
