"""Gaussian noise for sums on a grid: whole numbers, distributed exactly as a rounded Gaussian, added exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.training.exact_normal import rounded_normals
from gatekeeper.training.grid import Grid
from gatekeeper.training.secret_stream import SecretStream

# Numbers drawn in one go: so many that calls cost nothing, so few that the memory is had again without a page fault.
_AT_ONCE = 1 << 19


def add_noise(sums: list[Tensor], *, grid: Grid, stream: SecretStream) -> list[Tensor]:
    """Each sum plus an independent round(s·Z) in every coordinate: the noisy sums that are released.

    As many threads as torch has draw at once, on the CPU wherever the sums are.

    Args:
        sums: in steps of the grid, int64. They are overwritten, unless they have to be copied anyhow: what is exact
            should not outlive the noise, and fresh memory would cost as much as the draws.
        grid: its `noise_scale` is s.
        stream: this run's, and only for noise.

    Returns:
        In steps of the grid, int64, of the same shapes and on the same devices.
    """
    noisy = [sum_.cpu().contiguous() for sum_ in sums]
    batches = list(_batches(sum_.view(-1).numpy() for sum_ in noisy))

    def add(batch: list[NDArray[np.int64]]) -> None:
        noise = rounded_normals(sum(map(len, batch)), scale=grid.noise_scale, stream=stream)
        start = 0
        for part in batch:
            part += noise[start : start + len(part)]
            start += len(part)

    threads = min(torch.get_num_threads(), len(batches))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add, batches))  # raises what a thread raised
    else:
        for batch in batches:
            add(batch)
    return [sum_.to(exact.device) for sum_, exact in zip(noisy, sums, strict=True)]


def from_grid(sums: list[Tensor], *, grid: Grid) -> list[Tensor]:
    """Sums as float64 numbers: sum·h. A function of what was released, so its rounding beyond 2⁵³ steps is harmless."""
    return [sum_.to(torch.float64) * grid.step for sum_ in sums]


def _batches(flat: Iterable[NDArray[np.int64]]) -> Iterator[list[NDArray[np.int64]]]:
    """The arrays, cut and gathered into lists of at most `_AT_ONCE` numbers: views, each coordinate in one of them."""
    batch: list[NDArray[np.int64]] = []
    room = _AT_ONCE
    for array in flat:
        start = 0
        while start < len(array):
            part = array[start : start + room]
            batch.append(part)
            start, room = start + len(part), room - len(part)
            if not room:
                yield batch
                batch, room = [], _AT_ONCE
    if batch:
        yield batch
