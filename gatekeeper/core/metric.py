"""What can be measured of a model on the test units, and which task each metric belongs to."""

from __future__ import annotations

from typing import Literal, get_args

from gatekeeper.core.data_spec import Task

Metric = Literal["accuracy", "balanced_accuracy", "mcc", "auroc", "dice"]

METRICS: tuple[str, ...] = get_args(Metric)
METRICS_OF: dict[Task, tuple[Metric, ...]] = {
    "classification": ("accuracy", "balanced_accuracy", "mcc", "auroc"),
    "segmentation": ("dice",),
}

# Metrics of which each class has its own value, beside the mean over classes.
CLASS_METRICS: tuple[str, ...] = ("dice",)


def metric_title(metric: str, class_name: str | None) -> str:
    """What a metric is called in a sentence.

    >>> metric_title("dice", "liver")
    'dice of liver'
    >>> metric_title("mcc", None)
    'mcc'
    """
    return metric if class_name is None else f"{metric} of {class_name}"
