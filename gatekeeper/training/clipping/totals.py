"""Sums over a step's units on the grid: each block's float32 sum is rounded to it, and whole numbers add up exactly."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.training.grid import Grid

# Numbers that are carried over at once: they stay in the cache.
_PIECE = 1 << 15

# Fewer numbers are not worth waking a thread for.
_LONG = 1 << 18


class Totals:
    """Sums over a step's units, as whole numbers on the grid: one number for each trainable parameter.

    Args:
        parameters: the trainable parameters.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        every = list(parameters)
        sizes, device = [p.numel() for p in every], every[0].device
        self._all = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        parts = torch.split(self._all, sizes)
        self._of: dict[int, Tensor] = {id(p): part.view(p.shape) for p, part in zip(every, parts, strict=True)}
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads)

    @property
    def every(self) -> Tensor:
        """All sums in a row, int64."""
        return self._all

    def clear(self) -> None:
        """Begin a step."""
        self._all.zero_()

    def of(self, parameter: Tensor) -> Tensor:
        """A parameter's sum so far, int64, of its shape."""
        return self._of[id(parameter)]

    def add(self, parameter: Tensor, block: Tensor, *, grid: Grid) -> None:
        """Round a block's sum to the grid and add it.

        A float64 in [2⁵²h, 2⁵³h) is a multiple of h, and its bits count up with it. So adding 1.5·2⁵²·h rounds to the
        grid (ties to even), and the bits' difference is the whole number. It must stay within ±2⁵⁰: `choose_grid`.

        Args:
            parameter: whose.
            block: float32, of its shape.
            grid: where whole numbers live.
        """
        total, block = self.of(parameter).view(-1), block.reshape(-1)
        if block.device.type == "cpu":
            self._add_in_threads(total.numpy(), block.numpy(), anchor=np.float64(grid.anchor))
        else:
            total += (block.double() + grid.anchor).view(torch.int64) - _bits(np.float64(grid.anchor))

    def _add_in_threads(self, total: NDArray[np.int64], block: NDArray[np.float32], *, anchor: np.float64) -> None:
        """Long sums are cut into a part for each thread: NumPy works without the interpreter's lock."""
        if self._threads == 1 or len(block) < _LONG:
            _add_in_cache(total, block, anchor)
            return
        parts = (np.array_split(array, self._threads) for array in (total, block))
        list(self._pool.map(_add_in_cache, *parts, [anchor] * self._threads))  # raises what a thread raised


def _add_in_cache(total: NDArray[np.int64], block: NDArray[np.float32], anchor: np.float64) -> None:
    piece, bits = np.empty(min(_PIECE, len(block))), _bits(anchor)
    for start in range(0, len(block), _PIECE):
        part = block[start : start + _PIECE]
        rounded = piece[: len(part)]
        np.add(part, anchor, out=rounded)  # in float64: the anchor is no plain number
        whole = rounded.view(np.int64)
        whole -= bits
        total[start : start + _PIECE] += whole


def _bits(value: np.float64) -> int:
    """The bits of a float64, as a whole number."""
    return int(value.view(np.int64))
