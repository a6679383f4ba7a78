"""How well predicted masks fit those of the test units: Dice, with limits; and what was lost against a twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.units import UnitImages
from gatekeeper.core.utility import Measurement, UtilityReport
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.evaluation.confidence import Weighted, difference, limits
from gatekeeper.evaluation.dice import dice_by_class, foreground_dice, overlap, weighted_mean
from gatekeeper.evaluation.measuring import measurements, undefined
from gatekeeper.evaluation.metrics import Floats

METHOD = "mean over units, Dirichlet weights with one imagined unit (Gaffke 2005)"
UNDEFINED = "undefined: no test unit has the class, in mask or prediction"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scores:
    """Each unit's Dice: of every foreground class by name, and under None their mean; NaN where a unit has none."""

    of_class: dict[str | None, Floats]

    @classmethod
    def of(
        cls, predicted: NDArray[np.uint8], test: UnitImages, masks: NDArray[np.uint8], *, names: tuple[str, ...]
    ) -> _Scores:
        """Those of one model's masks."""
        table = overlap(predicted=predicted, masks=masks, unit_of=test.unit_of, units=test.units, classes=len(names))
        by_class = dice_by_class(table)
        single = ((name, by_class[:, index]) for index, name in enumerate(names) if index > 0)
        return cls(of_class=dict(((None, foreground_dice(by_class)), *single)))

    def measured(self, *, confidences: tuple[float, ...]) -> tuple[Measurement, ...]:
        """Every Dice at every confidence."""
        return tuple(
            result for name, values in self.of_class.items() for result in _dice(name, values, confidences=confidences)
        )

    def drops(self, twin: _Scores, *, confidences: tuple[float, ...]) -> tuple[Measurement, ...]:
        """The twin's every Dice less this one's."""
        return tuple(
            result
            for name, values in self.of_class.items()
            for result in _drop(name, values, twin.of_class[name], confidences=confidences)
        )


def _present(values: Floats) -> int:
    return int((~np.isnan(values)).sum())


def _mean(values: Floats) -> float:
    return float(values[~np.isnan(values)].mean()) if _present(values) else float("nan")


def _dice(class_name: str | None, values: Floats, *, confidences: tuple[float, ...]) -> tuple[Measurement, ...]:
    return _measured(
        class_name,
        estimate=_mean(values),
        worse=weighted_mean(values, right=False),
        better=weighted_mean(values, right=True),
        units=_present(values),
        confidences=confidences,
    )


def _drop(
    class_name: str | None, values: Floats, baseline: Floats, *, confidences: tuple[float, ...]
) -> tuple[Measurement, ...]:
    """Paired over units: the upper limit imagines a unit on which the twin is perfect and the model hits nothing."""
    return _measured(
        class_name,
        estimate=_mean(baseline) - _mean(values),
        worse=difference(weighted_mean(baseline, right=False), weighted_mean(values, right=True)),
        better=difference(weighted_mean(baseline, right=True), weighted_mean(values, right=False)),
        units=min(_present(values), _present(baseline)),
        confidences=confidences,
    )


def _measured(
    class_name: str | None,
    *,
    estimate: float,
    worse: Weighted,
    better: Weighted,
    units: int,
    confidences: tuple[float, ...],
) -> tuple[Measurement, ...]:
    if np.isnan(estimate):
        everyone = worse.units - 1  # but the imagined one
        return undefined("dice", class_name=class_name, confidences=confidences, units=everyone, method=UNDEFINED)
    return measurements(
        "dice",
        class_name=class_name,
        estimate=estimate,
        limits=limits(pessimistic=worse, optimistic=better, confidences=confidences, columns=worse.units),
        confidences=confidences,
        units=units,
        method=METHOD,
    )


def _check(name: str, predicted: NDArray[np.uint8], masks: NDArray[np.uint8], *, classes: int) -> None:
    if predicted.dtype != np.uint8 or predicted.shape != masks.shape:
        raise InvalidValueError(
            f"{name} must be uint8 of shape {masks.shape}, got {predicted.dtype} of shape {predicted.shape}"
        )
    for whose, highest in ((name, int(predicted.max())), ("the test masks", int(masks.max()))):
        if highest >= classes:
            raise DataError(
                f"{whose} have class {highest}, but there are {classes} classes only",
                hint="train and test with the same classes",
            )


def evaluate_masks(
    *,
    predicted: NDArray[np.uint8],
    test: UnitImages,
    classes: tuple[str, ...],
    confidences: tuple[float, ...],
    baseline: NDArray[np.uint8] | None = None,
) -> UtilityReport:
    """Dice at every confidence, of the model and, where there is one, of its non-private twin and the drop.

    Args:
        predicted: the exported model's masks: class indices, uint8, shape (images, *spatial).
        test: test units with masks, none of which took part in training; their `unit_of` names the independent draws.
        classes: the classes' names, the background first; at least two.
        confidences: of each limit alone, strictly between 0 and 1; at least one, repeated ones count once.
        baseline: the twin's masks of the same images, or None.

    Returns:
        The report: the mean over foreground classes, then each of them, each at every confidence. The Dice of a class
        that no unit has, in mask or prediction, is NaN.

    Raises:
        InvalidValueError: predicted masks of another shape or type, or a test set without masks.
        DataError: a mask names a class that there isn't.
    """
    if test.masks is None:
        raise InvalidValueError("Dice needs test units with masks")
    levels = tuple(dict.fromkeys(confidences))
    _check("the predicted masks", predicted, test.masks, classes=len(classes))
    model = _Scores.of(predicted, test, test.masks, names=classes)
    if baseline is None:
        return UtilityReport(measurements=model.measured(confidences=levels))
    _check("the twin's masks", baseline, test.masks, classes=len(classes))
    twin = _Scores.of(baseline, test, test.masks, names=classes)
    return UtilityReport(
        measurements=model.measured(confidences=levels),
        baseline=twin.measured(confidences=levels),
        drops=model.drops(twin, confidences=levels),
    )
