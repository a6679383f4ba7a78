"""Policies that no model of the data could be judged by are refused before anything is spent."""

from __future__ import annotations

import dataclasses

import pytest

from gatekeeper.core.policy import Policy
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline.planning import make_plan
from tests.facts import sample_policy
from tests.tiny import TinyUnits, tiny_candidate, tiny_card, tiny_segmentation_units, tiny_units


def _policy(**changes: object) -> Policy:
    rules = sample_policy().rules
    return dataclasses.replace(sample_policy(), rules=(dataclasses.replace(rules[0], **changes), rules[-1]))


def _plan(policy: Policy, data: TinyUnits) -> None:
    make_plan(tiny_candidate(epsilon=1e3), policy, tiny_card(data))


def test_a_metric_that_fits_the_task_is_planned_for() -> None:
    _plan(_policy(), tiny_units())
    _plan(_policy(metric="dice"), tiny_segmentation_units())
    _plan(_policy(metric="dice", class_name="lesion"), tiny_segmentation_units())


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "mcc", "auroc"])
def test_a_metric_of_classifiers_is_refused_for_masks(metric: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"(?s)rule accuracy judges {metric}.*segmentation.*use dice"):
        _plan(_policy(metric=metric), tiny_segmentation_units())


def test_dice_is_refused_for_classes_of_images() -> None:
    with pytest.raises(InvalidInputError, match=r"(?s)rule accuracy judges dice.*classification.*use accuracy or"):
        _plan(_policy(metric="dice"), tiny_units())


@pytest.mark.parametrize("name", ["spleen", "background"])
def test_a_class_that_the_data_lack_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"(?s)class '{name}'.*liver, lesion"):
        _plan(_policy(metric="dice", class_name=name), tiny_segmentation_units())
