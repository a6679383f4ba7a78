from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from gatekeeper.audit.null import HIGHEST_THRESHOLD, calibrate_null, null_similarities, quantile_limits
from gatekeeper.audit.rows import rows_of
from gatekeeper.core.risk import Similarity
from gatekeeper.errors import DataError
from tests.tiny import TinyUnits, tiny_units


def alike_units(*, units: int, seed: int, images: int = 1, side: int = 8) -> TinyUnits:
    """Blurred random images: strangers resemble each other a good deal."""
    rng = np.random.default_rng(seed)
    total = units * images
    coarse = rng.integers(0, 256, size=(total, 1, 2, 2)).astype(np.uint8)
    return TinyUnits(
        images=coarse.repeat(side // 2, axis=2).repeat(side // 2, axis=3),
        labels=rng.integers(2, size=total),
        unit_of=np.repeat(np.arange(units), images),
        units=units,
    )


def calibrate(similarity: Similarity, *, train: TinyUnits, held_out: TinyUnits, seed: int = 0):
    return calibrate_null(
        similarity,
        audited=train,
        units=np.arange(train.units),
        held_out=held_out,
        confidence=0.95,
        rng=np.random.default_rng(seed),
    )


@given(n=st.integers(5, 400), quantile=st.floats(0.3, 0.995), confidence=st.floats(0.6, 0.99))
def test_ranks_are_those_of_the_binomial_law(n: int, quantile: float, confidence: float) -> None:
    lower = [r for r in range(1, n + 1) if binom.sf(r - 1, n, quantile) >= confidence]
    upper = [s for s in range(1, n + 1) if binom.cdf(s - 1, n, quantile) >= confidence]
    values = np.arange(1.0, n + 1)
    if not lower:
        with pytest.raises(DataError, match="too few"):
            quantile_limits(values, quantile=quantile, confidence=confidence)
        return
    found = quantile_limits(values, quantile=quantile, confidence=confidence)
    assert (found.low, found.high) == (max(lower), min(upper, default=np.inf))


def test_quantile_limits_cover_and_the_plain_quantile_does_not() -> None:
    rng = np.random.default_rng(0)
    samples = rng.random((2000, 300))
    found = [quantile_limits(sample, quantile=0.99, confidence=0.95) for sample in samples]
    assert np.mean([limit.low <= 0.99 for limit in found]) >= 0.94
    assert np.mean([limit.high >= 0.99 for limit in found]) >= 0.94
    assert np.mean(np.quantile(samples, 0.99, axis=1) <= 0.99) < 0.8


def test_too_few_units_are_told_how_many_are_needed() -> None:
    with pytest.raises(DataError, match="audit at least 5 units"):
        quantile_limits(np.arange(4.0), quantile=0.5, confidence=0.95)
    assert quantile_limits(np.arange(5.0), quantile=0.5, confidence=0.95).low == 0.0


def test_the_threshold_is_a_lower_limit_of_what_strangers_reach() -> None:
    train, held_out = alike_units(units=400, seed=0), alike_units(units=200, seed=1)
    found = calibrate(Similarity(above_null=0.9), train=train, held_out=held_out)
    assert found.threshold == found.quantile_low < found.quantile_high
    assert 0.1 <= found.strangers_passing <= 0.16
    fresh = null_similarities(
        measure="ncc", audited=train, units=np.arange(400), held_out=held_out, rng=np.random.default_rng(9)
    )
    assert found.quantile_low < np.quantile(fresh, 0.92)
    assert found.quantile_high > np.quantile(fresh, 0.88)


def test_at_most_caps_the_threshold_and_leaves_the_quantile() -> None:
    train, held_out = alike_units(units=100, seed=0), alike_units(units=50, seed=1)
    free = calibrate(Similarity(), train=train, held_out=held_out)
    capped = calibrate(Similarity(at_most=0.3), train=train, held_out=held_out)
    assert capped.threshold == 0.3 < free.threshold
    assert capped.quantile_low == free.quantile_low
    assert capped.strangers_passing > free.strangers_passing


def test_a_fixed_threshold_stands_and_strangers_are_counted_all_the_same() -> None:
    train, held_out = alike_units(units=100, seed=0), alike_units(units=50, seed=1)
    found = calibrate(Similarity(above_null=None, at_least=0.2), train=train, held_out=held_out)
    assert found.threshold == found.quantile_low == found.quantile_high == 0.2
    assert 0.2 < found.strangers_passing < 0.6


def test_a_quantile_out_of_reach_has_one_as_its_upper_limit() -> None:
    found = calibrate(Similarity(), train=alike_units(units=40, seed=0), held_out=alike_units(units=40, seed=1))
    assert found.quantile_high == 1.0


def test_copies_of_an_image_count_once() -> None:
    train = alike_units(units=30, seed=0)
    doubled = TinyUnits(
        images=np.concatenate((train.images, train.images)),
        labels=np.concatenate((train.labels, train.labels)),
        unit_of=np.arange(60),
        units=60,
    )
    found = calibrate(Similarity(), train=doubled, held_out=alike_units(units=30, seed=1))
    assert found.units == 30


def test_a_training_image_among_the_held_out_ones_is_no_stranger() -> None:
    train, others = alike_units(units=60, seed=0), alike_units(units=5, seed=1)
    leaky = TinyUnits(
        images=np.concatenate((train.images, others.images)),
        labels=np.concatenate((train.labels, others.labels)),
        unit_of=np.arange(65),
        units=65,
    )
    values = null_similarities(
        measure="ncc", audited=train, units=np.arange(60), held_out=leaky, rng=np.random.default_rng(0)
    )
    assert values.max() < 1 - 1e-9
    with pytest.raises(DataError, match="no held-out image differs"):
        calibrate(Similarity(), train=train, held_out=train)


def test_a_threshold_that_noise_would_pass_is_refused() -> None:
    train, held_out = alike_units(units=100, seed=0), alike_units(units=50, seed=1)
    with pytest.raises(DataError, match="above_null"):
        calibrate(Similarity(above_null=0.2), train=train, held_out=held_out)


def test_a_perfect_null_leaves_room_for_a_perfect_reconstruction() -> None:
    """Training images that differ from the mean image along the same line as the held-out ones have an NCC of ±1."""
    pattern = np.where(np.arange(64).reshape(1, 1, 8, 8) % 3, 1, -1)

    def along(steps: list[int]) -> TinyUnits:
        images = np.concatenate([100 + step * pattern for step in steps]).astype(np.uint8)
        count = len(steps)
        return TinyUnits(images=images, labels=np.zeros(count, dtype=int), unit_of=np.arange(count), units=count)

    found = calibrate(Similarity(), train=along(list(range(1, 61))), held_out=along([-70, 70]))
    assert found.quantile_low == pytest.approx(1.0)
    assert found.threshold == HIGHEST_THRESHOLD < 1
    assert 0.2 < found.strangers_passing < 0.8


def test_best_of_a_units_images_counts() -> None:
    held_out, fixed = alike_units(units=100, seed=1), Similarity(above_null=None, at_least=0.5)
    single = calibrate(fixed, train=alike_units(units=400, seed=0), held_out=held_out)
    several = calibrate(fixed, train=alike_units(units=400, seed=0, images=4), held_out=held_out)
    assert several.strangers_passing > single.strangers_passing + 0.2


def test_rows_follow_the_units_asked_for() -> None:
    data = tiny_units(units=20, most_images=4)
    shuffled = np.random.default_rng(0).permutation(len(data.unit_of))
    data = TinyUnits(images=data.images, labels=data.labels, unit_of=data.unit_of[shuffled], units=20)
    units = np.array([7, 3, 3, 19])
    rows = rows_of(data, units=units)
    expected = [(i, owner) for owner, unit in enumerate(units) for i in np.flatnonzero(data.unit_of == unit)]
    assert list(zip(rows.image, rows.owner, strict=True)) == expected
    pieces = list(rows.batches(pixels=2**21))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([piece.image for piece in pieces]), rows.image)
