"""How long the limits of the metrics would take, timed at a low confidence."""

from __future__ import annotations

import time

import numpy as np

from gatekeeper.core.units import UnitImages
from gatekeeper.evaluation.masks import evaluate_masks
from gatekeeper.evaluation.utility import evaluate

_LOW = 0.5


def estimate_limits(*, test: UnitImages, classes: tuple[str, ...], confidence: float) -> float:
    """Seconds for one model on this machine, as busy as it is now: the number of draws grows as 1/(1 − confidence).

    Args:
        test: test units, by group; of each model the answers are made up.
        classes: their names.
        confidence: the highest that is asked for.
    """
    began = time.monotonic()
    if test.masks is not None:
        evaluate_masks(predicted=test.masks, test=test, classes=classes, confidences=(_LOW,))
    else:
        answers = np.random.default_rng(0).standard_normal((len(test.labels), len(classes)))
        evaluate(logits=answers, test=test, confidences=(_LOW,))
    return (time.monotonic() - began) * (1 - _LOW) / (1 - confidence)
