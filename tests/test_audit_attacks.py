from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtr
from scipy.stats import kstest, nct

from gatekeeper.audit.attacks import attacked_units, run_attacks
from gatekeeper.audit.attacks.analytic import (
    Analytic,
    PlantedRow,
    clip,
    compare,
    fresh_generator,
    observe,
    plant,
    reconstruct,
)
from gatekeeper.audit.attacks.audit import attack, distinct_similarities
from gatekeeper.audit.attacks.audited import Audited
from gatekeeper.audit.attacks.sample import choose_targets, worst_units
from gatekeeper.audit.attacks.trials import draw_participations
from gatekeeper.audit.bounds import bounds
from gatekeeper.audit.rows import rows_of
from gatekeeper.audit.similarity import mean_image, ssim
from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, REALISTIC, WORST_CASE
from gatekeeper.core.binomial import lower_limit
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank
from gatekeeper.core.risk import IdentificationPower, NullCalibration, Similarity
from gatekeeper.errors import InvalidValueError
from tests.facts import spectrum
from tests.tiny import TinyUnits, tiny_segmentation_units, tiny_units


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fixed(count: int) -> Participations:
    return Participations(counts=(count,), probabilities=(1.0,), tail=0.0)


def null(threshold: float, *, measure: str = "ncc") -> NullCalibration:
    return NullCalibration(
        similarity=Similarity(measure=measure, above_null=None, at_least=threshold),
        threshold=threshold,
        quantile_low=threshold,
        quantile_high=threshold,
        confidence=0.95,
        units=300,
        strangers_passing=0.01,
    )


def terms(*, units: int = 100, worst_units: int = 10, noise_draws: int = 1) -> AuditTerms:
    return AuditTerms(
        units=units,
        worst_units=worst_units,
        noise_draws=noise_draws,
        min_positive_control=0.9,
        max_negative_control=0.05,
    )


def mechanism(sigma: float) -> Mechanism:
    return Mechanism(
        sampling="balls-and-bins", sampling_rate=0.1, noise_multiplier=sigma, steps=40, adjacency="zero-out", unit="u"
    )


def run(*, sigma: float, count: int, threshold: float, units: int = 300, draws: int = 1, adversary=ALL_STEPS, law=None):
    train, held_out = tiny_units(units=units, most_images=1), tiny_units(units=40, seed=1)
    rng = np.random.default_rng(0)
    row = plant(held_out, clipping_norm=0.7)
    audited = Audited(
        train=train,
        held_out=held_out,
        targets=choose_targets(train, mean=mean_image(held_out.images), sample=units, worst=20, rng=rng),
        participations=law or fixed(count),
        noise_multiplier=sigma,
        audit=terms(units=units, worst_units=20, noise_draws=draws),
        row=row,
        clipping_norm=0.7,
        rng=rng,
        generator=generator(0),
        progress=lambda _: None,
        ranks=OneRank(),
        halves=(),
    )
    return attack(Analytic(row=row, clipping_norm=0.7), adversary=adversary, null=null(threshold), audited=audited)


def test_the_closed_form_gradient_is_that_of_autograd() -> None:
    data = tiny_units(units=6, most_images=1, channels=3)
    row = PlantedRow(mean_image(data.images[:3]), loss_scale=7.0)
    flat = torch.from_numpy(data.images.reshape(6, -1) / 255.0)
    closed = row.per_image_gradients(flat)
    for image, expected in zip(flat, closed, strict=True):
        (gradient,) = torch.autograd.grad(row(image[None]).sum(), row.weight)
        torch.testing.assert_close(gradient, expected, rtol=1e-14, atol=0)


def test_the_clip_binds_and_never_lengthens() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    clipped = clip(gradients, clipping_norm=1.0)
    torch.testing.assert_close(clipped, torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64))


def test_what_is_observed_is_the_clipped_image_plus_noise_of_the_stated_size() -> None:
    data = tiny_units(units=200, most_images=1)
    row = plant(data, clipping_norm=0.7)
    noise_std = np.full(200, 0.05)
    silent = observe(data.images, row=row, clipping_norm=0.7, noise_std=0 * noise_std, generator=generator(0))
    np.testing.assert_allclose(np.linalg.norm(silent, axis=1), 0.7)
    noisy = observe(data.images, row=row, clipping_norm=0.7, noise_std=noise_std, generator=generator(0))
    spread = np.std(noisy - silent)
    assert spread == pytest.approx(0.05, rel=0.03)
    assert spread != pytest.approx(0.05 * 1.5, rel=0.03)
    assert spread != pytest.approx(0.05 / 1.5, rel=0.03)


@pytest.mark.parametrize("count", [1, 5, 50])
def test_similarities_follow_the_noncentral_t_law(count: int) -> None:
    """Kolmogorov–Smirnov against theory at σ accepts; against theory at 0.8σ it refuses."""
    data = tiny_units(units=1500, most_images=1)
    sigma = 0.1 * math.sqrt(count)
    ncc = reconstruct(
        data,
        rows=rows_of(data, units=np.arange(1500)),
        row=plant(tiny_units(units=30, seed=1), clipping_norm=2.0),
        measure="ncc",
        clipping_norm=2.0,
        noise_multiplier=sigma,
        participations=np.full(1500, count),
        generator=generator(count),
    )
    statistic = ncc * math.sqrt(63) / np.sqrt(1 - ncc**2)
    assert kstest(statistic, nct(63, math.sqrt(count) / sigma).cdf).pvalue > 0.01
    assert kstest(statistic, nct(63, math.sqrt(count) / (0.8 * sigma)).cdf).pvalue < 1e-6


def test_pure_noise_follows_students_law() -> None:
    data = tiny_units(units=1500, most_images=1)
    ncc = reconstruct(
        data,
        rows=rows_of(data, units=np.arange(1500)),
        row=plant(data, clipping_norm=1.0),
        measure="ncc",
        clipping_norm=1.0,
        noise_multiplier=1e6,
        participations=np.ones(1500, dtype=np.int64),
        generator=generator(0),
    )
    assert kstest(ncc * math.sqrt(63) / np.sqrt(1 - ncc**2), lambda x: stdtr(63, x)).pvalue > 0.01


@settings(max_examples=15, deadline=None)
@given(sigma=st.floats(0.03, 0.5), count=st.integers(1, 30), threshold=st.floats(0.3, 0.95))
def test_the_attack_stays_below_the_bound(sigma: float, count: int, threshold: float) -> None:
    outcome = run(sigma=sigma, count=count, threshold=threshold, units=200)
    bound = bounds(
        mechanism=mechanism(sigma),
        participations=fixed(count),
        nulls=(null(threshold),),
        spectrum=spectrum(64),
        max_images=1,
        power=IdentificationPower(
            prior_success=1 / 200, worst_case=1.0, worst_case_method="any", relaxed=1.0, relaxed_method="any"
        ),
    )[3]
    sample = outcome.sample
    assert lower_limit(successes=sample.successes, trials=sample.trials, confidence=1 - 1e-5) <= bound.value


def test_the_attack_reaches_the_bound_and_misses_it_at_other_noise() -> None:
    law, sigma, threshold = fixed(4), 0.2, 0.78
    outcome = run(sigma=sigma, count=4, threshold=threshold, units=1000)
    exact = nct.sf(threshold / math.sqrt(1 - threshold**2) * math.sqrt(63), 63, 2 / sigma)
    assert 0.2 < exact < 0.8
    assert outcome.sample.rate == pytest.approx(exact, abs=0.05)
    noisier = run(sigma=1.2 * sigma, count=4, threshold=threshold, units=1000, law=law)
    assert abs(noisier.sample.rate - exact) > 0.1


@pytest.mark.parametrize("measure", ["ncc", "ssim"])
def test_with_the_noise_off_every_image_is_reconstructed(measure: str) -> None:
    data = tiny_units(units=30, most_images=3)
    best = reconstruct(
        data,
        rows=rows_of(data, units=np.arange(30)),
        row=plant(tiny_units(units=30, seed=1), clipping_norm=1.0),
        measure=measure,
        clipping_norm=1.0,
        noise_multiplier=0.0,
        participations=np.ones(30, dtype=np.int64),
        generator=generator(0),
    )
    np.testing.assert_allclose(best, 1.0, atol=1e-9)


def test_controls_see_a_working_attack_and_an_innocent_stranger() -> None:
    outcome = run(sigma=100.0, count=1, threshold=0.9)
    assert outcome.positive_control.rate == 1.0
    assert outcome.sample.successes == 0
    assert outcome.negative_control.trials == 40
    assert outcome.negative_control.rate <= 0.05


def test_the_negative_control_sees_strangers_who_look_alike() -> None:
    assert run(sigma=1.0, count=1, threshold=0.01).negative_control.rate > 0.3


def test_noise_alone_does_not_pass_for_the_mean_image_by_ssim() -> None:
    """On images of one kind the mean image beats strangers, and noise shrunk to nothing would hand it in."""
    rng = np.random.default_rng(0)
    common = rng.integers(60, 190, size=(1, 1, 16, 16))
    images = (common + rng.integers(-20, 21, size=(80, 1, 16, 16))).astype(np.uint8)
    mean, audited = mean_image(images[40:]), images[:40]
    strangers = np.quantile(ssim(audited / 255.0, images[40:] / 255.0), 0.99)
    assert np.median(ssim(audited / 255.0, np.repeat(mean[None], 40, axis=0))) > strangers
    noise = compare(rng.standard_normal((40, 256)), images=audited, mean=mean, measure="ssim")
    assert noise.max() < strangers


def test_a_unit_that_took_part_in_no_step_is_never_reconstructed() -> None:
    half = Participations(counts=(0, 1), probabilities=(0.5, 0.5), tail=0.0)
    outcome = run(sigma=1e-6, count=1, threshold=0.9, law=half)
    assert 0.4 < outcome.sample.rate < 0.6
    assert run(sigma=1e-6, count=1, threshold=0.9, law=half, adversary=ONE_STEP).sample.rate == 1.0


def test_success_in_any_draw_counts_once() -> None:
    single = run(sigma=0.2, count=4, threshold=0.8)
    thrice = run(sigma=0.2, count=4, threshold=0.8, draws=3)
    assert thrice.sample.trials == single.sample.trials
    assert thrice.sample.rate > single.sample.rate + 0.1


def test_mass_that_was_cut_off_takes_part_most_often() -> None:
    law = Participations(counts=(0, 7), probabilities=(0.5, 0.2), tail=0.3)
    drawn = draw_participations(ALL_STEPS, law, units=4000, rng=np.random.default_rng(0))
    assert np.mean(drawn == 7) == pytest.approx(0.5, abs=0.03)


def test_the_worst_stratum_holds_outliers_and_the_rarest_class() -> None:
    images = np.full((20, 1, 8, 8), 100, dtype=np.uint8)
    images[3], images[8] = 255, 0
    images[:, 0, 0, 0] = np.arange(20)
    labels = np.zeros(20, dtype=np.int64)
    labels[[11, 12]] = 1
    data = TinyUnits(images=images, labels=labels, unit_of=np.arange(20), units=20)
    mean = np.full((1, 8, 8), 100 / 255)
    assert sorted(worst_units(data, mean=mean, size=4)) == [3, 8, 11, 12]
    assert len(worst_units(data, mean=mean, size=1)) == 1
    assert sorted(worst_units(data, mean=mean, size=50)) == list(range(20))
    assert len(worst_units(data, mean=mean, size=0)) == 0


def test_the_sample_is_drawn_without_replacement() -> None:
    data = tiny_units(units=30)
    rng = np.random.default_rng(0)
    targets = choose_targets(data, mean=mean_image(data.images), sample=20, worst=0, rng=rng)
    assert len(set(targets.sample.tolist())) == 20
    everyone = choose_targets(data, mean=mean_image(data.images), sample=1000, worst=0, rng=rng)
    assert sorted(everyone.sample) == list(range(30))


def test_a_report_has_a_null_for_each_similarity_and_every_realistic_adversary_for_each_null() -> None:
    heard: list[int] = []
    audit = terms(units=60, worst_units=6, noise_draws=2)
    similarities = (Similarity(measure="ssim"), Similarity(measure="ssim"))
    report = run_attacks(
        similarities=similarities,
        train=tiny_units(units=80),
        held_out=tiny_units(units=40, seed=1),
        participations=fixed(4),
        mechanism=mechanism(0.01),
        clipping_norm=1.0,
        audit=audit,
        progress=heard.append,
    )
    assert [(item.similarity.measure, item.guesser) for item in report.nulls] == [
        (measure, guesser) for measure in ("ssim", "ncc") for guesser in (None, *REALISTIC[2:])
    ]
    assert [(o.similarity.measure, o.adversary) for o in report.outcomes] == [
        (measure, adversary) for measure in ("ssim", "ncc") for adversary in REALISTIC
    ]
    for outcome in report.outcomes:
        assert outcome.attack == ("analytic" if outcome.adversary.prior == "none" else "denoised")
        assert (outcome.sample.trials, outcome.worst.trials, outcome.positive_control.trials) == (60, 6, 60)
        assert outcome.positive_control.rate == 1.0
        assert outcome.source == "simulated"
        assert outcome.participations == (1 if outcome.adversary.observes == "one-step" else 4)
    assert sum(heard) == attacked_units(similarities=similarities, train_units=80, audit=audit)


def test_an_audit_without_a_worst_stratum_reports_none() -> None:
    report = run_attacks(
        similarities=(),
        train=tiny_units(units=30),
        held_out=tiny_units(units=30, seed=1),
        participations=fixed(1),
        mechanism=mechanism(1.0),
        clipping_norm=1.0,
        audit=terms(units=30, worst_units=0),
        progress=lambda _: None,
    )
    assert {outcome.worst.trials for outcome in report.outcomes} == {0}


def test_repeated_definitions_of_success_count_once() -> None:
    default = Similarity()
    assert distinct_similarities((default, default)) == (default,)
    assert distinct_similarities(()) == (default,)


def test_noise_is_never_the_same_twice() -> None:
    first, second = (torch.randn(4, generator=fresh_generator()) for _ in range(2))
    assert not torch.equal(first, second)


def test_large_images_are_attacked_in_bounded_batches() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(40, 3, 224, 224), dtype=np.uint8)
    data = TinyUnits(images=images, labels=np.zeros(40, dtype=np.int64), unit_of=np.arange(40), units=40)
    rows = rows_of(data, units=np.arange(40))
    assert max(len(piece.image) for piece in rows.batches(pixels=150_528)) <= 30
    sigma = 0.002
    ncc = reconstruct(
        data,
        rows=rows,
        row=plant(data, clipping_norm=1.0),
        measure="ncc",
        clipping_norm=1.0,
        noise_multiplier=sigma,
        participations=np.ones(40, dtype=np.int64),
        generator=generator(0),
    )
    np.testing.assert_allclose(ncc, 1 / math.sqrt(1 + 150_528 * sigma**2), atol=0.01)


def test_volumes_are_attacked_like_images() -> None:
    train, held_out = (tiny_segmentation_units(units=80, size=(7, 9, 8), seed=seed) for seed in (0, 1))
    for sigma, expected in ((0.001, 1.0), (100.0, 0.0)):
        report = run_attacks(
            similarities=(Similarity(measure="ncc"), Similarity(measure="ssim")),
            train=train,
            held_out=held_out,
            participations=fixed(2),
            mechanism=mechanism(sigma),
            clipping_norm=1.0,
            audit=terms(units=60, worst_units=6),
            progress=lambda _: None,
        )
        # Beside much noise a prior is a guess; these images are all alike but for their brightness, and easy to guess.
        guessed = [o.sample.rate for o in report.outcomes if o.adversary.prior == "none" or expected]
        assert guessed == pytest.approx([expected] * len(guessed), abs=0.1)
        assert {outcome.positive_control.rate for outcome in report.outcomes} == {1.0}


def test_an_adversary_with_candidates_is_not_played_by_this_attack() -> None:
    with pytest.raises(InvalidValueError, match="worst case"):
        run(sigma=1.0, count=1, threshold=0.5, adversary=WORST_CASE)
