from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from gatekeeper.core.candidate import LOSSES, AugmentationSpec, OptimizerSpec, TrainingSpec
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import PrivacyError
from gatekeeper.training import loop as loop_module
from gatekeeper.training import measure_step, train, train_twin
from gatekeeper.training.clipping import isolation
from gatekeeper.training.grid import choose_grid
from gatekeeper.training.losses import loss_of
from gatekeeper.training.networks import build
from gatekeeper.training.noise import add_noise, from_grid
from gatekeeper.training.optimizer import MasterWeights, learning_rate_factor
from gatekeeper.training.sampling import batches
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.views import ViewSource
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_segmentation_units, tiny_units


def _mechanism(sampling: str, *, batches_per_epoch: int, steps: int) -> Mechanism:
    return Mechanism(
        sampling=sampling,
        sampling_rate=1 / batches_per_epoch,
        noise_multiplier=1.0,
        steps=steps,
        adjacency="zero-out",
        unit="image",
    )


def test_balls_and_bins_use_each_unit_once_an_epoch() -> None:
    mechanism = _mechanism("balls-and-bins", batches_per_epoch=5, steps=20)
    drawn = list(batches(mechanism, units=40, stream=SecretStream()))
    assert len(drawn) == 20
    for epoch in range(4):
        together = np.concatenate(drawn[5 * epoch : 5 * epoch + 5])
        assert sorted(together) == list(range(40))


def test_balls_and_bins_differ_from_epoch_to_epoch() -> None:
    mechanism = _mechanism("balls-and-bins", batches_per_epoch=5, steps=10)
    drawn = list(batches(mechanism, units=100, stream=SecretStream()))
    assert any(list(a) != list(b) for a, b in zip(drawn[:5], drawn[5:], strict=True))


def _rates_match(counts: np.ndarray, *, trials: int, rate: float) -> bool:
    """Whether counts of units over many steps fit a binomial, by its mean and variance (6 standard errors)."""
    mean_error = abs(counts.mean() / trials - rate) / np.sqrt(rate * (1 - rate) / (trials * len(counts)))
    ratio = counts.var() / (trials * rate * (1 - rate))
    return bool(mean_error < 6 and abs(ratio - 1) < 6 * np.sqrt(2 / len(counts)))


def test_poisson_takes_each_unit_at_the_rate_and_a_wrong_rate_is_noticed() -> None:
    mechanism = _mechanism("poisson", batches_per_epoch=20, steps=2000)
    counts = np.zeros(500)
    for units in batches(mechanism, units=500, stream=SecretStream()):
        counts[units] += 1
    assert _rates_match(counts, trials=2000, rate=0.05)
    assert not _rates_match(counts, trials=2000, rate=0.0525)
    assert not _rates_match(np.full(500, 100.0), trials=2000, rate=0.05), "fixed-size sampling is noticed"


def test_poisson_batches_may_be_empty() -> None:
    mechanism = _mechanism("poisson", batches_per_epoch=50, steps=300)
    sizes = [len(units) for units in batches(mechanism, units=2, stream=SecretStream())]
    assert 0 in sizes
    assert len(sizes) == 300


def _is_normal(sample: np.ndarray, deviation: float) -> bool:
    """Whether a sample's spread fits N(0, deviation²): its mean square within 6 standard errors."""
    ratio = float(np.mean(sample**2)) / deviation**2
    return abs(ratio - 1) < 6 * np.sqrt(2 / sample.size)


def test_noise_has_the_stated_scale_and_neither_two_thirds_nor_three_halves_of_it() -> None:
    grid = choose_grid(noise_multiplier=0.5, clipping_norm=0.6, units=10, block=10, parameters=10_077)
    zeros = [torch.zeros(200, 50, dtype=torch.int64), torch.zeros(77, dtype=torch.int64)]
    noise = from_grid(add_noise(zeros, grid=grid, stream=SecretStream()), grid=grid)
    assert [n.shape for n in noise] == [(200, 50), (77,)]
    sample = torch.cat([n.flatten() for n in noise]).numpy()
    assert _is_normal(sample, 0.3)
    assert not _is_normal(sample, 0.2)
    assert not _is_normal(sample, 0.45)
    assert abs(np.corrcoef(sample[:5000], sample[5000:10000])[0, 1]) < 0.08


def test_noise_moves_a_sum_by_whole_steps_and_not_otherwise() -> None:
    """The same draw on another sum: the sums' difference comes through exactly, be they small or large."""
    grid = choose_grid(noise_multiplier=1e-7, clipping_norm=1.0, units=10**4, block=64, parameters=10)
    sums = [torch.tensor([0, 1, -5, 2**61, -(2**61)])]
    noisy = add_noise([sums[0].clone()], grid=grid, stream=SecretStream())[0]
    assert noisy.dtype == torch.int64
    assert not torch.equal(noisy, sums[0])
    assert all(abs(int(n) - int(s)) < 16 * grid.noise_scale for n, s in zip(noisy, sums[0], strict=True))


def test_the_loop_adds_noise_of_sigma_times_c_to_every_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production's own noise, seen through the loop: updates are recorded, gradients are clipped to nothing."""
    data = tiny_units(units=6)
    seen: list[np.ndarray] = []

    class Recorder(MasterWeights):
        def update(self, gradients: list[torch.Tensor]) -> None:
            seen.append(torch.cat([g.flatten() for g in gradients]).numpy())
            super().update(gradients)

    monkeypatch.setattr(loop_module, "MasterWeights", Recorder)
    plan = tiny_plan(sigma=1e4, steps=5)  # noise of 5000 against sums of at most 3
    train(candidate=tiny_candidate(), plan=plan, card=tiny_card(data), data=data, on_step=lambda _: None)
    expected = 1e4 * plan.clipping_norm / plan.divisor
    assert len(seen) == 5
    assert all(_is_normal(noise, expected) for noise in seen)
    assert not any(_is_normal(noise, expected * 2 / 3) for noise in seen)
    assert not any(_is_normal(noise, expected * 3 / 2) for noise in seen)
    for one, other in itertools.combinations(seen, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2, "each step draws fresh noise"


def test_the_record_counts_the_steps_that_ran_empty_ones_included() -> None:
    data = tiny_units(units=2)
    told: list[int] = []
    plan = tiny_plan(steps=9, sampling="poisson")
    trained = train(candidate=tiny_candidate(), plan=plan, card=tiny_card(data), data=data, on_step=told.append)
    assert told == list(range(1, 10))
    assert trained.record.mechanism == plan.mechanism
    assert "not stored" in trained.record.noise_generator
    assert "sums and noise are whole multiples of 2^-25;" in trained.record.arithmetic
    assert "do not depend on companions (checked" in trained.record.arithmetic
    assert trained.record.precision == "float32"
    assert "bfloat16" not in trained.record.arithmetic


def test_a_run_whose_units_disturb_each_other_says_that_it_went_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "companions_matter", lambda *_, **__: True)
    data = tiny_units(units=4)
    trained = train(
        candidate=tiny_candidate(), plan=tiny_plan(), card=tiny_card(data), data=data, on_step=lambda _: None
    )
    assert "one unit at a time" in trained.record.arithmetic


def test_noise_too_small_to_be_carried_is_refused_before_the_first_step() -> None:
    data = tiny_units(units=10_000, most_images=1)
    told: list[int] = []
    settings = {"candidate": tiny_candidate(), "card": tiny_card(data), "plan": tiny_plan(sigma=1e-12)}
    with pytest.raises(PrivacyError, match="can't be added exactly"):
        train(data=data, on_step=told.append, **settings)
    with pytest.raises(PrivacyError, match="can't be added exactly"):
        measure_step(**settings)
    assert told == []


def test_the_smallest_noise_that_can_be_carried_still_has_its_scale() -> None:
    grid = choose_grid(noise_multiplier=1.3e-10, clipping_norm=0.5, units=1000, block=1, parameters=5000)
    assert 2**10 <= grid.noise_scale < 2**11
    sums = [torch.full((5000,), 1000 * int(0.5 / grid.step))]
    noise = (add_noise([sums[0].clone()], grid=grid, stream=SecretStream())[0] - sums[0]).double().numpy() * grid.step
    assert _is_normal(noise, 0.65e-10)
    assert not _is_normal(noise, 0.43e-10)
    assert not _is_normal(noise, 0.97e-10)


def test_two_runs_draw_different_noise() -> None:
    data = tiny_units(units=4)
    digests = {
        train(
            candidate=tiny_candidate(), plan=tiny_plan(), card=tiny_card(data), data=data, on_step=lambda _: None
        ).record.weights_digest
        for _ in range(2)
    }
    assert len(digests) == 2


def test_the_twin_learns_what_the_network_can_learn() -> None:
    data = tiny_units(units=24)
    candidate = tiny_candidate(epochs=20, optimizer=OptimizerSpec(name="nadam", lr=5e-3))
    plan = tiny_plan(steps=60)
    twin = train_twin(candidate=candidate, plan=plan, card=tiny_card(data), data=data, on_step=lambda _: None)
    with torch.no_grad():
        predicted = twin(torch.from_numpy(data.images).float() / 255).argmax(1).numpy()
    assert (predicted == data.labels).mean() > 0.9


def test_training_time_is_estimated_without_the_data() -> None:
    data = tiny_units()
    cost = measure_step(candidate=tiny_candidate(), plan=tiny_plan(), card=tiny_card(data))
    assert cost.seconds > 0
    assert (cost.views, cost.gpu_bytes) == (8, None)
    assert 0 < cost.trained <= cost.parameters


def test_a_units_views_do_not_depend_on_who_else_was_sampled() -> None:
    data = tiny_units(units=10, side=12)
    source = ViewSource(data, views=3, augmentation=AugmentationSpec(flips=True, shift=3), seed=1)
    together, alone = source.draw(4, np.array([1, 3, 7])), source.draw(4, np.array([3]))
    torch.testing.assert_close(together.images[3:6], alone.images, rtol=0, atol=0)
    assert together.targets[3:6].tolist() == alone.targets.tolist()


def test_views_change_from_step_to_step() -> None:
    data = tiny_units(units=4, side=12)
    source = ViewSource(data, views=2, augmentation=AugmentationSpec(flips=True, shift=3), seed=1)
    assert not torch.equal(source.draw(0, np.arange(4)).images, source.draw(1, np.arange(4)).images)


def test_a_unit_with_as_many_images_as_views_shows_each_once() -> None:
    data = tiny_units(units=30, most_images=3, side=4)
    source = ViewSource(data, views=3, augmentation=AugmentationSpec(), seed=1)
    drawn = (source.draw(0, np.arange(30)).images.numpy() * 255).round().astype(np.uint8).reshape(30, 3, -1)
    for unit in np.flatnonzero(np.bincount(data.unit_of) == 3):
        own = {image.tobytes() for image in data.images[data.unit_of == unit]}
        assert {view.tobytes() for view in drawn[unit]} == own


def test_without_augmentation_a_view_is_the_image_itself() -> None:
    data = tiny_units(units=5, most_images=1)
    drawn = ViewSource(data, views=1, augmentation=AugmentationSpec(), seed=0).draw(0, np.arange(5))
    np.testing.assert_array_equal((drawn.images.numpy() * 255).round().astype(np.uint8), data.images)


def test_shifts_move_whole_images_within_reach() -> None:
    data = tiny_units(units=40, most_images=1, side=9)
    drawn = ViewSource(data, views=1, augmentation=AugmentationSpec(shift=2), seed=0).draw(0, np.arange(40))
    images = (drawn.images.numpy() * 255).round().astype(np.uint8)
    padded = np.pad(data.images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    offsets = set()
    for image, source in zip(images, padded, strict=True):
        matches = [(y, x) for y in range(5) for x in range(5) if np.array_equal(image, source[:, y : y + 9, x : x + 9])]
        assert matches, "every view is its image, moved by at most 2 pixels"
        offsets.add(matches[0])
    assert len(offsets) > 5


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam"])
def test_float64_master_weights_keep_updates_that_float32_would_lose(name: str) -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    spec = TrainingSpec(
        epochs=1,
        expected_batch=1,
        clipping_norm=1.0,
        optimizer=OptimizerSpec(name=name, lr=1e-9, momentum=0.0 if name == "sgd" else None),
        schedule="constant",
    )
    weights = MasterWeights(network, spec=spec, steps=1000)
    for _ in range(1000):
        weights.update([torch.ones(1, 1, dtype=torch.float64)])
    weights.release()
    assert float(network.weight.detach()) == pytest.approx(1 - 1e-6, abs=2e-7)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    spec = TrainingSpec(
        epochs=1,
        expected_batch=1,
        clipping_norm=1.0,
        optimizer=OptimizerSpec(name="sgd", lr=1.0),
        schedule="cosine",
        warmup=0.1,
    )
    factors = [learning_rate_factor(step, steps=100, spec=spec) for step in range(100)]
    assert factors[0] < 0.2
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 0.01
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_the_moving_average_is_what_is_released() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    optimizer = OptimizerSpec(name="sgd", lr=1.0, momentum=0.0)
    spec = TrainingSpec(
        epochs=1, expected_batch=1, clipping_norm=1.0, optimizer=optimizer, schedule="constant", ema=0.9
    )
    weights = MasterWeights(network, spec=spec, steps=40)
    for _ in range(40):
        weights.update([torch.ones(1, 1, dtype=torch.float64)])
    live = float(network.weight.detach())
    weights.release()
    assert live + 3 < float(network.weight.detach()) < live + 12


def test_the_twin_learns_masks_by_the_loss_that_the_candidate_names() -> None:
    """One SGD step on all units with every loss: the weights move against the gradient of the units' mean loss."""
    data = tiny_segmentation_units(units=8, most_images=1)
    card = tiny_card(data)
    plan = dataclasses.replace(
        tiny_plan(divisor=8), mechanism=dataclasses.replace(tiny_plan().mechanism, sampling_rate=1.0, steps=1)
    )
    model = ModelSpec(network="unet", width=4)
    pixels, masks = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.masks).long()
    for name in LOSSES:
        recipe = tiny_candidate(
            views=1,
            augmentation=AugmentationSpec(),
            optimizer=OptimizerSpec(name="sgd", lr=0.1, momentum=0.0),
            schedule="constant",
        )
        candidate = dataclasses.replace(
            recipe,
            model=model,
            data=dataclasses.replace(recipe.data, format="phantom-abdomen"),
            training=dataclasses.replace(recipe.training, loss=name),
        )
        twin = train_twin(candidate=candidate, plan=plan, card=card, data=data, on_step=lambda _: None)
        network = build(model, image_shape=(1, 8, 8), classes=3, seed=0, task="segmentation")
        loss = loss_of(candidate.training, "segmentation")(network(pixels), masks).sum() / 8
        parameters = list(network.parameters())
        for moved, start, gradient in zip(
            twin.parameters(), parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            torch.testing.assert_close(moved, start - 0.1 * gradient, rtol=1e-3, atol=1e-5)
