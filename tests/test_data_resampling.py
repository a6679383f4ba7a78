"""Other grids: against scipy, Pillow and a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from gatekeeper.data.resampling import Grid, fitted, linear, nearest, picture, plan_grid, stacked, taps, volume
from gatekeeper.data.windows import Window, own_window, rounded
from gatekeeper.errors import DataError
from tests.reference import naive_resample, naive_resize
from tests.scans import as_grey

sides = st.integers(1, 12)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape)


@settings(max_examples=30)
@given(count=sides, side=sides)
def test_weights_are_positive_sum_to_one_and_lie_within_the_image(count: int, side: int) -> None:
    for own in taps(count, side):
        assert min(own.weights) > 0
        assert sum(own.weights) == pytest.approx(1)
        assert 0 <= own.first <= own.first + len(own.weights) <= count


@settings(max_examples=30)
@given(count=sides, side=sides)
def test_weights_are_mirrored_with_the_image(count: int, side: int) -> None:
    for own, mirrored in zip(taps(count, side), reversed(taps(count, side)), strict=True):
        assert count - own.first - len(own.weights) == mirrored.first
        assert own.weights == pytest.approx(mirrored.weights[::-1])


def test_the_same_size_changes_nothing() -> None:
    plane = noise(5, 7)
    assert np.array_equal(linear(plane, (5, 7)), plane)


@pytest.mark.parametrize(("shape", "to"), [((5, 7), (9, 20)), ((6, 5), (6, 11)), ((1, 3), (4, 3))])
def test_enlarged_planes_are_scipys(shape: tuple[int, int], to: tuple[int, int]) -> None:
    plane = noise(*shape)
    zoom = [side / count for side, count in zip(to, shape, strict=True)]
    assert np.allclose(linear(plane, to), ndimage.zoom(plane, zoom, order=1, grid_mode=True, mode="nearest"))


@pytest.mark.parametrize(("shape", "to"), [((12, 9), (5, 4)), ((8, 8), (4, 3)), ((12, 4), (5, 9))])
def test_reduced_planes_are_averages_as_pillow_takes_them(shape: tuple[int, int], to: tuple[int, int]) -> None:
    plane = noise(*shape)
    image = Image.fromarray(plane.astype(np.float32)).resize(to[::-1], Image.Resampling.BILINEAR)
    assert np.allclose(linear(plane, to), np.asarray(image), atol=1e-4)
    bytes_ = plane.astype(np.uint8)
    slow = naive_resize.resize(bytes_, height=to[0], width=to[1])
    assert np.allclose(linear(bytes_.astype(float), to), slow)


def test_enlarged_volumes_are_scipys_and_the_slow_twins() -> None:
    values, to = noise(3, 4, 5), (5, 6, 8)
    planes = (linear(plane, (6, 8)) for plane in values)
    found = stacked(planes, count=3, depth=5)
    zoom = [side / count for side, count in zip(to, values.shape, strict=True)]
    assert np.allclose(found, ndimage.zoom(values, zoom, order=1, grid_mode=True, mode="nearest"))
    assert np.allclose(found, naive_resample.trilinear(values, to))


@settings(max_examples=30)
@given(shape=st.tuples(sides, sides, sides), to=st.tuples(sides, sides, sides))
def test_the_nearest_voxel_is_scipys(shape: tuple[int, int, int], to: tuple[int, int, int]) -> None:
    mask = np.random.default_rng(1).integers(0, 9, shape).astype(np.uint8)
    zoom = [side / count for side, count in zip(to, shape, strict=True)]
    expected = ndimage.zoom(mask, zoom, order=0, grid_mode=True, mode="nearest")
    found = nearest(mask, to)
    assert found.shape == to
    assert set(found.ravel()) <= set(mask.ravel())
    if expected.shape == to:  # scipy rounds its own idea of the size
        centres = [(np.arange(side) + 0.5) * count / side - 0.5 for side, count in zip(to, shape, strict=True)]
        clear = np.ix_(*[np.abs(centre % 1 - 0.5) > 1e-9 for centre in centres])  # of two as near either will do
        assert np.array_equal(found[clear], expected[clear])


def test_a_pile_may_be_cut_and_padded() -> None:
    array = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    assert fitted(array, (1, 2)).tolist() == [[6, 7]]
    assert fitted(array, (5, 4)).tolist() == [[0] * 4, *array.tolist(), [0] * 4]
    assert fitted(array, (3, 4)).tolist() == array.tolist()


def test_a_grid_keeps_the_field_of_view() -> None:
    make = {"wanted": (2.0, 1.0), "size": None, "where": "x"}
    assert plan_grid((10, 10), spacing=(1.0, 0.75), **make) == Grid(resampled=(5, 8), size=(5, 8))  # type: ignore[arg-type]
    make |= {"size": (4, 12)}
    assert plan_grid((10, 10), spacing=(1.0, 0.75), **make) == Grid(resampled=(5, 8), size=(4, 12))  # type: ignore[arg-type]
    make |= {"wanted": None}
    assert plan_grid((10, 10), spacing=None, **make) == Grid(resampled=(4, 12), size=(4, 12))  # type: ignore[arg-type]


@pytest.mark.parametrize(("spacing", "says"), [(None, "doesn't say its spacing"), ((9e9, 9e9), "the limit is")])
def test_a_spacing_that_can_not_be_had_is_refused(spacing: tuple[float, float] | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        plan_grid((64, 64), spacing=spacing, wanted=(0.1, 0.1), size=None, where="a.nii")
    assert caught.value.where == "a.nii"
    assert caught.value.hint


def test_a_window_maps_clips_and_rounds_halves_up() -> None:
    values = np.array([-3024.0, -100.0, -99.6, 0.0, 100.0, 3000.0])
    assert rounded(Window(low=-100, high=100).grey(values)).tolist() == [0, 0, 1, 128, 255, 255]


@settings(max_examples=30)
@given(st.integers(-1000, 1000), st.integers(1, 2000))
def test_a_window_is_its_definition(low: int, width: int) -> None:
    values = np.arange(-1200, 3200, 7)
    assert np.array_equal(
        rounded(Window(low=low, high=low + width).grey(values * 1.0)), as_grey(values, low, low + width)
    )


def test_bytes_go_through_their_own_window_unchanged() -> None:
    values = np.arange(256, dtype=np.float64)
    assert rounded(Window(low=0, high=255).grey(values)).tolist() == list(range(256))


def test_an_image_gives_its_own_window() -> None:
    values = np.arange(1001)
    assert own_window(values, slope=1, intercept=0, where="x") == Window(low=5, high=995)
    assert own_window(values, slope=-2, intercept=10, where="x") == Window(low=10 - 1990, high=0)
    for flat in (np.zeros(10), np.zeros(0)):
        with pytest.raises(DataError):
            own_window(flat, slope=1, intercept=0, where="x")


def test_pictures_and_volumes_are_brought_to_their_size() -> None:
    grid = Grid(resampled=(3, 4, 5), size=(4, 4, 4))
    assert volume(iter(noise(6, 8, 8)), grid, count=6).shape == (4, 4, 4)
    assert picture(noise(8, 8), Grid(resampled=(6, 6), size=(4, 8))).shape == (4, 8)
