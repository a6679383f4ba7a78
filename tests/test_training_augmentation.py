"""Altered views: masks follow their images, and nothing depends on who else was sampled."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatekeeper.core.candidate import AugmentationSpec
from gatekeeper.training.augmentation import Alterations, altered_images, altered_masks, draw_alterations
from gatekeeper.training.views import ViewSource
from tests.reference.training_naive_augmentation import naive_moved, naive_sampled
from tests.tiny import tiny_segmentation_units, tiny_units

EVERYTHING = AugmentationSpec(flips=True, shift=2, rotation=40, scale=0.3, intensity=0.4)
MOTION = dataclasses.replace(EVERYTHING, intensity=0.0)
SPECS = {
    "none": AugmentationSpec(),
    "moves": AugmentationSpec(flips=True, shift=2),
    "turns": AugmentationSpec(rotation=180),
    "sizes": AugmentationSpec(scale=0.5),
    "light": AugmentationSpec(intensity=0.5),
    "everything": EVERYTHING,
}
SIZES = ((7, 9), (8, 8), (4, 7, 6), (5, 5, 5))
seeds = st.integers(0, 2**32)


def images_of(size: tuple[int, ...], *, count: int = 3, channels: int = 2, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, channels, *size)).astype(np.uint8))


def masks_of(size: tuple[int, ...], *, count: int = 3, seed: int = 0) -> Tensor:
    """Random coarse patches of classes 0, 1, 2."""
    coarse = np.random.default_rng(seed).integers(0, 3, (count, *(-(-side // 2) for side in size))).astype(np.uint8)
    for axis, side in enumerate(size, start=1):
        coarse = np.repeat(coarse, 2, axis=axis).take(range(side), axis=axis)
    return torch.from_numpy(coarse)


def fixed(
    count: int,
    axes: int,
    *,
    flips: bool = False,
    shift: int = 0,
    degrees: float = 0.0,
    factor: float = 1.0,
    contrast: float = 1.0,
    brightness: float = 0.0,
) -> Alterations:
    """The same alteration for every view."""
    angle = np.radians(degrees)
    return Alterations(
        flips=np.full((count, axes), flips),
        shifts=np.full((count, axes), shift),
        cosine=np.full(count, np.cos(angle) / factor),
        sine=np.full(count, np.sin(angle) / factor),
        factor=np.full(count, factor),
        contrast=np.full(count, contrast),
        brightness=np.full(count, brightness),
    )


def drawn(spec: AugmentationSpec, count: int, axes: int, *, seed: int = 0) -> Alterations:
    return draw_alterations(np.random.default_rng(seed), spec, shape=(count,), axes=axes)


@given(size=st.sampled_from(SIZES), seed=seeds)
def test_moves_are_those_of_numpy(size: tuple[int, ...], seed: int) -> None:
    images, how = images_of(size, seed=seed), drawn(SPECS["moves"], 3, len(size), seed=seed)
    found = altered_images(images, how, spec=SPECS["moves"]).numpy()
    for row, image in enumerate(images.numpy()):
        expected = naive_moved(image, flips=how.flips[row].tolist(), shifts=how.shifts[row].tolist())
        np.testing.assert_array_equal(found[row], expected.astype(np.float32) / np.float32(255))


@settings(max_examples=25)
@given(size=st.sampled_from(SIZES), seed=seeds, degrees=st.floats(-180, 180), factor=st.floats(0.5, 1.5))
def test_turns_and_sizes_agree_with_one_pixel_at_a_time(
    size: tuple[int, ...], seed: int, degrees: float, factor: float
) -> None:
    images, masks = images_of(size, seed=seed), masks_of(size, seed=seed)
    how = fixed(3, len(size), degrees=degrees, factor=factor)
    found = altered_images(images, how, spec=SPECS["turns"]).numpy()
    followed = altered_masks(masks, how, spec=SPECS["turns"]).numpy()
    for row in range(3):
        expected = naive_sampled(images[row].numpy() / 255, degrees=degrees, factor=factor, nearest=False)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-5)
        # Where a place lies halfway between two pixels, either is nearest: rounding decides.
        nudged = [
            naive_sampled(masks[row][None].numpy(), degrees=degrees + nudge, factor=factor * (1 + nudge), nearest=True)
            for nudge in (-1e-9, 0.0, 1e-9)
        ]
        assert (np.stack([followed[row] == each[0] for each in nudged]).any(axis=0)).all()


@given(size=st.sampled_from([(6, 6), (3, 6, 6)]), quarter=st.integers(-2, 2))
def test_quarter_turns_are_exact_and_anticlockwise(size: tuple[int, ...], quarter: int) -> None:
    images, masks = images_of(size), masks_of(size)
    how = fixed(3, len(size), degrees=90.0 * quarter)
    found = altered_images(images, how, spec=SPECS["turns"])
    torch.testing.assert_close(found, torch.rot90(images, quarter, (-2, -1)) / 255, rtol=0, atol=1e-6)
    assert torch.equal(altered_masks(masks, how, spec=SPECS["turns"]), torch.rot90(masks, quarter, (-2, -1)).long())


def test_a_turn_by_nothing_leaves_every_bit() -> None:
    for size in SIZES:
        images, how = images_of(size), fixed(3, len(size))
        expected = altered_images(images, how, spec=SPECS["none"])
        assert torch.equal(altered_images(images, how, spec=MOTION), expected)
        assert torch.equal(altered_masks(masks_of(size), how, spec=MOTION), masks_of(size).long())


@given(size=st.sampled_from(SIZES))
def test_mirroring_twice_changes_nothing(size: tuple[int, ...]) -> None:
    masks, how = masks_of(size), fixed(3, len(size), flips=True)
    once = altered_masks(masks, how, spec=SPECS["moves"])
    assert torch.equal(altered_masks(once.to(torch.uint8), how, spec=SPECS["moves"]), masks.long())
    assert torch.equal(once, masks.flip(tuple(range(1, masks.dim()))).long())


@settings(max_examples=50)
@given(size=st.sampled_from(SIZES), seed=seeds)
def test_a_mask_follows_its_image(size: tuple[int, ...], seed: int) -> None:
    """Drawn as an image, a class comes out where its mask says: the nearest pixel weighs 2^−axes or more."""
    masks, how = masks_of(size, seed=seed), drawn(MOTION, 3, len(size), seed=seed)
    followed = altered_masks(masks, how, spec=MOTION)
    least = 2.0 ** -len(size) - 1e-6
    for name in range(3):
        picture = altered_images(255 * (masks == name).to(torch.uint8).unsqueeze(1), how, spec=MOTION).squeeze(1)
        assert (picture[followed == name] >= least).all()
        assert (picture[followed != name] <= 1 - least).all()


@given(name=st.sampled_from(sorted(SPECS)), size=st.sampled_from(SIZES), seed=seeds)
def test_views_stay_between_black_and_white_and_masks_keep_their_classes(
    name: str, size: tuple[int, ...], seed: int
) -> None:
    extreme = (images_of(size, seed=seed) > 127).to(torch.uint8) * 255
    how = drawn(SPECS[name], 3, len(size), seed=seed)
    values = altered_images(extreme, how, spec=SPECS[name])
    assert values.dtype == torch.float32
    assert 0 <= float(values.min()) <= float(values.max()) <= 1
    followed = altered_masks(masks_of(size, seed=seed), how, spec=SPECS[name])
    assert followed.dtype == torch.int64
    assert set(followed.unique().tolist()) <= {0, 1, 2}


def test_contrast_turns_about_mid_grey_and_brightness_is_added() -> None:
    images = torch.tensor([[[[0, 51], [204, 255]]]], dtype=torch.uint8)
    how = fixed(1, 2, contrast=0.5, brightness=0.1)
    expected = torch.tensor([[[[0.35, 0.45], [0.75, 0.85]]]])
    torch.testing.assert_close(altered_images(images, how, spec=SPECS["light"]), expected)


def test_draws_fill_their_ranges_and_no_more() -> None:
    how = drawn(EVERYTHING, 4000, 3)
    degrees = np.degrees(np.arctan2(how.sine, how.cosine))
    for values, centre, reach in (
        (degrees, 0, 40),
        (how.factor, 1, 0.3),
        (how.contrast, 1, 0.4),
        (how.brightness, 0, 0.4),
    ):
        assert np.abs(values - centre).max() <= reach + 1e-9
        assert abs(values.mean() - centre) < 4 * reach / 3**0.5 / 4000**0.5
        assert np.abs(values - centre).max() > 0.99 * reach
    assert set(how.shifts.ravel().tolist()) == {-2, -1, 0, 1, 2}
    assert abs(how.flips.mean() - 0.5) < 4 * 0.5 / 12_000**0.5


def test_what_is_not_asked_for_stays_away() -> None:
    how = drawn(AugmentationSpec(rotation=40), 50, 2)
    assert not how.flips.any()
    assert not how.shifts.any()
    assert (how.factor == 1).all()
    assert (how.contrast == 1).all()
    assert (how.brightness == 0).all()
    assert np.unique(how.sine).size == 50


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("size", [(12, 12), (6, 10, 9)])
def test_a_units_views_do_not_depend_on_its_companions(name: str, size: tuple[int, ...]) -> None:
    """To the last bit, whoever else is sampled, and however many: a difference would be the others' trace."""
    data = tiny_segmentation_units(units=90, size=size)
    source = ViewSource(data, views=3, augmentation=SPECS[name], seed=1)
    for companions in ([5], [5, 6], [0, 5, 89], list(range(90)), [3, 4, 5, 60, 61, 62, 63, 64, 65, 66, 67]):
        slot = companions.index(5)
        views, alone = source.draw(4, np.array(companions)), source.draw(4, np.array([5]))
        assert torch.equal(views.images[3 * slot : 3 * slot + 3], alone.images)
        assert torch.equal(views.targets[3 * slot : 3 * slot + 3], alone.targets)


def test_no_unit_gives_no_view() -> None:
    for size in ((8, 8), (4, 8, 8)):
        data = tiny_segmentation_units(size=size)
        views = ViewSource(data, views=2, augmentation=EVERYTHING, seed=0).draw(0, np.array([], dtype=np.int64))
        assert views.images.shape == (0, 1, *size)
        assert views.targets.shape == (0, *size)


def test_views_change_with_step_and_seed() -> None:
    data = tiny_segmentation_units()
    first = ViewSource(data, views=1, augmentation=EVERYTHING, seed=0).draw(0, np.arange(12))
    for seed, step in ((0, 1), (1, 0)):
        other = ViewSource(data, views=1, augmentation=EVERYTHING, seed=seed).draw(step, np.arange(12))
        assert not torch.equal(first.images, other.images)
    again = ViewSource(data, views=1, augmentation=EVERYTHING, seed=0).draw(0, np.arange(12))
    assert torch.equal(first.images, again.images)


def test_targets_are_masks_where_there_are_some_and_classes_elsewhere() -> None:
    data = tiny_segmentation_units(units=8, most_images=1)
    views = ViewSource(data, views=1, augmentation=AugmentationSpec(), seed=0).draw(0, np.arange(8))
    np.testing.assert_array_equal(views.targets.numpy(), data.masks)
    classes = tiny_units(units=8, most_images=1)
    views = ViewSource(classes, views=1, augmentation=EVERYTHING, seed=0).draw(0, np.arange(8))
    assert views.targets.tolist() == classes.labels.tolist()


def test_whole_pixel_moves_keep_the_bits_that_they_always_had() -> None:
    data = tiny_units(units=10, side=12, channels=3)
    source = ViewSource(data, views=3, augmentation=AugmentationSpec(flips=True, shift=3), seed=7)
    digest = hashlib.sha256(source.draw(5, np.arange(10)).images.numpy().tobytes()).hexdigest()
    assert digest == "dcad26b6260404b9a2d31a5afcec85f0e5006d1747259285ce34120f779638fc"


@pytest.mark.gpu
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("size", [(12, 12), (6, 10, 9)])
def test_a_gpu_makes_the_same_bits(name: str, size: tuple[int, ...]) -> None:
    data = tiny_segmentation_units(units=40, size=size)
    here, there = (
        ViewSource(data, views=3, augmentation=SPECS[name], seed=1, device=torch.device(device)).draw(2, np.arange(40))
        for device in ("cpu", "cuda")
    )
    assert torch.equal(here.images, there.images.cpu())
    assert torch.equal(here.targets, there.targets.cpu())
