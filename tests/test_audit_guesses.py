"""Guesses of adversaries with a prior: part of their threshold, and their negative control."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from gatekeeper.audit.attacks.denoised import Denoised
from gatekeeper.audit.attacks.guesses import calibrate_with_guesses, guess_similarities, guessing_control, halves
from gatekeeper.audit.attacks.trials import attack_units
from gatekeeper.audit.null import calibrated_on, null_similarities, quantile_limits
from gatekeeper.audit.prior import linear_prior
from gatekeeper.audit.rows import Rows
from gatekeeper.audit.subset import subset
from gatekeeper.core.adversary import ALL_STEPS_SPECTRAL, ONE_STEP, ONE_STEP_SPECTRAL, Adversary
from gatekeeper.core.participation import Participations
from gatekeeper.core.ranks import OneRank
from gatekeeper.core.risk import NullCalibration, Similarity
from gatekeeper.errors import DataError, InvalidValueError
from tests.tiny import TinyUnits, tiny_units

TRAIN, HELD_OUT = tiny_units(units=300), tiny_units(units=60, seed=1)
ONCE = Participations(counts=(1,), probabilities=(1.0,), tail=0.0)
ATTACK = Denoised(prior=linear_prior(HELD_OUT), read_out="shaped", clipping_norm=1.0)
ALL = np.arange(TRAIN.units)


def settings(sigma: float) -> dict[str, Any]:
    return {"adversary": ONE_STEP_SPECTRAL, "noise_multiplier": sigma, "participations": ONCE}


def strangers(data: TinyUnits = TRAIN) -> np.ndarray:
    return null_similarities(measure="ncc", audited=data, units=ALL, held_out=HELD_OUT, rng=np.random.default_rng(0))


def calibrated(sigma: float, *, similarity: Similarity | None = None) -> NullCalibration:
    return calibrate_with_guesses(
        ATTACK,
        similarity=similarity or Similarity(above_null=0.9),
        strangers=strangers(),
        audited=TRAIN,
        units=ALL,
        confidence=0.95,
        rng=np.random.default_rng(1),
        **settings(sigma),
    )


def test_a_guess_sees_nothing_of_the_image_but_is_compared_with_it() -> None:
    def guessed(data: TinyUnits) -> np.ndarray:
        return guess_similarities(
            ATTACK, data, units=ALL, measure="ncc", rng=np.random.default_rng(2), **settings(0.01)
        )

    mirrored = np.asarray(np.clip(2 * ATTACK.prior.mean * 255 - TRAIN.images, 0, 255)).astype(np.uint8)
    inside = np.all((mirrored > 0) & (mirrored < 255), axis=(1, 2, 3))
    # Every image of these units is mirrored at the mean; with one image a unit its similarity changes its sign.
    single = (np.bincount(TRAIN.unit_of) == 1) & (np.bincount(TRAIN.unit_of, weights=~inside) == 0)
    assert single.sum() > 20
    there, here = guessed(dataclasses.replace(TRAIN, images=mirrored))[single], guessed(TRAIN)[single]
    np.testing.assert_allclose(there, -here, atol=0.02)
    assert np.abs(here).max() < 0.9, "the noise is small: had the image been there, it would be read"


def test_the_threshold_is_above_strangers_and_guesses_alike() -> None:
    """Where noise leaves one direction, guesses beat strangers; where there is little, they beat nobody."""
    alone = calibrated_on(strangers(), similarity=Similarity(above_null=0.9), confidence=0.975)
    little, much = calibrated(1e-4), calibrated(1e3)
    assert little.threshold == alone.threshold
    assert little.guesses_passing < 0.05
    assert much.threshold > alone.threshold
    assert 0.1 <= much.guesses_passing <= 0.2
    assert much.guesser == ONE_STEP_SPECTRAL
    rng = np.random.default_rng(1)
    guesses = guess_similarities(ATTACK, TRAIN, units=ALL, measure="ncc", rng=rng, **settings(1e3))
    low = max(quantile_limits(null, quantile=0.9, confidence=0.975).low for null in (strangers(), guesses))
    assert low - 0.001 <= much.threshold <= low


def test_a_fixed_threshold_stays_and_says_how_many_guesses_pass_it() -> None:
    found = calibrated(1e3, similarity=Similarity(above_null=None, at_least=0.05))
    assert found.threshold == 0.05
    assert found.guesses_passing > 0.3
    capped = calibrated(1e3, similarity=Similarity(above_null=0.9, at_most=0.05))
    assert (capped.threshold, capped.guesses_passing) == (0.05, found.guesses_passing)


def test_the_control_counts_guesses_that_pass_and_sees_a_threshold_that_forgot_them() -> None:
    def control(null: NullCalibration, *, units: int = 60) -> float:
        both = halves(HELD_OUT, rng=np.random.default_rng(3))
        found = guessing_control(
            ATTACK, halves=both, null=null, units=units, rng=np.random.default_rng(4), **settings(1e3)
        )
        assert found.trials == units
        return found.rate

    beaten = calibrated(1e3)
    assert control(beaten) <= 0.3
    assert control(dataclasses.replace(beaten, threshold=0.02)) > 0.4
    assert control(beaten, units=7) <= 0.5


def test_each_half_learns_from_the_units_that_the_other_is_tested_on() -> None:
    first, second = halves(HELD_OUT, rng=np.random.default_rng(5))
    assert first.others.units == second.others.units == 30
    assert (first.prior.units, second.prior.units) == (30, 30)
    both = np.concatenate([first.others.images, second.others.images])
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in HELD_OUT.images)
    np.testing.assert_allclose(first.prior.mean, (second.others.images / 255).mean(axis=0))


def test_too_few_units_have_no_halves() -> None:
    with pytest.raises(DataError, match="at least 8 units, got 7"):
        halves(tiny_units(units=15), rng=np.random.default_rng(0))


def test_a_subset_numbers_its_units_anew() -> None:
    found = subset(TRAIN, units=np.array([7, 3]))
    assert (found.units, set(found.unit_of)) == (2, {0, 1})
    np.testing.assert_array_equal(found.images[found.unit_of == 0], TRAIN.images[TRAIN.unit_of == 3])
    np.testing.assert_array_equal(found.labels[found.unit_of == 1], TRAIN.labels[TRAIN.unit_of == 7])


def test_a_null_belongs_to_whoever_guesses() -> None:
    null = calibrated(1e3)
    assert null.is_of(ONE_STEP_SPECTRAL)
    assert not null.is_of(ALL_STEPS_SPECTRAL)
    assert not null.is_of(ONE_STEP)
    for changes, message in (
        ({"guesser": None}, "nobody guessed"),
        ({"guesser": ONE_STEP}, "has a prior"),
        ({"candidates": 2}, "one image"),
        ({"guesses_passing": 1.5}, "guesses_passing"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            dataclasses.replace(null, **changes)


class Lucky:
    """Comes close to one more unit in each draw, and to no unit twice."""

    name = "denoised"

    def __init__(self) -> None:
        self.draw = -1

    def reconstruct(self, data: TinyUnits, *, rows: Rows, **settings: Any) -> np.ndarray:
        self.draw += 1
        best = np.zeros(rows.units)
        best[3 * self.draw : 3 * self.draw + 1 + self.draw] = 1.0
        return best


@pytest.mark.parametrize(("guesser", "successes"), [(None, 1 + 2 + 3), (ONE_STEP_SPECTRAL, 3)])
def test_of_those_who_guess_the_draw_with_most_successes_counts(guesser: Adversary | None, successes: int) -> None:
    """More draws must not pass more: any of many guesses comes close."""
    null = dataclasses.replace(calibrated(1e3), guesser=guesser, guesses_passing=0.0)
    draws = attack_units(
        Lucky(),  # type: ignore[arg-type]
        TRAIN,
        units=ALL[:20],
        adversary=ONE_STEP_SPECTRAL,
        null=null,
        participations=ONCE,
        noise_multiplier=1.0,
        draws=3,
        rng=np.random.default_rng(0),
        generator=torch.Generator(),
        progress=lambda _: None,
        ranks=OneRank(),
    )
    assert draws.count.successes == successes
