"""From an estimate and its limits to measurements, one for each confidence."""

from __future__ import annotations

from gatekeeper.core.metric import Metric
from gatekeeper.core.utility import Measurement
from gatekeeper.evaluation.confidence import Limits


def measurements(
    metric: Metric,
    *,
    estimate: float,
    limits: tuple[Limits, ...],
    confidences: tuple[float, ...],
    units: int,
    method: str,
    class_name: str | None = None,
) -> tuple[Measurement, ...]:
    """One measurement for each confidence, with the limits of the same place.

    Args:
        metric: which.
        estimate: its value on the test units.
        limits: at each confidence.
        confidences: of each limit alone.
        units: how many units it was measured on.
        method: how the limits were computed.
        class_name: whose metric it is, or None for all classes'.
    """
    return tuple(
        Measurement(
            metric=metric,
            class_name=class_name,
            estimate=estimate,
            # At a confidence below one half a limit could lie beyond the estimate.
            low=min(limit.low, estimate),
            high=max(limit.high, estimate),
            confidence=confidence,
            units=units,
            method=method,
        )
        for limit, confidence in zip(limits, confidences, strict=True)
    )


def undefined(
    metric: Metric, *, confidences: tuple[float, ...], units: int, method: str, class_name: str | None = None
) -> tuple[Measurement, ...]:
    """What is said of a metric that these test units leave undefined: NaN at each confidence."""
    nan = float("nan")
    return tuple(
        Measurement(
            metric=metric,
            class_name=class_name,
            estimate=nan,
            low=nan,
            high=nan,
            confidence=confidence,
            units=units,
            method=method,
        )
        for confidence in confidences
    )
