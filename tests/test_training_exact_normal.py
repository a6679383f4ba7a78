from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import ndtr

from gatekeeper.errors import InvalidValueError
from gatekeeper.training import exact_normal
from gatekeeper.training.exact_cell import TAIL_UNIT, TAIL_UNIT_BITS, exact_draw, signed
from gatekeeper.training.exact_normal import (
    CURVE_MARGIN,
    LARGEST_SCALE,
    ROUNDING_MARGIN,
    curve,
    from_words,
    rounded_normals,
)
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.tiles import ABSCISSA_BITS, HEIGHT, HEIGHT_BITS, OFFSET_BITS, TAIL, tiles
from tests.goodness import fits
from tests.reference import training_rounded_normal as reference
from tests.test_training_secret_stream import ScriptedStream

SCALES = (1.0, 3.0, 2.0**10, 2.0**20 * 1.37, 2.0**30, 2.0**40, LARGEST_SCALE)
HALF = 2**63
TILE = Fraction(HEIGHT, 2**HEIGHT_BITS)


def _start(index: int) -> int:
    return signed(int(tiles().origins[index]) + (index << OFFSET_BITS))


def _word(index: int, offset: int) -> int:
    return index << OFFSET_BITS | offset


def _twin(word: int, rise: int, *further: int, scale: float) -> int | None:
    """The slow answer for a point whose places begin with these bits: the x's, the y's, the x's … and end halfway."""
    index = word >> OFFSET_BITS
    x, y, bits = _start(index) + word % 2**OFFSET_BITS, rise, 64
    for across, up in zip(further[::2], further[1::2], strict=True):
        x, y, bits = x << 64 | across, y << 64 | up, bits + 64
    floor = 0 if index < tiles().certain else int(tiles().floors[index])
    ordinate = (floor + Fraction(2 * y + 1, 2 ** (bits + 1))) * TILE
    abscissa = Fraction(2 * x + 1, 2 ** (bits - 64 + ABSCISSA_BITS + 1))
    return reference.rounded_point(abscissa, ordinate, scale=scale)


def _draw(*words: int, scale: float) -> int:
    """The draw from the first word, which takes exactly the others."""
    stream = ScriptedStream(*words[1:])
    drawn = int(from_words(np.array(words[:1], dtype=np.uint64), scale=scale, stream=stream)[0])
    assert stream.spent, "exactly the bits that it takes"
    return drawn


def test_floats_product_is_within_the_margin_of_rounding() -> None:
    generator = np.random.default_rng(0)
    reach = 352 << OFFSET_BITS
    abscissas = [*generator.integers(-reach, reach, size=300).tolist(), -reach, reach - 1, 0, -1]
    worst = 0.0
    for scale in SCALES:
        products = np.array(abscissas).astype(np.float64) * (scale * 2.0**-ABSCISSA_BITS)
        for abscissa, product in zip(abscissas, products.tolist(), strict=True):
            for end in (abscissa, abscissa + 1):
                error = Fraction(scale) * Fraction(end, 2**ABSCISSA_BITS) - Fraction(product)
                worst = max(worst, abs(float(error)) / scale)
    assert worst < ROUNDING_MARGIN
    assert worst > ROUNDING_MARGIN / 8, "a margin far below would be noticed"


def test_the_margin_of_the_curve_covers_floats_exponential_and_the_width_of_its_interval() -> None:
    abscissas = (np.arange(-5.5, 5.5, 0.007) * 2.0**ABSCISSA_BITS).astype(np.int64)
    found = curve(abscissas * 2.0**-ABSCISSA_BITS)
    worst = 0.0
    for abscissa, value in zip(abscissas.tolist(), found.tolist(), strict=True):
        for end in (abscissa, abscissa + 1):
            exact = reference.height(Fraction(end, 2**ABSCISSA_BITS)) / TILE.numerator * TILE.denominator
            worst = max(worst, abs(float(exact - value)))
    assert worst < 2.0**-42 < CURVE_MARGIN / 2**10
    assert worst > 2.0**-50, "the comparison would notice"


@pytest.mark.parametrize("scale", SCALES)
def test_draws_equal_the_slow_twin(scale: float) -> None:
    generator = np.random.default_rng(0)
    certain = generator.integers(tiles().certain, size=60)
    straddling = generator.integers(tiles().certain, TAIL, size=60)
    refused = 0
    for index in [*certain.tolist(), 0, tiles().certain - 1, tiles().certain, *straddling.tolist(), TAIL - 1]:
        word, rise = _word(index, int(generator.integers(2**OFFSET_BITS))), int(generator.integers(2**63)) * 2
        expected = _twin(word, rise, scale=scale)
        # Halfway bits, as the twin assumes; and another word for those refused.
        stream = ScriptedStream(rise, *([12345, 0] if expected is None else []), HALF, HALF)
        found = int(from_words(np.array([word], dtype=np.uint64), scale=scale, stream=stream)[0])
        assert found == (_twin(12345, 0, scale=scale) if expected is None else expected)
        refused += expected is None
    assert 10 < refused < 55


def test_the_slow_path_alone_gives_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.arange(0, 2**64, 2**64 // 500, dtype=np.uint64)
    words = words[words < np.uint64(tiles().certain << OFFSET_BITS)]
    fast = from_words(words, scale=1e6, stream=ScriptedStream())
    monkeypatch.setattr(exact_normal, "ROUNDING_MARGIN", 1.0)
    assert fast.tolist() == from_words(words, scale=1e6, stream=ScriptedStream(*[0] * len(words))).tolist()


def test_the_slow_path_alone_accepts_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    first, count = tiles().certain, 100
    words = [_word(index, 3**29) for index in range(first, first + 10 * count, 10)]
    rises = [int(share * 2**64) for share in np.linspace(0.01, 0.98, count)]
    slow = [exact_draw(word, rise, scale=1e6, more_bits=lambda: HALF) for word, rise in zip(words, rises, strict=True)]
    assert slow == [_twin(word, rise, scale=1e6) for word, rise in zip(words, rises, strict=True)]
    again = slow.count(None)
    assert 20 < again < 80
    fast = from_words(np.array(words, dtype=np.uint64), scale=1e6, stream=ScriptedStream(*rises, *[12345] * again))
    replacement = _twin(12345, 0, scale=1e6)
    assert fast.tolist() == [replacement if cell is None else cell for cell in slow]
    monkeypatch.setattr(exact_normal, "CURVE_MARGIN", 1e9)
    stream = ScriptedStream(*rises, *[12345] * again)
    assert fast.tolist() == from_words(np.array(words, dtype=np.uint64), scale=1e6, stream=stream).tolist()


@pytest.mark.parametrize("scale", [3.0, 1e6, 2.0**30 * 1.1])
@pytest.mark.parametrize("share", [-1.7, 0.4, 1.0, 2.3])
def test_a_draw_at_a_boundary_is_decided_by_further_bits(scale: float, share: float) -> None:
    cell = round(scale * share)
    edge = (cell - Fraction(1, 2)) / Fraction(scale)
    place, following = (int(edge * 2**bits // 1) for bits in (ABSCISSA_BITS, ABSCISSA_BITS + 64))
    rest = following - (place << 64)
    index = next(i for i in range(tiles().certain) if 0 <= place - _start(i) < 2**OFFSET_BITS)
    word = _word(index, place - _start(index))
    assert _draw(word - 1, 0, scale=scale) == cell - 1
    assert _draw(word + 1, 0, scale=scale) == cell
    assert _draw(word, 0, rest - 1, scale=scale) == cell - 1
    assert _draw(word, 0, rest + 1, scale=scale) == cell
    assert _draw(word, 0, rest, 0, scale=scale) == cell - 1
    assert _draw(word, 0, rest, 2**64 - 1, scale=scale) == cell


@pytest.mark.parametrize("cell", [-352, -90, 5, 64, 200])
def test_a_point_on_the_curve_is_decided_by_further_bits_of_both_its_places(cell: int) -> None:
    place = (cell << OFFSET_BITS) + 3**30 % 2**OFFSET_BITS
    middle = Fraction(2 * place + 1, 2 ** (ABSCISSA_BITS + 1))
    on_curve = reference.height(middle) / TILE.numerator * TILE.denominator
    straddling = range(tiles().certain, TAIL)
    (index,) = (i for i in straddling if _start(i) >> OFFSET_BITS == cell and tiles().floors[i] == int(on_curve))
    word, share = _word(index, place - _start(index)), on_curve - int(on_curve)
    rise = int(share * 2**64)
    outcomes = set()
    for further in ([0, 0], [2**64 - 1, 2**64 - 1], [1, HALF], [2**64 - 2, HALF]):
        expected = _twin(word, rise, *further, scale=1e3)
        replaced = [12345] if expected is None else []
        found = _draw(word, rise, *further, *replaced, scale=1e3)
        assert found == (_twin(12345, 0, scale=1e3) if expected is None else expected)
        outcomes.add(expected is None)
    assert outcomes == {True, False}


def test_the_tail_is_entered_at_its_probability_and_takes_as_many_bits_as_it_needs() -> None:
    scale = 2.0**20
    unit = Fraction(TAIL_UNIT, 2**TAIL_UNIT_BITS)
    edge = reference.upper_tail(reference.CONTEXT.mpf(5.5)) * unit.denominator / unit.numerator
    first = int(edge * 2**47)
    rest = int(edge * 2**111) - (first << 64)

    def tail(place: int, *further: int, negative: bool = False) -> int:
        return _draw(_word(TAIL, place << 1 | negative), 0, *further, scale=scale)

    replacement = _twin(12345, 0, scale=scale)
    assert tail(2**47 - 1, 12345) == tail(first + 1, 12345) == tail(first, rest + 1, 12345) == replacement
    assert tail(first, rest - 1) == round(5.5 * scale)
    assert tail(first - 1) == round(5.5 * scale)
    for place, further in ((first // 3, []), (1000, [HALF]), (0, [HALF]), (0, [0, 7, HALF])):
        whole, bits = place, 47
        for word in further:
            whole, bits = whole << 64 | word, bits + 64
        p = Fraction(2 * whole + 1, 2 ** (bits + 1)) * unit
        assert tail(place, *further) == reference.rounded_tail(p, scale=scale)
        assert tail(place, *further, negative=True) == -tail(place, *further)
    assert tail(0, 0, 7, HALF) > 15 * scale


def _counts(drawn: np.ndarray, *, reach: int) -> np.ndarray:
    """How often each of −reach … reach was drawn, what lies beyond being counted with the ends."""
    return np.bincount(np.clip(drawn, -reach, reach) + reach, minlength=2 * reach + 1)


def _probabilities(*, scale: float, reach: int) -> np.ndarray:
    inner = np.array([reference.probability(cell, scale=scale) for cell in range(reach)])
    half = inner[1:]
    end = (1 - inner[0] - 2 * half.sum()) / 2
    return np.concatenate(([end], half[::-1], [inner[0]], half, [end]))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_small_scales_have_the_exact_probabilities_and_wrong_ones_are_noticed(scale: float) -> None:
    reach = round(4 * scale)
    counts = _counts(rounded_normals(400_000, scale=scale, stream=SecretStream()), reach=reach)
    assert fits(counts, _probabilities(scale=scale, reach=reach))
    assert not fits(counts, _probabilities(scale=1.05 * scale, reach=reach))
    cut = np.trunc(scale * np.random.default_rng(0).standard_normal(400_000)).astype(np.int64)
    assert not fits(_counts(cut, reach=reach), _probabilities(scale=scale, reach=reach)), "cut off, not rounded"


@pytest.mark.parametrize("scale", [1.0, 3.0, 2.0**10])
def test_no_output_rules_out_a_neighbouring_sum(scale: float) -> None:
    """Each whole number within three deviations comes at its rate, so sums 0 and 1 both give each output.

    At two deviations each is expected 79 times or more: one that is never seen is missing, not unlucky.
    """
    reach, draws = round(3 * scale), 1_500_000
    drawn = rounded_normals(draws, scale=scale, stream=SecretStream())
    counts = _counts(drawn, reach=reach)
    assert fits(counts, _probabilities(scale=scale, reach=reach))
    from_zero, from_one = set(drawn.tolist()), set((drawn + 1).tolist())
    outputs = set(range(-round(2 * scale), round(2 * scale) + 1))
    assert outputs <= from_zero
    assert outputs <= from_one


def _reachable(outputs: np.ndarray, *, deviation: float) -> np.ndarray:
    """Which outputs are 0 + deviation·z in float64 for some float64 z at all: the quotient and its neighbours."""
    reachable = np.zeros(len(outputs), dtype=bool)
    z = outputs / deviation
    for candidate in (np.nextafter(z, -np.inf), z, np.nextafter(z, np.inf)):
        reachable |= deviation * candidate == outputs
    return reachable


def test_a_float64_gaussian_rules_out_sums_by_single_outputs() -> None:
    """The fault that whole numbers don't have: outputs of sum 1 that sum 0 can't give (Mironov 2012)."""
    deviation = 1.7
    z = np.random.default_rng(0).standard_normal(100_000)
    assert _reachable(0 + deviation * z, deviation=deviation).all()
    outputs = 1.0 + deviation * z
    impossible = 1 - _reachable(outputs, deviation=deviation).mean()
    assert 0.02 < impossible < 0.5


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0**59, float("nan"), float("inf")])
def test_scales_outside_the_range_are_refused(scale: float) -> None:
    with pytest.raises(InvalidValueError, match="scale"):
        rounded_normals(1, scale=scale, stream=SecretStream())


def test_large_scales_are_right_too() -> None:
    drawn = rounded_normals(4000, scale=LARGEST_SCALE, stream=SecretStream()) / LARGEST_SCALE
    assert abs(np.mean(drawn**2) - 1) < 6 * np.sqrt(2 / 4000)


def test_any_count_is_drawn_whole_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rounded_normals(0, scale=3.0, stream=SecretStream()).shape == (0,)
    monkeypatch.setattr(exact_normal, "_BLOCK", 100)
    for count in (1, 99, 100, 101, 100_003):
        drawn = rounded_normals(count, scale=2.0**58, stream=SecretStream())
        assert len(np.unique(drawn)) == count, "every place has a draw of its own"
        assert np.abs(drawn).max() < 8 * 2**58
    assert abs(np.mean((drawn / 2**58) ** 2) - 1) < 6 * np.sqrt(2 / count)


def test_moments_are_those_of_the_normal_and_a_hundredth_less_is_noticed() -> None:
    z = rounded_normals(1_000_000, scale=2.0**20, stream=SecretStream()) / 2**20

    def deviates(sample: np.ndarray) -> list[float]:
        """Each even moment's distance from the normal's, in standard errors; and the first and third's."""
        n = len(sample)
        expected = {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 6: (15, 10170)}
        return [float((np.mean(sample**k) - m) / np.sqrt(v / n)) for k, (m, v) in expected.items()]

    assert max(map(abs, deviates(z))) < 6
    assert max(map(abs, deviates(0.99 * z))) > 6
    assert max(map(abs, deviates(z + 0.02))) > 6


def test_the_density_is_right_within_the_tiles_and_points_above_the_curve_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reach = 947  # 3.7 deviations, in bins of which four make the width of a tile
    edges = (np.arange(-reach, reach + 1) * 4096 - 0.5) / 2.0**20
    probabilities = np.diff(ndtr(edges))
    probabilities[[0, -1]] = ndtr(edges[1])

    def binned() -> np.ndarray:
        drawn = np.concatenate([rounded_normals(2**20, scale=2.0**20, stream=SecretStream()) for _ in range(4)])
        return np.bincount(np.clip((drawn >> 12) + reach, 0, 2 * reach - 1), minlength=2 * reach)

    assert fits(binned(), probabilities)
    monkeypatch.setattr(exact_normal, "curve", lambda x: np.full_like(x, 1e9))
    assert not fits(binned(), probabilities)
