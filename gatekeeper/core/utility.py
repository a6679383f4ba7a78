"""How well the exported model does on units that it never saw."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import (
    check_choice,
    check_integer,
    check_not_nan,
    check_open_probability,
    check_text,
    check_tuple,
)
from gatekeeper.core.metric import METRICS, Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One metric on the test units, with one-sided confidence limits over units.

    Attributes:
        metric: which.
        class_name: whose metric, where each class has its own; None means the metric over all classes.
        estimate: its value on the test units; NaN where it is undefined (AUROC of one class).
        low: lower limit at `confidence`; NaN where the metric is undefined.
        high: upper limit at `confidence`.
        confidence: of each limit alone.
        units: independent test units that it was measured on; of Dice those that have the class, in mask or prediction.
        method: how the limits were computed.
    """

    metric: Metric
    estimate: float
    low: float
    high: float
    confidence: float
    units: int
    method: str
    class_name: str | None = None

    def __post_init__(self) -> None:
        check_choice(metric=self.metric, choices=METRICS)
        check_open_probability(confidence=self.confidence)
        check_integer(units=self.units, at_least=1)
        check_text(method=self.method)
        if self.class_name is not None:
            check_text(class_name=self.class_name)
        if self.estimate == self.estimate:  # defined
            check_not_nan(low=self.low)
            check_not_nan(high=self.high)

    @property
    def subject(self) -> tuple[Metric, str | None]:
        """What was measured, apart from how surely."""
        return self.metric, self.class_name


@dataclass(frozen=True, kw_only=True, slots=True)
class UtilityReport:
    """All that was measured of how well the model does.

    Attributes:
        measurements: every metric at every confidence that a rule asks for (0.95 where none does).
        baseline: the same of the non-private twin; empty where no rule needs one.
        drops: twin minus model, by a paired interval over units; empty where no rule needs one.
    """

    measurements: tuple[Measurement, ...]
    baseline: tuple[Measurement, ...] = ()
    drops: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        check_tuple(measurements=self.measurements, of=Measurement)
        check_tuple(baseline=self.baseline, of=Measurement)
        check_tuple(drops=self.drops, of=Measurement)
