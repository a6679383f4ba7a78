from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gatekeeper.training import noise as noise_module
from gatekeeper.training.grid import Grid
from gatekeeper.training.noise import add_noise
from gatekeeper.training.secret_stream import SecretStream

GRID = Grid(step=1.0, radius=1.0, noise_scale=2.0**40)
SHAPES = [(3, 5), (0,), (1,), (), (40, 7), (10,), (20,)]


@pytest.fixture
def three_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("at_once", [1, 7, 10, 1 << 19])
def test_each_coordinate_of_every_sum_gets_a_draw_of_its_own(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(noise_module, "_AT_ONCE", at_once)
    noisy = add_noise([torch.zeros(shape, dtype=torch.int64) for shape in SHAPES], grid=GRID, stream=SecretStream())
    assert [tuple(sum_.shape) for sum_ in noisy] == SHAPES
    drawn = torch.cat([sum_.flatten() for sum_ in noisy]).numpy() / 2.0**40
    assert len(np.unique(drawn)) == len(drawn)
    assert abs(np.mean(drawn**2) - 1) < 7 * np.sqrt(2 / len(drawn))  # fails once in 10⁹ by chance


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("at_once", [1, 7, 10, 1 << 19])
def test_noise_is_added_in_order_and_exactly(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """With draws that count upwards in each batch, every coordinate's sum and draw can be told apart."""
    monkeypatch.setattr(noise_module, "_AT_ONCE", at_once)
    monkeypatch.setattr(noise_module, "rounded_normals", lambda count, **_: np.arange(count, dtype=np.int64))
    sums = [torch.randint(-(2**61), 2**61, shape) for shape in SHAPES]
    noisy = add_noise([sum_.clone() for sum_ in sums], grid=GRID, stream=SecretStream())
    added = torch.cat([(after - before).flatten() for after, before in zip(noisy, sums, strict=True)])
    assert added.tolist() == [place % at_once for place in range(len(added))]


def test_contiguous_sums_are_overwritten_and_others_still_get_their_noise() -> None:
    plain, turned = torch.zeros(30, dtype=torch.int64), torch.zeros((5, 6), dtype=torch.int64).T
    noisy = add_noise([plain, turned], grid=GRID, stream=SecretStream())
    assert noisy[0].data_ptr() == plain.data_ptr()
    assert noisy[1].shape == (6, 5)
    assert all((sum_ != 0).all() for sum_ in noisy)


def test_nothing_is_added_to_nothing() -> None:
    assert add_noise([], grid=GRID, stream=SecretStream()) == []


def test_a_fault_in_a_thread_is_raised() -> None:
    class Failing(SecretStream):
        def fill(self, words: np.ndarray) -> None:
            raise OSError("no bits")

    with pytest.raises(OSError, match="no bits"):
        add_noise([torch.zeros(3, dtype=torch.int64)], grid=GRID, stream=Failing())
