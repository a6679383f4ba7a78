from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from gatekeeper import data
from gatekeeper.audit import rows as rows_module
from gatekeeper.audit import similarity
from gatekeeper.audit.attacks import imprint, imprint_trials
from gatekeeper.audit.attacks.imprint import best_similarities, isolated_images, read_out
from gatekeeper.audit.attacks.imprint_audit import LEAST_ISOLATED, ImprintOutcome, imprinted_units, run_imprint
from gatekeeper.audit.attacks.imprint_trials import ImprintTrials, deal
from gatekeeper.audit.attacks.sample import Targets, choose_targets
from gatekeeper.audit.directions import closest, directions
from gatekeeper.audit.null import null_similarities
from gatekeeper.audit.null_of_many import best_of_strangers, calibrate_null_of_many
from gatekeeper.audit.similarity import centred, mean_image, ssim
from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, WORST_CASE
from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.ranks import OneRank
from gatekeeper.core.risk import Similarity
from gatekeeper.errors import DataError, InvalidValueError
from gatekeeper.training.planted import plant
from gatekeeper.training.planted_step import PlantedStep
from tests.reference.audit_naive_imprint import (
    NaiveActivations,
    NaiveGradients,
    NaiveStep,
    naive_best,
    naive_candidates,
    naive_isolated,
)
from tests.tiny import TinyUnits, tiny_candidate, tiny_card, tiny_plan, tiny_units

FLAVOURS = ("bins", "trap")
NCC = Similarity()
OFF = 1e-6


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def terms(*, units: int = 100, draws: int = 1) -> AuditTerms:
    return AuditTerms(
        units=units, worst_units=5, noise_draws=draws, min_positive_control=0.9, max_negative_control=0.05
    )


def always(count: int) -> Participations:
    return Participations(counts=(count,), probabilities=(1.0,), tail=0.0)


# ── phantoms through the run's own engine ────────────────────────────────────────────────────────────────────────


def phantoms(kind: str):
    """Small phantoms, one image a unit, and the network that takes them."""
    size = {"grey": (16, 16), "volume": (8, 8, 8)}.get(kind)
    spec = DataSpec(
        format="phantom-lesions" if kind == "colour" else "phantom-abdomen",
        path=None,
        unit="image",
        split=SplitSpec(test=0.5, seed=1, by="patient"),
        phantom=PhantomSpec(patients=24, seed=1, dimensions=3 if kind == "volume" else 2, size=size),
        image_size=(16, 16) if kind == "colour" else None,
    )
    network = {"colour": "resnet9", "grey": "unet", "volume": "unet3d"}[kind]
    return data.load(spec), dataclasses.replace(tiny_candidate(views=1), model=ModelSpec(network=network, width=4))


@functools.cache
def loaded(kind: str):
    return phantoms(kind)


def real_step(kind: str, flavour: str, *, sigma: float = OFF, rows: int = 48, batch: int = 24) -> PlantedStep:
    dataset, candidate = loaded(kind)
    return PlantedStep(
        candidate=candidate,
        plan=tiny_plan(sigma=sigma),
        card=dataset.card(salt=bytes(32)),
        train=dataset.train,
        held_out=dataset.test,
        flavour=flavour,
        rows=rows,
        batch=batch,
    )


def unit_ncc(candidates: np.ndarray, units: np.ndarray, train: TinyUnits, mean: np.ndarray) -> np.ndarray:
    return imprint_trials.unit_similarities(candidates, data=train, units=units, mean=mean, measure="ncc")


@pytest.mark.parametrize("kind", ["colour", "grey", "volume"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_with_the_noise_off_exactly_the_isolated_units_are_read_out(kind: str, flavour: str) -> None:
    """A read-out of the wrong sign reads out nobody, and one by rows that are no neighbours not all of them."""
    attacked, train = real_step(kind, flavour), loaded(kind)[0].train
    shares = []
    for seed in range(2):
        units = np.sort(rng(seed).permutation(train.units)[:24])
        isolated = np.isin(units, isolated_images(attacked.activations(units, step=0), flavour=flavour))
        seen = attacked.silent(units, step=0)
        candidates = read_out(seen, flavour=flavour)
        found = unit_ncc(candidates, units, train, attacked.mean)
        assert (found[isolated] > 0.999).all()
        assert not (found[~isolated] > 0.9999).any(), "what is mixed is not read out to the last digit"
        shares.append(isolated.mean())
        wrong_sign = unit_ncc(-candidates, units, train, attacked.mean)
        assert (wrong_sign > 0.999).sum() == 0
        if flavour == "bins":
            order = rng(seed).permutation(attacked.rows)
            shuffled = read_out(NaiveGradients(weight=seen.weight[order], bias=seen.bias[order]), flavour=flavour)
            assert not (unit_ncc(shuffled, units, train, attacked.mean)[isolated] > 0.999).all()
    assert np.mean(shares) > 0.2


def isolated_share(flavour: str, *, train: TinyUnits, held_out: TinyUnits, rows: int, batch: int) -> float:
    """The share of images that are isolated, over 60 random batches."""
    planted = plant(flavour, held_out.images, rows=rows, batch=batch, generator=rng())
    active = centred(train.images, mean=planted.mean) @ planted.weight.T + planted.bias > 0
    drawn = [rng(seed).permutation(len(active))[:batch] for seed in range(60)]
    found = [isolated_images(NaiveActivations(image=own, active=active[own]), flavour=flavour) for own in drawn]
    return float(np.mean([len(images) for images in found])) / batch


@pytest.mark.parametrize(("rows", "batch"), [(16, 16), (32, 16)])
def test_isolated_shares_follow_their_laws_where_rows_are_independent(rows: int, batch: int) -> None:
    """On images of pure noise: alone in one bin of B, (1 − 1/B)ⁿ⁻¹; alone in any of B rows of p = 1/n."""
    train, held_out = (tiny_units(units=2000, most_images=1, seed=seed) for seed in (0, 1))
    bins, trap = (isolated_share(f, train=train, held_out=held_out, rows=rows, batch=batch) for f in FLAVOURS)
    assert bins == pytest.approx((1 - 1 / rows) ** (batch - 1), abs=0.04)
    alone_in_a_row = (1 - 1 / batch) ** (batch - 1) / batch
    assert trap == pytest.approx(1 - (1 - alone_in_a_row) ** rows, abs=0.04)


def test_brightness_bins_isolate_more_lesions_than_trap_weights() -> None:
    """Rows of random weights see images of one kind alike: the same few activate many of them."""
    dataset = loaded("colour")[0]
    bins, trap = (isolated_share(f, train=dataset.train, held_out=dataset.test, rows=64, batch=24) for f in FLAVOURS)
    assert bins > trap + 0.05


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_units_of_several_images_are_read_out_where_one_of_those_shown_is_isolated(flavour: str) -> None:
    train = tiny_units(units=30, channels=3)
    attacked = PlantedStep(
        candidate=tiny_candidate(views=2),
        plan=tiny_plan(sigma=OFF),
        card=tiny_card(train),
        train=train,
        held_out=tiny_units(units=60, channels=3, seed=1),
        flavour=flavour,
        rows=40,
        batch=20,
    )
    units = np.arange(20)
    alone = train.unit_of[isolated_images(attacked.activations(units, step=2), flavour=flavour)]
    found = unit_ncc(read_out(attacked.silent(units, step=2), flavour=flavour), units, train, attacked.mean)
    # Others may be too: of a unit's images one can outweigh the rest, which then disturb nobody.
    assert set(alone) <= set(np.flatnonzero(found > 0.9999))
    assert 5 <= len(set(alone)) < 20


def test_success_falls_to_nothing_as_the_noise_grows() -> None:
    rates = []
    dataset = loaded("colour")[0]
    for sigma in (OFF, 0.01, 1.0):
        targets = Targets(sample=np.arange(48), worst=np.arange(4))
        (found,) = run_imprint(
            real_step("colour", "trap", sigma=sigma),
            similarities=(NCC,),
            adversary=ONE_STEP,
            train=dataset.train,
            held_out=dataset.test,
            targets=targets,
            participations=always(3),
            audit=dataclasses.replace(terms(units=48), null_confidence=0.5),
            rng=rng(),
            progress=lambda _: None,
        )
        rates.append(found.outcome.sample.rate)
        assert found.outcome.positive_control.rate == 1.0, "the control does not ask for the noise"
        assert found.outcome.negative_control.rate <= 0.05
    assert rates[0] >= found.isolated.rate > 0.2
    assert rates[0] > rates[1] > rates[2] == 0.0


# ── the read-out against its slow twin ───────────────────────────────────────────────────────────────────────────


def naive_step(flavour: str, *, units: int = 40, rows: int = 16, batch: int = 12, **settings: object) -> NaiveStep:
    train, held_out = tiny_units(units=units, most_images=1), tiny_units(units=80, most_images=1, seed=1)
    planted = plant(flavour, held_out.images, rows=rows, batch=batch, generator=rng())
    return NaiveStep(
        images=centred(train.images, mean=planted.mean),
        weight=planted.weight,
        bias=planted.bias,
        slopes=rng(1).choice([-1.0, 1.0], size=units) * rng(2).uniform(100, 300, size=units),
        mean=planted.mean,
        flavour=flavour,
        batch=batch,
        **settings,
    )


@pytest.mark.parametrize("sigma", [0.0, 0.02])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_candidates_and_scores_are_those_of_the_slow_twin(flavour: str, sigma: float) -> None:
    attacked, units = naive_step(flavour, noise_multiplier=sigma), np.arange(12)
    train = tiny_units(units=40, most_images=1)
    seen = attacked.observe(units, steps=range(1))
    fast, slow = read_out(seen, flavour=flavour), naive_candidates(seen, flavour=flavour)
    for mine, theirs in zip(fast, slow, strict=True):
        assert mine.any() == theirs.any()
        np.testing.assert_allclose(mine * np.abs(theirs).max(), theirs * np.abs(mine).max(), rtol=1e-9, atol=1e-12)
    found = best_similarities(fast, images=train.images[units], mean=attacked.mean, measure="ncc")
    np.testing.assert_allclose(found, [naive_best(slow, attacked.images[unit]) for unit in units], rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), views=st.integers(1, 8), rows=st.integers(2, 6), flavour=st.sampled_from(FLAVOURS))
def test_isolated_images_are_those_of_the_slow_twin(seed: int, views: int, rows: int, flavour: str) -> None:
    draw = rng(seed)
    image = draw.integers(4, size=views)
    active = draw.random((views, rows)) < 0.5
    if flavour == "bins":
        active = np.sort(active, axis=1)[:, ::-1]
    found = isolated_images(NaiveActivations(image=image, active=active), flavour=flavour)
    assert found.tolist() == sorted(naive_isolated(image, active, flavour=flavour))


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-100, 1e100), sign=st.sampled_from([-1.0, 1.0]), flavour=st.sampled_from(FLAVOURS))
def test_neither_scale_nor_sign_of_the_gradient_matters(scale: float, sign: float, flavour: str) -> None:
    """A loss that is scaled or turned around is read out alike."""
    images = rng(5).integers(0, 256, size=(4, 1, 4, 4)).astype(np.uint8)
    seen = NaiveGradients(weight=rng(1).standard_normal((5, 16)), bias=rng(2).standard_normal(5))
    turned = NaiveGradients(weight=sign * scale * seen.weight, bias=sign * scale * seen.bias)
    first, second = (
        best_similarities(read_out(g, flavour=flavour), images=images, mean=np.full((1, 4, 4), 0.5), measure="ncc")
        for g in (seen, turned)
    )
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_the_whole_gradients_clip_costs_what_is_predicted() -> None:
    """A bin's difference has twice the noise, and of the clip it gets a share of one in j rows that are active.

    NCC of unit t alone in bin j is then 1/√(1 + 2jNσ²(1 + 1/‖x − m‖²)), below attack A's 1/√(1 + Nσ²).
    """
    sigma = 0.01
    attacked, train = real_step("colour", "bins", sigma=sigma), loaded("colour")[0].train
    read, truths, active = [], [], []
    for seed in range(4):
        units = np.sort(rng(seed).permutation(train.units)[:24])
        found = attacked.activations(units, step=0)
        alone = np.isin(found.image, isolated_images(found, flavour="bins"))
        active.append(found.active[alone].sum(1))
        read.append(read_out(attacked.observe(units, steps=range(1)), flavour="bins")[active[-1] - 1])
        truths.append(centred(train.images[found.image[alone]], mean=attacked.mean))
    rows, images = np.concatenate(active), np.concatenate(truths)
    ncc = similarity.ncc(np.concatenate(read), images)
    squared = (images**2).sum(1)
    noise = images.shape[1] * sigma**2
    # The last bin is a row by itself, with single noise.
    twice = np.where(rows == attacked.rows, 1.0, 2.0)
    predicted = 1 / np.sqrt(1 + twice * rows * noise * (1 + 1 / squared))
    readable = predicted > 0.6
    assert readable.sum() >= 5
    assert np.mean(ncc[readable]) == pytest.approx(np.mean(predicted[readable]), abs=0.03)
    assert np.mean(ncc[readable]) != pytest.approx(np.mean(1 / np.sqrt(1 + noise * rows[readable] / 4)), abs=0.03)
    assert np.mean(ncc[readable]) < 1 / math.sqrt(1 + noise) - 0.03


def test_strangers_do_not_pass_for_units_of_another_batch() -> None:
    """Noise off: what is read out of a batch is compared with training units that took no part in it."""
    attacked, train = real_step("colour", "bins"), loaded("colour")[0].train
    null = calibrate_null_of_many(
        NCC,
        audited=train,
        units=np.arange(train.units),
        held_out=loaded("colour")[0].test,
        candidates=attacked.rows,
        confidence=0.5,
        rng=rng(),
    )
    candidates = read_out(attacked.silent(np.arange(24), step=0), flavour="bins")
    outsiders = unit_ncc(candidates, np.arange(24, train.units), train, attacked.mean)
    assert np.mean(outsiders >= null.threshold) <= 0.05


# ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────────


def audit(attacked: NaiveStep, **settings: object) -> tuple[ImprintOutcome, ...]:
    train = tiny_units(units=40, most_images=1)
    arguments: dict[str, object] = {
        "similarities": (Similarity(above_null=None, at_least=0.95),),
        "adversary": ONE_STEP,
        "train": train,
        "held_out": tiny_units(units=30, most_images=1, seed=3),
        "targets": choose_targets(train, mean=attacked.mean, sample=30, worst=5, rng=rng(7)),
        "participations": always(4),
        "audit": terms(units=30),
        "rng": rng(),
        "progress": lambda _: None,
    }
    return run_imprint(attacked, **{**arguments, **settings})


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_audit_counts_units_and_says_what_can_be_isolated(flavour: str) -> None:
    heard: list[int] = []
    targets = choose_targets(
        tiny_units(units=40, most_images=1), mean=np.zeros((1, 8, 8)), sample=30, worst=5, rng=rng()
    )
    (found,) = audit(naive_step(flavour), targets=targets, progress=heard.append, audit=terms(units=30, draws=2))
    outcome = found.outcome
    assert (outcome.sample.trials, outcome.worst.trials, outcome.negative_control.trials) == (30, 5, 30)
    assert (outcome.source, outcome.participations, outcome.noise_draws) == ("production-step", 1, 2)
    assert found.candidates == 16
    assert found.isolated.trials == 30
    assert outcome.positive_control.trials == max(found.isolated.successes, 3)
    assert outcome.positive_control.rate == 1.0
    assert outcome.negative_control.successes == 0
    assert sum(heard) == imprinted_units(targets=targets, train_units=40, batch=12, audit=terms(units=30, draws=2))


def test_several_steps_are_averaged_for_the_adversary_who_sees_them() -> None:
    one, every = (
        audit(naive_step("trap", noise_multiplier=0.06), adversary=who, participations=always(400))[0].outcome
        for who in (ONE_STEP, ALL_STEPS)
    )
    assert (one.participations, every.participations) == (1, 400)
    assert every.median_similarity > one.median_similarity + 0.1


def test_an_audit_is_deterministic_under_fixed_generators() -> None:
    first, second, other = (
        audit(naive_step("trap", noise_multiplier=0.02, rng=rng(seed)), audit=terms(units=30, draws=2))
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first[0].outcome.median_similarity != other[0].outcome.median_similarity


@pytest.mark.parametrize("sabotage", ["wrong sign", "rows shuffled"])
def test_a_broken_read_out_fails_the_positive_control(sabotage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(gradients: NaiveGradients, *, flavour: str) -> np.ndarray:
        if sabotage == "wrong sign":
            return -read_out(gradients, flavour=flavour)
        order = rng(3).permutation(len(gradients.bias))
        return read_out(NaiveGradients(weight=gradients.weight[order], bias=gradients.bias), flavour=flavour)

    monkeypatch.setattr(imprint_trials, "read_out", broken)
    assert audit(naive_step("bins"))[0].outcome.positive_control.rate < 0.9


def test_a_control_on_hardly_any_unit_fails() -> None:
    """Two bins of a dozen units isolate nobody."""
    (found,) = audit(naive_step("bins", rows=2))
    assert found.isolated.successes == 0
    assert found.outcome.positive_control == type(found.isolated)(successes=0, trials=math.ceil(LEAST_ISOLATED * 30))


def test_the_negative_control_sees_strangers_who_look_alike() -> None:
    (found,) = audit(naive_step("trap"), similarities=(Similarity(above_null=None, at_least=0.1),))
    assert found.outcome.negative_control.rate > 0.8


def test_the_worst_stratum_is_counted_apart() -> None:
    """Noise is off, so that whoever is isolated is reached; the two strata are counted by the same units' results."""
    targets = Targets(sample=np.arange(30), worst=np.arange(28, 36))
    (both,) = audit(naive_step("trap"), targets=targets)
    swapped = Targets(sample=targets.worst, worst=targets.sample)
    (turned,) = audit(naive_step("trap"), targets=swapped)
    assert 0 < both.outcome.sample.successes < 30
    assert (both.outcome.sample, both.outcome.worst) == (turned.outcome.worst, turned.outcome.sample)


def test_each_definition_of_success_is_judged_by_its_own_null() -> None:
    strict, loose = (Similarity(above_null=None, at_least=level) for level in (0.99, 0.2))
    first, second = audit(naive_step("trap", noise_multiplier=0.02), similarities=(strict, loose))
    assert first.outcome.sample.successes < second.outcome.sample.successes
    assert (first.null.threshold, second.null.threshold) == (0.99, 0.2)


def test_processes_that_share_the_batches_find_what_one_finds() -> None:
    """Each holds its own batches' results and zeros elsewhere; their sum is what one process alone finds."""

    @dataclasses.dataclass
    class Half:
        index: int
        count: int = 2

        def seed(self) -> int:
            return 0

        def merged(self, values: np.ndarray) -> np.ndarray:
            return values

    attacked, train = naive_step("trap"), tiny_units(units=40, most_images=1)

    def drawn(ranks: object) -> np.ndarray:
        trials = ImprintTrials(
            step=attacked, train=train, held_out=train, units=np.arange(30), measures=("ncc",), ranks=ranks
        )
        return trials.draw(steps=range(1), rng=rng(), progress=lambda _: None)

    np.testing.assert_array_equal(drawn(Half(0)) + drawn(Half(1)), drawn(OneRank()))
    assert not drawn(Half(0)).all()


def test_batches_hold_every_target_once_among_random_companions() -> None:
    batches = deal(np.arange(0, 50, 2), of=200, size=10, rng=rng())
    assert [len(batch) for batch in batches] == [10, 10, 10]
    everyone = np.concatenate(batches)
    assert len(set(everyone)) == 30
    assert set(np.arange(0, 50, 2)) <= set(everyone)
    assert all((np.diff(batch) > 0).all() for batch in batches)
    assert [len(batch) for batch in deal(np.arange(7), of=7, size=5, rng=rng())] == [4, 3]


def test_images_are_compared_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    train, pieces = tiny_units(units=40), []
    candidates = directions(rng().standard_normal((6, 64)))

    def spy(*args: object, images: np.ndarray, **settings: object) -> np.ndarray:
        pieces.append(len(images))
        return best_similarities(*args, images=images, **settings)

    whole = unit_ncc(candidates, np.arange(40), train, np.full((1, 8, 8), 0.5))
    monkeypatch.setattr(rows_module, "_BATCH_VALUES", 64 * 5)
    monkeypatch.setattr(imprint_trials, "best_similarities", spy)
    np.testing.assert_allclose(unit_ncc(candidates, np.arange(40), train, np.full((1, 8, 8), 0.5)), whole)
    assert max(pieces) == 5


def test_by_ssim_the_closest_candidate_is_compared() -> None:
    images = tiny_units(units=3, most_images=1).images
    mean = np.full((1, 8, 8), 0.5)
    truths = centred(images, mean=mean)
    candidates = directions(np.concatenate((rng().standard_normal((4, 64)), 7.0 * truths)))
    found = closest(candidates, images=images, mean=mean)
    assert found.index.tolist() == [4, 5, 6]
    np.testing.assert_allclose(best_similarities(candidates, images=images, mean=mean, measure="ssim"), 1.0)


def test_an_adversary_with_candidates_is_not_played_by_this_attack() -> None:
    with pytest.raises(InvalidValueError, match="worst case"):
        audit(naive_step("bins"), adversary=WORST_CASE)


def test_an_outcome_bears_its_own_null() -> None:
    (found,) = audit(naive_step("bins"))
    with pytest.raises(InvalidValueError, match="null"):
        dataclasses.replace(found, null=dataclasses.replace(found.null, threshold=0.5))


# ── the null of many candidates ──────────────────────────────────────────────────────────────────────────────────


def strangers(candidates: int, *, units: int = 400, measure: str = "ncc", seed: int = 0) -> np.ndarray:
    return best_of_strangers(
        measure=measure,
        audited=tiny_units(units=units, most_images=1),
        units=np.arange(units),
        held_out=tiny_units(units=120, most_images=1, seed=1),
        candidates=candidates,
        rng=rng(seed),
    )


def test_one_candidate_has_the_null_of_one() -> None:
    single = null_similarities(
        measure="ncc",
        audited=tiny_units(units=400, most_images=1),
        units=np.arange(400),
        held_out=tiny_units(units=120, most_images=1, seed=1),
        rng=rng(9),
    )
    assert ks_2samp(strangers(1), single).pvalue > 0.01
    assert ks_2samp(strangers(4), single).pvalue < 1e-6


def test_the_best_of_more_strangers_is_closer() -> None:
    medians = [np.median(strangers(count)) for count in (1, 4, 16, 64)]
    assert medians == sorted(medians)
    assert medians[-1] > medians[0] + 0.1


@pytest.mark.parametrize("measure", ["ncc", "ssim"])
def test_the_best_of_all_strangers_is_that_of_a_loop(measure: str) -> None:
    train, held_out = tiny_units(units=6), tiny_units(units=9, most_images=1, seed=1)
    found = best_of_strangers(
        measure=measure, audited=train, units=np.arange(6), held_out=held_out, candidates=50, rng=rng()
    )
    mean = mean_image(held_out.images)
    others = centred(held_out.images, mean=mean)
    for unit in range(6):
        images = train.images[train.unit_of == unit]
        if measure == "ncc":
            best = max(naive_best(list(others), truth) for truth in centred(images, mean=mean))
        else:
            index = closest(directions(others), images=images, mean=mean).index
            best = max(ssim(images / 255.0, held_out.images[index] / 255.0))
        assert found[unit] == pytest.approx(best, abs=1e-9)


def test_a_fixed_threshold_stands_and_too_few_units_are_refused() -> None:
    arguments = {
        "audited": tiny_units(units=40, most_images=1),
        "units": np.arange(40),
        "held_out": tiny_units(units=50, most_images=1, seed=1),
        "candidates": 20,
        "confidence": 0.95,
    }
    fixed = calibrate_null_of_many(Similarity(above_null=None, at_least=0.5), **arguments, rng=rng())
    assert (fixed.threshold, fixed.quantile_low, fixed.units) == (0.5, 0.5, 40)
    with pytest.raises(DataError, match="too few"):
        calibrate_null_of_many(Similarity(above_null=0.01), **{**arguments, "units": np.arange(3)}, rng=rng())
    with pytest.raises(InvalidValueError, match="candidates"):
        strangers(0)


def test_the_flavours_are_those_of_the_training_stage() -> None:
    from gatekeeper.training import planted

    assert imprint.Flavour == planted.Flavour
