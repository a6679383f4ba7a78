from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import ndtri

from gatekeeper.errors import InvalidValueError
from gatekeeper.training import exact_normal
from gatekeeper.training.exact_cell import exact_cell
from gatekeeper.training.exact_normal import LARGEST_SCALE, MARGIN, WIDE, from_words, rounded_normals
from gatekeeper.training.secret_stream import SecretStream
from tests.goodness import fits
from tests.reference import training_rounded_normal as reference
from tests.test_training_secret_stream import ScriptedStream

SCALES = (1.0, 3.0, 2.0**10, 2.0**20 * 1.37, 2.0**40, LARGEST_SCALE)


def _magnitude(tail: int, *further: int, scale: float) -> int:
    """The reference's answer for a p that begins with these words, and ends halfway."""
    bits = 64 * (1 + len(further)) + 1
    whole = tail
    for word in further:
        whole = whole << 64 | word
    return reference.rounded_magnitude(Fraction(2 * whole + 1, 2**bits), scale=scale)


def _words(tails: list[int], *, negative: bool = False) -> np.ndarray:
    return np.array([tail << 1 | negative for tail in tails], dtype=np.uint64)


def _hard_tails() -> list[int]:
    """Tail probabilities over the whole range, close to ½ too, and about the break points of ndtri's formulas."""
    spread = [int(2.0**exponent) for exponent in np.arange(45, 63, 0.06)]
    centre = [2**63 - 1 - int(2.0**exponent) for exponent in np.arange(0, 62, 0.25)]
    breaks = [
        int(np.exp(-power) * 2.0**64) + sign * 2**i for power in (2, 32) for i in range(0, 40, 3) for sign in (-1, 1)
    ]
    return [tail for tail in spread + centre + breaks if WIDE <= tail < 2**63]


def test_the_margin_covers_float64s_quantile_and_the_width_of_its_cell() -> None:
    tails = _hard_tails()
    found = -ndtri(np.array(tails, dtype=np.int64) * 2.0**-64)
    context = reference.CONTEXT
    worst = 0.0
    for tail, z in zip(tails, found.tolist(), strict=True):
        for end in (tail, tail + 1):
            # Newton's step from z to the exact quantile, as its own error is of the order of z's squared.
            p = context.ldexp(context.mpf(end), -64)
            error = (reference.upper_tail(context.mpf(z)) - p) / context.npdf(z)
            worst = max(worst, abs(float(error)) / (1 + z))
    assert worst < MARGIN / 16
    assert worst > MARGIN / 256, "a margin far below would be noticed"


@pytest.mark.parametrize("scale", SCALES)
def test_draws_equal_the_slow_twin(scale: float) -> None:
    generator = np.random.default_rng(0)
    tails = [int(tail) for tail in generator.integers(2**63, size=60)] + [2**63 - 1, WIDE, WIDE - 1, 12345, 2**62]
    expected = [_magnitude(tail, scale=scale) for tail in tails]
    # The exact path may ask for more bits: 1000… is the midpoint that the twin assumes.
    found = [from_words(_words([tail]), scale=scale, stream=ScriptedStream(2**63, 0)) for tail in tails]
    assert [int(value[0]) for value in found] == expected


def test_the_slow_path_alone_gives_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    words = SecretStream().words(200)
    fast = from_words(words, scale=1e6, stream=ScriptedStream())
    monkeypatch.setattr(exact_normal, "WIDE", 2**63)
    slow = from_words(words, scale=1e6, stream=ScriptedStream())
    assert fast.tolist() == slow.tolist()


@pytest.mark.parametrize("scale", [3.0, 2.0**10, 2.0**20])
@pytest.mark.parametrize("share", [0.4, 1.0, 3.3])
def test_a_draw_at_a_boundary_is_decided_by_further_bits(scale: float, share: float) -> None:
    cell = max(1, round(scale * share))
    edge = reference.boundary(cell, scale=scale)
    tail = int(reference.CONTEXT.floor(reference.CONTEXT.ldexp(edge, 64)))
    rest = int(reference.CONTEXT.floor(reference.CONTEXT.ldexp(edge, 128))) - (tail << 64)

    def draw(tail: int, *further: int) -> int:
        stream = ScriptedStream(*further)
        drawn = int(from_words(_words([tail]), scale=scale, stream=stream)[0])
        assert not stream._script, "exactly the bits that it takes"
        return drawn

    assert draw(tail - 1) == cell
    assert draw(tail + 1) == cell - 1
    assert draw(tail, rest - 1) == cell, "a smaller tail probability is a larger magnitude"
    assert draw(tail, rest + 1) == cell - 1
    assert draw(tail, rest, 0) == cell
    assert draw(tail, rest, 2**64 - 1) == cell - 1


def test_the_far_tail_takes_as_many_bits_as_it_needs() -> None:
    for further in ([2**63], [1], [0, 2**40], [0, 0, 7]):
        stream = iter([*further, 2**63, 0])
        found = exact_cell(0, scale=2.0**20, more_bits=lambda stream=stream: next(stream))
        assert found == _magnitude(0, *further, scale=2.0**20)
    assert found > 15 * 2**20


def test_the_sign_mirrors_the_draw_and_zero_has_none() -> None:
    tails = [2**63 - 1, 2**62, 2**50]
    up = from_words(_words(tails), scale=3.0, stream=ScriptedStream())
    down = from_words(_words(tails, negative=True), scale=3.0, stream=ScriptedStream())
    assert up.tolist() == (-down).tolist()
    assert up[0] == 0
    assert up[1] > 0


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
    drawn = rounded_normals(400, scale=LARGEST_SCALE, stream=SecretStream()) / LARGEST_SCALE
    assert abs(np.mean(drawn**2) - 1) < 5 * np.sqrt(2 / 400)
    assert rounded_normals(0, scale=3.0, stream=SecretStream()).shape == (0,)
