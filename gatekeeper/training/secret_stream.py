"""Random bits that nobody can foresee or draw again: AES-256 in counter mode under a key that is thrown away.

The accountant grants the adversary everything but the noise and the participation. A statistical generator whose
state can be solved for from its outputs would hand over both, so the bits come from a cipher. Telling its n blocks
from uniform ones is an advantage of at most n²/2¹²⁹ for an ideal block cipher (blocks never repeat), 2⁻⁵⁷ for the
2³⁶ blocks of 10⁵ steps of 10⁶ parameters.
"""

from __future__ import annotations

import os
from threading import Lock

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

GENERATOR_NAME = (
    "AES-256 in counter mode, a cryptographic generator; one key for noise and one for sampling, each of 256 bits "
    "from the operating system for each start of the run; keys not stored"
)


# Zeros encrypt to the key stream itself; these are as many as a core's cache holds well.
_ZEROS = memoryview(bytes(1 << 18))


class SecretStream:
    """A stream of uniform bits, unlike any other stream.

    Make one for each purpose (noise, sampling) of each run: what one of them shows says nothing about the other.
    Threads may share one.

    >>> SecretStream().words(3).dtype
    dtype('uint64')
    """

    __slots__ = ("_encryptor", "_lock")

    def __init__(self) -> None:
        # A fresh key may start at counter 0; the key is held by the cipher's context only.
        self._encryptor = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(bytes(16))).encryptor()
        self._lock = Lock()

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words of 64 uniform bits, as a fresh array.

        Args:
            count: at least 0.
        """
        words = np.empty(count, dtype=np.uint64)
        self.fill(words)
        return words

    def fill(self, words: NDArray[np.uint64]) -> None:
        """Overwrites an array with the next words.

        Args:
            words: contiguous, shape (n,).
        """
        octets = words.view(np.uint8).data
        with self._lock:
            for start in range(0, len(octets), len(_ZEROS)):
                piece = octets[start : start + len(_ZEROS)]
                self._encryptor.update_into(_ZEROS[: len(piece)], piece)

    def __repr__(self) -> str:
        return "SecretStream()"

    def __reduce__(self) -> str:
        raise TypeError("a secret stream can't be copied or stored")
