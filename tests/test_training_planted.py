from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import DataError, InvalidValueError, PrivacyError
from gatekeeper.training.networks import build
from gatekeeper.training.planted import GAIN, PlantedNetwork, plant
from gatekeeper.training.planted_step import PlantedStep
from gatekeeper.training.views import ViewSource
from tests.reference.dp_sgd_step import clipped_sum, norm, unit_gradients
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_segmentation_units, tiny_units

FLAVOURS = ("bins", "trap")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(flavour: str, *, rows: int = 12, batch: int = 8, channels: int = 1, gain: float = GAIN) -> PlantedNetwork:
    held_out = tiny_units(units=200, most_images=1, channels=channels, seed=1)
    network = build(tiny_candidate().model, image_shape=(channels, 8, 8), classes=2, seed=0)
    found = plant(flavour, held_out.images, rows=rows, batch=batch, generator=rng())
    return PlantedNetwork(network, rows=found, generator=rng(), gain=gain)


def pixels(*, images: int, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(tiny_units(units=images, most_images=1, channels=channels).images / 255.0).float()


def step(flavour: str, **settings: object) -> PlantedStep:
    data = tiny_units(units=24)
    arguments: dict[str, object] = {
        "candidate": tiny_candidate(),
        "plan": tiny_plan(),
        "card": tiny_card(data),
        "train": data,
        "held_out": tiny_units(units=60, seed=1),
        "flavour": flavour,
        "rows": 10,
        "batch": 6,
    }
    return PlantedStep(**{**arguments, **settings})


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_candidates_network_gives_what_it_gives_without_the_rows(flavour: str) -> None:
    network, images = planted(flavour, channels=3), pixels(images=9, channels=3)
    with torch.no_grad():
        assert torch.equal(network(images), network.network(images))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_active_rows_gradient_is_the_centred_image_times_its_bias_gradient(flavour: str) -> None:
    network, images = planted(flavour), pixels(images=6)
    for image, active in zip(images, network.active(images), strict=True):
        loss = network(image[None]).square().sum()
        weight, bias = torch.autograd.grad(loss, [network.imprint.weight, network.imprint.bias])
        assert active.any() or flavour == "trap"
        assert not weight[~active].any()
        assert not bias[~active].any()
        expected = bias[active][:, None] * (image - network.mean).flatten()
        torch.testing.assert_close(weight[active], expected, rtol=1e-6, atol=0)
        assert len(set(bias[active].tolist())) <= 1, "the slope is one for all rows"


def test_bins_hold_equal_shares_of_held_out_images() -> None:
    held_out = tiny_units(units=200, most_images=1, seed=1)
    network = planted("bins", rows=10)
    active = network.active(torch.from_numpy(held_out.images / 255.0).float()).numpy()
    assert active[:, 0].all(), "row 0 is active whatever the image"
    assert (np.diff(active.astype(int), axis=1) <= 0).all(), "the rows' thresholds rise"
    np.testing.assert_allclose(np.bincount(active.sum(1), minlength=11)[1:], 20, atol=2)


def test_row_zero_is_active_even_for_a_black_image() -> None:
    assert planted("bins").active(torch.zeros(1, 1, 8, 8))[0, 0]


def test_a_trap_row_is_activated_by_about_one_image_of_a_batch() -> None:
    held_out = tiny_units(units=200, most_images=1, seed=1)
    active = planted("trap", rows=40, batch=20).active(torch.from_numpy(held_out.images / 255.0).float())
    np.testing.assert_allclose(active.double().mean(0), 1 / 20, atol=0.006)
    others = planted("trap", rows=40, batch=20).active(pixels(images=400))
    assert others.double().mean() == pytest.approx(1 / 20, abs=0.02)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rows_outweigh_the_network_by_the_gain(flavour: str) -> None:
    """So the clip is spent on the rows; with a small gain it is spent on the network."""
    for gain, low, high in ((GAIN, 0.999, 1.0), (1e-6, 0.0, 0.01)):
        network, images = planted(flavour, gain=gain), pixels(images=20)
        lit = images[network.active(images).any(1)][:4]
        for image in lit:
            loss = network(image[None]).square().sum()
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            share = float(torch.cat([g.flatten() for g in gradients[:2]]).norm()) / norm(list(gradients))
            assert low <= share <= high


@pytest.mark.parametrize("gain", [GAIN, 0.25], ids=["rows alone are long", "rows and network are long"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_silent_step_is_the_slow_clipped_mean(flavour: str, gain: float) -> None:
    """Whole-gradient clip, per unit, the mean over its views: against autograd, one view at a time, in float64."""
    attacked, data, units = step(flavour, gain=gain), tiny_units(units=24), np.array([1, 4, 9, 12, 20])
    spec, plan = tiny_candidate().training, tiny_plan()
    views = ViewSource(data, views=spec.views, augmentation=type(spec.augmentation)(), seed=spec.seed).draw(3, units)
    network = attacked._network
    found = attacked.silent(units, step=3)
    attacked.close()
    expected = clipped_sum(network, views, views=spec.views, clipping_norm=plan.clipping_norm)
    scale = float(expected[0].abs().max()) / plan.divisor
    np.testing.assert_allclose(found.weight, expected[0] / plan.divisor, rtol=0, atol=2e-3 * scale)
    np.testing.assert_allclose(found.bias, expected[1] / plan.divisor, rtol=2e-3, atol=2e-3 * scale)
    whole = unit_gradients(network, views, views=spec.views)
    rows_share = [norm(gradient[:2]) / norm(gradient) for gradient in whole if norm(gradient[:2])]
    assert (max(rows_share) < 0.99) == (gain < GAIN), "only with the smaller gain the network's part is seen"


def test_the_engine_takes_every_planted_layer_apart_by_itself() -> None:
    assert not [name for name in step("bins")._engine.hooked if name.startswith("imprint")]


def test_the_noise_is_that_of_the_mechanism() -> None:
    attacked, units, plan = step("bins", plan=tiny_plan(sigma=0.3)), np.arange(6), tiny_plan(sigma=0.3)
    deviation = plan.mechanism.noise_multiplier * plan.clipping_norm / plan.divisor
    spread = float(np.std(attacked.observe(units, steps=range(1)).weight - attacked.silent(units, step=0).weight))
    assert spread == pytest.approx(deviation, rel=0.12)
    assert spread != pytest.approx(deviation * 1.5, rel=0.12)


def test_several_steps_are_averaged() -> None:
    single = tiny_units(units=24, most_images=1)
    attacked, units = step("bins", train=single, card=tiny_card(single), plan=tiny_plan(sigma=0.3)), np.arange(6)
    clean = attacked.silent(units, step=0).weight
    one, many = (float(np.std(attacked.observe(units, steps=range(k)).weight - clean)) for k in (1, 16))
    assert one / many == pytest.approx(4, rel=0.25)


def test_steps_without_noise_are_deterministic_and_noise_is_not() -> None:
    first, second, units = step("trap"), step("trap"), np.arange(6)
    np.testing.assert_array_equal(first.silent(units, step=2).weight, second.silent(units, step=2).weight)
    once, twice = (first.observe(units, steps=range(1)).weight for _ in range(2))
    assert not np.array_equal(once, twice)


def test_activations_name_the_image_of_each_view() -> None:
    attacked, data, units = step("bins"), tiny_units(units=24), np.array([0, 3, 5])
    found = attacked.activations(units, step=1)
    assert found.active.shape == (6, 10)
    assert set(data.unit_of[found.image].reshape(3, 2)[:, 0]) == set(units)
    shown = torch.from_numpy(data.images[found.image] / 255.0).float()
    np.testing.assert_array_equal(found.active, attacked._network.active(shown).numpy())


def test_views_are_augmented_on_demand_only() -> None:
    units = np.arange(6)
    plain, augmented = (step("bins", augmented=flag).silent(units, step=0).weight for flag in (False, True))
    assert not np.allclose(plain, augmented)


def test_a_batch_has_no_more_units_than_there_are_rows_unless_asked_for() -> None:
    assert [step("bins", rows=rows, batch=batch).batch for rows, batch in ((3, None), (9, None), (3, 6))] == [3, 4, 6]


@pytest.mark.parametrize(
    "model", [ModelSpec(network="mlp", width=16), ModelSpec(network="resnet9", width=4, trainable=("head.*",))]
)
def test_rows_come_first_whatever_of_the_network_is_trained(model: ModelSpec) -> None:
    """One unit's clipped gradient is spent on the rows that it activates: together they are as long as C."""
    single = tiny_units(units=24, most_images=1)
    candidate = dataclasses.replace(tiny_candidate(views=1), model=model)
    attacked = step("bins", candidate=candidate, train=single, card=tiny_card(single))
    seen, found = attacked.silent(np.array([5]), step=0), attacked.activations(np.array([5]), step=0)
    length = math.hypot(float(np.linalg.norm(seen.weight)), float(np.linalg.norm(seen.bias))) * tiny_plan().divisor
    assert length == pytest.approx(tiny_plan().clipping_norm, rel=2e-3)
    assert (np.abs(seen.bias) > 0).tolist() == found.active[0].tolist()


def test_volumes_go_through_a_segmentation_network() -> None:
    data = tiny_segmentation_units(units=12, size=(8, 8, 8), most_images=1)
    attacked = step(
        "bins",
        candidate=dataclasses.replace(tiny_candidate(views=1), model=ModelSpec(network="unet3d", width=4)),
        card=tiny_card(data),
        train=data,
        held_out=tiny_segmentation_units(units=30, size=(8, 8, 8), seed=1),
    )
    assert attacked.observe(np.arange(6), steps=range(2)).weight.shape == (10, 512)


@pytest.mark.parametrize("clipping", ["automatic", "adaptive"])
def test_other_rules_of_clipping_are_the_runs_own(clipping: str) -> None:
    """Each step begins with the first norm, so that steps are noised alike."""
    plan = dataclasses.replace(tiny_plan(sigma=0.05), clipping=clipping, clipping_norm=1.0)
    attacked, units = step("bins", plan=plan), np.arange(6)
    clean = attacked.silent(units, step=0).weight
    for _ in range(2):
        spread = float(np.std(attacked.observe(units, steps=range(1)).weight - clean))
        assert spread == pytest.approx(0.05 / plan.divisor, rel=0.15)


def test_what_cannot_be_planted_is_refused() -> None:
    images = tiny_units(units=20, most_images=1).images
    with pytest.raises(InvalidValueError, match="flavour"):
        plant("spectrum", images, rows=4, batch=4, generator=rng())
    with pytest.raises(InvalidValueError, match="rows"):
        plant("bins", images, rows=1, batch=4, generator=rng())
    with pytest.raises(InvalidValueError, match="batch"):
        plant("trap", images, rows=4, batch=1, generator=rng())
    with pytest.raises(DataError, match="got 1"):
        plant("bins", images[:1], rows=4, batch=4, generator=rng())
    with pytest.raises(DataError, match="equally bright"):
        plant("bins", np.zeros_like(images), rows=4, batch=4, generator=rng())
    for gain in (0.0, 2.0**25):
        with pytest.raises(InvalidValueError, match="gain"):
            planted("bins", gain=gain)
    with pytest.raises(DataError, match="shape"):
        step("bins", held_out=tiny_units(units=9, channels=3))
    with pytest.raises(PrivacyError):
        step("bins", plan=tiny_plan(sigma=1e-11))
    with pytest.raises(InvalidValueError, match="steps"):
        step("bins").observe(np.arange(3), steps=range(0))
