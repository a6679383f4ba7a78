from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.utility import Measurement
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.evaluation import evaluate_masks
from gatekeeper.evaluation.confidence import Limits, difference, limits
from gatekeeper.evaluation.dice import dice_by_class, foreground_dice, overlap, weighted_mean
from gatekeeper.evaluation.masks import UNDEFINED
from tests.reference.evaluation_dice import dice_of_unit, mean_dice, normal_lower
from tests.tiny import TinyUnits, tiny_segmentation_units, tiny_units

CLASSES = ("background", "liver", "lesion")
REPEATS = 300
# Three standard errors below 0.95 for one population.
ENOUGH = 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPEATS)


def spoiled(data: TinyUnits, *, share: float, seed: int = 0) -> np.ndarray:
    """The true masks with a share of the pixels drawn anew."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(len(CLASSES), size=data.masks.shape).astype(np.uint8)
    return np.where(rng.random(data.masks.shape) < share, noise, data.masks)


def measured(data: TinyUnits, predicted: np.ndarray, **more: object) -> dict[str | None, Measurement]:
    report = evaluate_masks(predicted=predicted, test=data, classes=CLASSES, confidences=(0.95,), **more)
    return {measurement.class_name: measurement for measurement in report.measurements}


@settings(max_examples=30, deadline=None)
@given(
    units=st.integers(1, 6),
    size=st.sampled_from([(4, 4), (4, 6, 4)]),
    share=st.sampled_from([0.0, 0.1, 0.9]),
    seed=st.integers(0, 99),
)
def test_estimates_are_those_of_the_slow_twin(units: int, size: tuple[int, ...], share: float, seed: int) -> None:
    data = tiny_segmentation_units(units=units, size=size, seed=seed)
    predicted = spoiled(data, share=share, seed=seed)
    found = measured(data, predicted)
    for name, indices in ((None, [1, 2]), ("liver", [1]), ("lesion", [2])):
        expected = mean_dice(predicted, data.masks, indices=indices, unit_of=data.unit_of)
        assert found[name].estimate == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
        assert math.isnan(found[name].low) or 0 <= found[name].low <= found[name].estimate <= found[name].high <= 1


def test_a_units_images_are_judged_together() -> None:
    """A unit's Dice is over all its slices: not the mean of the slices' own, nor of all pixels of all units."""
    data = tiny_segmentation_units(units=5, most_images=4)
    predicted = spoiled(data, share=0.3)
    table = overlap(predicted=predicted, masks=data.masks, unit_of=data.unit_of, units=5, classes=3)
    by_class = dice_by_class(table)
    for unit in range(5):
        for index in range(3):
            expected = dice_of_unit(predicted, data.masks, index=index, unit_of=data.unit_of, unit=unit)
            assert by_class[unit, index] == pytest.approx(math.nan if expected is None else expected, nan_ok=True)


def test_a_perfect_mask_scores_one_and_still_has_a_lower_limit_below() -> None:
    data = tiny_segmentation_units(units=30)
    for measurement in measured(data, data.masks).values():
        assert measurement.estimate == measurement.high == 1
        # No unit of n was wrong: Clopper and Pearson's limit.
        assert measurement.low == pytest.approx(0.05 ** (1 / measurement.units), abs=0.01)


def test_units_without_the_class_are_left_out_for_that_class_alone() -> None:
    data = tiny_segmentation_units(units=20, most_images=1, seed=3)
    with_lesion = int((data.masks == 2).any(axis=(1, 2)).sum())
    assert 0 < with_lesion < 20
    found = measured(data, data.masks)
    assert (found[None].units, found["liver"].units, found["lesion"].units) == (20, 20, with_lesion)
    # A lesion where there is none counts as a miss.
    predicted = data.masks.copy()
    free = int(np.flatnonzero(~(data.masks == 2).any(axis=(1, 2)))[0])
    predicted[free, 0, 0] = 2
    worse = measured(data, predicted)["lesion"]
    assert worse.units == with_lesion + 1
    assert worse.estimate == pytest.approx(with_lesion / (with_lesion + 1))


def test_a_class_that_nobody_has_is_undefined_and_says_so() -> None:
    data = tiny_segmentation_units(units=10)
    data.masks[data.masks == 2] = 1
    found = measured(data, data.masks, baseline=data.masks)
    assert math.isnan(found["lesion"].estimate)
    assert math.isnan(found["lesion"].low)
    assert found["lesion"].method == UNDEFINED
    assert found[None].estimate == found["liver"].estimate == 1


def test_a_twin_brings_its_own_dice_and_the_drop() -> None:
    data = tiny_segmentation_units(units=60)
    model, twin = spoiled(data, share=0.3), spoiled(data, share=0.02, seed=1)
    report = evaluate_masks(predicted=model, test=data, classes=CLASSES, confidences=(0.9, 0.95), baseline=twin)
    subjects = [(("dice", name), level) for name in (None, "liver", "lesion") for level in (0.9, 0.95)]
    for measurements in (report.measurements, report.baseline, report.drops):
        assert [(m.subject, m.confidence) for m in measurements] == subjects
    for own, other, drop in zip(report.measurements, report.baseline, report.drops, strict=True):
        assert drop.estimate == pytest.approx(other.estimate - own.estimate)
        assert 0 < drop.low < drop.estimate < drop.high


def test_two_models_that_agree_may_still_differ_on_units_not_seen() -> None:
    data = tiny_segmentation_units(units=50)
    masks = spoiled(data, share=0.1)
    drop = evaluate_masks(predicted=masks, test=data, classes=CLASSES, confidences=(0.95,), baseline=masks).drops[0]
    assert drop.estimate == 0
    assert drop.high == pytest.approx(1 - 0.05 ** (1 / 50), abs=0.01)
    assert drop.low == pytest.approx(-drop.high)


def _skewed(rng: np.random.Generator, units: int) -> np.ndarray:
    """Nearly always good, now and then a complete miss."""
    return np.where(rng.random(units) < 0.03, 0.0, rng.beta(40, 3, size=units))


def _small_lesions(rng: np.random.Generator, units: int) -> np.ndarray:
    """Half the units lack the class; of the others some are missed altogether."""
    values = np.where(rng.random(units) < 0.3, 0.0, rng.beta(5, 3, size=units))
    return np.where(rng.random(units) < 0.5, np.nan, values)


def _spread(rng: np.random.Generator, units: int) -> np.ndarray:
    return rng.beta(2, 2, size=units)


POPULATIONS: list[tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = [
    (_skewed, 0.97 * 40 / 43),
    (_small_lesions, 0.7 * 5 / 8),
    (_spread, 0.5),
]


def _limits(values: np.ndarray) -> Limits:
    return limits(
        pessimistic=weighted_mean(values, right=False),
        optimistic=weighted_mean(values, right=True),
        confidences=(0.95,),
        columns=len(values) + 1,
        beyond=40,
    )[0]


@pytest.mark.parametrize("units", [12, 40, 120])
@pytest.mark.parametrize(("draw", "truth"), POPULATIONS, ids=["skewed", "small-lesions", "spread"])
def test_limits_cover_as_often_as_they_claim(
    draw: Callable[[np.random.Generator, int], np.ndarray], truth: float, units: int
) -> None:
    rng = np.random.default_rng(units)
    found = [_limits(draw(rng, units)) for _ in range(REPEATS)]
    assert np.mean([limit.low <= truth for limit in found]) >= ENOUGH
    assert np.mean([limit.high >= truth for limit in found]) >= ENOUGH


def test_the_textbooks_limit_does_not_cover_where_these_do() -> None:
    """The check can fail: 40 units, of which few are missed altogether."""
    rng = np.random.default_rng(5)
    samples = [_skewed(rng, 40) for _ in range(REPEATS)]
    truth = POPULATIONS[0][1]
    assert np.mean([normal_lower(values) <= truth for values in samples]) < 0.85
    assert np.mean([_limits(values).low <= truth for values in samples]) >= ENOUGH


@pytest.mark.parametrize("units", [25, 100])
def test_limits_of_a_drop_cover_though_the_two_leave_out_other_units(units: int) -> None:
    """Where there is no lesion, the model invents one in a tenth of the units and the twin in none."""
    rng = np.random.default_rng(units)
    truth = 0.9 - 0.5 * 0.8 / (0.5 + 0.5 * 0.1)
    covered = []
    for _ in range(REPEATS):
        has = rng.random(units) < 0.5
        twin = np.where(has, rng.beta(9, 1, size=units), np.nan)
        model = np.where(has, twin * (8 / 9), np.where(rng.random(units) < 0.1, 0.0, np.nan))
        found = limits(
            pessimistic=difference(weighted_mean(twin, right=False), weighted_mean(model, right=True)),
            optimistic=difference(weighted_mean(twin, right=True), weighted_mean(model, right=False)),
            confidences=(0.95,),
            columns=units + 1,
            beyond=40,
        )[0]
        covered.append((found.low <= truth, found.high >= truth))
    assert np.mean(covered, axis=0).min() >= ENOUGH


def test_limits_are_narrow_enough_to_be_of_use() -> None:
    """80 patients whose Dice is 0.9 ± 0.05: told from 0.85."""
    values = np.clip(np.random.default_rng(0).normal(0.9, 0.05, size=80), 0, 1)
    assert 0.85 < _limits(values).low < 0.9
    assert 0.9 < _limits(values).high < 0.92


def test_a_unit_has_no_foreground_dice_where_it_has_no_class() -> None:
    by_class = np.array([[1.0, np.nan, np.nan], [1.0, 0.5, np.nan], [1.0, 0.5, 0.0]])
    np.testing.assert_array_equal(foreground_dice(by_class), [np.nan, 0.5, 0.25])


def test_masks_that_do_not_fit_are_refused() -> None:
    data = tiny_segmentation_units(units=6)
    with pytest.raises(InvalidValueError, match="the predicted masks must be uint8 of shape"):
        measured(data, data.masks[:-1])
    with pytest.raises(InvalidValueError, match="got int64"):
        measured(data, data.masks.astype(np.int64))
    with pytest.raises(InvalidValueError, match="the twin's masks"):
        measured(data, data.masks, baseline=data.masks[:-1])
    with pytest.raises(DataError, match="the predicted masks have class 7"):
        measured(data, np.full_like(data.masks, 7))
    with pytest.raises(InvalidValueError, match="needs test units with masks"):
        measured(tiny_units(), data.masks)
