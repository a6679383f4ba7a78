from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.training import secret_stream
from gatekeeper.training.sampling import batches, uniform_integers
from gatekeeper.training.secret_stream import SecretStream
from tests.goodness import fits


class ScriptedStream(SecretStream):
    """Gives the words it was told to give, and fails when they are spent."""

    __slots__ = ("_script",)

    def __init__(self, *words: int) -> None:
        self._script = list(words)

    def fill(self, words: np.ndarray) -> None:
        assert len(self._script) >= len(words), "more bits were asked for than were foreseen"
        given, self._script = self._script[: len(words)], self._script[len(words) :]
        words[:] = np.array(given, dtype=np.uint64)

    @property
    def spent(self) -> bool:
        return not self._script


def _bytes_are_uniform(words: np.ndarray) -> bool:
    counts = np.bincount(words.view(np.uint8), minlength=256)
    return fits(counts, np.full(256, 1 / 256))


def test_every_byte_of_the_words_is_uniform_and_a_lost_bit_is_noticed() -> None:
    words = SecretStream().words(200_000)
    assert words.dtype == np.uint64
    assert words.flags.writeable
    assert _bytes_are_uniform(words)
    assert not _bytes_are_uniform(words >> np.uint64(1))


def test_the_stream_goes_on_whatever_the_pieces_and_never_repeats() -> None:
    stream = SecretStream()
    pieces = np.concatenate([stream.words(count) for count in (1, 0, 7, 1000, 3)])
    assert len(pieces) == 1011
    assert len(np.unique(pieces)) == 1011


def test_the_words_are_those_of_the_cipher_in_order_however_many_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes(range(32))
    monkeypatch.setattr(secret_stream.os, "urandom", lambda count: key[:count])
    counts = [1, 0, 2, 40_000, 5, 100_000]  # more than one run of zeros, and none of their multiples
    found = np.concatenate([SecretStream().words(0), *map(SecretStream().words, counts)])
    whole = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * sum(counts)))
    assert found.tobytes() == whole


def test_threads_may_share_a_stream_and_get_different_words() -> None:
    stream = SecretStream()
    with ThreadPoolExecutor(4) as pool:
        drawn = np.concatenate(list(pool.map(stream.words, [1000] * 40)))
    assert len(np.unique(drawn)) == 40_000


def test_two_streams_have_nothing_in_common() -> None:
    first, second = SecretStream().words(1000), SecretStream().words(1000)
    assert not set(first.tolist()) & set(second.tolist())
    agreeing = np.unpackbits((~(first ^ second)).view(np.uint8)).mean()
    assert abs(agreeing - 0.5) < 5 * 0.5 / np.sqrt(64_000)


def test_a_stream_shows_no_key_and_can_be_neither_stored_nor_copied() -> None:
    stream = SecretStream()
    assert repr(stream) == "SecretStream()"
    assert not hasattr(stream, "__dict__")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            attempt(stream)


@pytest.mark.parametrize("below", [1, 3, 64, 3 << 62, 1 << 63])
def test_uniform_integers_stay_below_their_end(below: int) -> None:
    drawn = uniform_integers(2000, below=below, stream=SecretStream())
    assert int(drawn.max()) < below
    assert below == 1 or len(np.unique(drawn)) > 1


def test_uniform_integers_favour_no_number_and_a_plain_remainder_does() -> None:
    below = 3 << 62  # a plain remainder gives the lowest third twice as often
    thirds = np.full(3, 1 / 3)

    def in_thirds(drawn: np.ndarray) -> np.ndarray:
        return np.bincount((drawn >> np.uint64(62)).astype(np.int64), minlength=3)

    stream = SecretStream()
    assert fits(in_thirds(uniform_integers(30_000, below=below, stream=stream)), thirds)
    assert not fits(in_thirds(stream.words(30_000) % np.uint64(below)), thirds)


def test_a_word_beyond_the_last_multiple_is_drawn_again() -> None:
    last = 2**64 - 2**64 % 10  # a multiple of 10
    stream = ScriptedStream(last, 27, last + 5, last - 1, 2**64 - 1, 38)
    assert uniform_integers(3, below=10, stream=stream).tolist() == [9, 7, 8]


def _poisson(rate: float) -> Mechanism:
    return Mechanism(
        sampling="poisson", sampling_rate=rate, noise_multiplier=1.0, steps=1, adjacency="zero-out", unit="image"
    )


@pytest.mark.parametrize(
    ("rate", "words", "chosen"),
    [
        (0.25, (2**62 - 1, 2**62, 0, 2**64 - 1), [0, 2]),
        (1.0, (2**64 - 1, 0), [0, 1]),
        (1e-12, (18446744, 18446743, 0), [1, 2]),  # 2⁶⁴·1e-12 = 18446744.07: rounded downwards
    ],
)
def test_poisson_compares_whole_words_with_the_rate(rate: float, words: tuple[int, ...], chosen: list[int]) -> None:
    (units,) = batches(_poisson(rate), units=len(words), stream=ScriptedStream(*words))
    assert units.tolist() == chosen
