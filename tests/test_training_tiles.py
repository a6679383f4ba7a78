from __future__ import annotations

import collections
from fractions import Fraction

import numpy as np

from gatekeeper.training.exact_cell import signed
from gatekeeper.training.tiles import CELL_BITS, CELLS, HEIGHT, HEIGHT_BITS, INDEX_BITS, OFFSET_BITS, TAIL, tiles
from tests.reference import training_rounded_normal as reference

TILE = Fraction(HEIGHT, 2**HEIGHT_BITS)


def _floors() -> tuple[collections.Counter[int], dict[int, list[float]]]:
    """For each cell of the abscissa: how many certain tiles it has, and the floors of its straddling ones."""
    table = tiles()
    starts = [signed(int(origin) + (index << OFFSET_BITS)) for index, origin in enumerate(table.origins)]
    assert all(start % 2**OFFSET_BITS == 0 for start in starts)
    cells = [start >> OFFSET_BITS for start in starts]
    straddling = collections.defaultdict(list)
    for index in range(table.certain, TAIL):
        straddling[cells[index]].append(float(table.floors[index]))
    return collections.Counter(cells[: table.certain]), straddling


def _curve(cell: int) -> float:
    """The density at a cell's left end in heights of a tile, to 400 bits."""
    return reference.height(Fraction(cell, 2**CELL_BITS)) / TILE.numerator * TILE.denominator


def test_the_tiles_cover_the_curve_once_and_the_certain_ones_lie_beneath_it() -> None:
    certain, straddling = _floors()
    assert set(certain) | set(straddling) == set(range(-CELLS, CELLS))
    surplus = 0
    for cell in range(-CELLS, CELLS):
        inner, outer = sorted((_curve(cell), _curve(cell + 1)), reverse=True)
        assert certain[cell] <= outer
        ordered = sorted(set(straddling[cell]))
        assert ordered == list(range(certain[cell], certain[cell] + len(ordered))), "no gap and no overlap"
        assert certain[cell] + len(ordered) >= inner
        surplus += len(straddling[cell]) - len(ordered)
        repeated = [floor for floor, count in collections.Counter(straddling[cell]).items() if count > 1]
        assert all(floor >= inner for floor in repeated), "a tile that is there twice holds no point beneath the curve"
    assert surplus < 100


def test_every_index_has_a_tile_and_the_last_has_room_for_both_tails() -> None:
    table = tiles()
    assert len(table.origins) == len(table.floors) == 2**INDEX_BITS
    assert np.isneginf(table.floors[: table.certain]).all()
    assert np.isfinite(table.floors[table.certain : TAIL]).all()
    assert np.isnan(table.floors[TAIL])
    area = TILE / 2**CELL_BITS
    assert 2 * reference.upper_tail(reference.CONTEXT.mpf(CELLS) / 2**CELL_BITS) < float(area)


def test_tiles_are_uncertain_rarely() -> None:
    assert 1 - tiles().certain / 2**INDEX_BITS < 1 / 42
