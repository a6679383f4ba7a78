"""The utility bench's arithmetic, on answers that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.utility import ARMS, PLAIN, Job, Outcome, _dataset, candidates, rows


def _outcome(arm: str, seed: int, *, wrong: float) -> Outcome:
    """The right answers on the digits, but for a share that the seed picks."""
    labels = _dataset("digits").test.labels
    generator = np.random.default_rng(seed)
    answers = np.where(generator.random(len(labels)) < wrong, generator.integers(10, size=len(labels)), labels)
    return Outcome(
        job=Job(name="digits", arm=arm, seed=seed),
        scores=np.eye(10)[answers],
        noise_multiplier=1e-3,
        clipped_share=0.1 if arm == "adaptive" else None,
        seconds=1.0,
    )


def test_rows_tell_how_far_each_rule_is_below_plain_training() -> None:
    wrong = {PLAIN: 0.05, "flat": 0.05, "adaptive": 0.2, "automatic": 0.0}
    outcomes = [_outcome(arm, seed, wrong=wrong[arm]) for arm in ARMS for seed in range(3)]
    found = {row.arm: row for row in rows(outcomes, "digits")}
    assert (found[PLAIN].below_plain, found[PLAIN].below_plain_high) == (0.0, 0.0)
    assert found["flat"].below_plain == 0.0, "the same answers"
    assert found["adaptive"].below_plain == pytest.approx(0.15 * 0.9, abs=0.03)
    assert found["adaptive"].below_plain_low < found["adaptive"].below_plain < found["adaptive"].below_plain_high
    assert found["adaptive"].below_plain_low > 0.05
    assert found["automatic"].mcc == 1.0
    assert found["automatic"].below_plain_high < 0
    assert [found[arm].clipped_share for arm in ("flat", "adaptive")] == [None, pytest.approx(0.1)]


def test_every_set_that_is_there_has_a_recipe_that_any_rule_can_take() -> None:
    for candidate in candidates().values():
        assert candidate.training.clipping_norm == 1.0
