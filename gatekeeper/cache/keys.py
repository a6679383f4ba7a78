"""The key of a runner's cache: who holds it can read and make entries, so it lies outside the cache, and stays there.

Design note: subkeys are derived from the file's 32 random bytes by HMAC-SHA256 with a label each (the key is uniform,
so HMAC is a pseudo-random function of the label: RFC 2104). No subkey serves two purposes.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from gatekeeper.cache.files import read_regular
from gatekeeper.core.secret_file import write_once
from gatekeeper.errors import CacheError

_KEY_BYTES = 32
_HEADER = "gatekeeper cache key v1: keep it on the runner, outside the cache"
_FILE = re.compile(re.escape(_HEADER) + r"\n([0-9a-f]{64})\n?")
_MOST_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheKey:
    """The subkeys of a cache key; none is ever printed.

    Attributes:
        entries: authenticates entries.
        encryption: encrypts them.
        names: names them.
        seals: authenticates run directories.
    """

    entries: bytes = field(repr=False)
    encryption: bytes = field(repr=False)
    names: bytes = field(repr=False)
    seals: bytes = field(repr=False)


def derive(secret: bytes) -> CacheKey:
    """The subkeys of 32 random bytes."""

    def labelled(label: bytes) -> bytes:
        return hmac.digest(secret, b"gatekeeper cache v1: " + label, "sha256")

    return CacheKey(
        entries=labelled(b"entries"),
        encryption=labelled(b"encryption"),
        names=labelled(b"names"),
        seals=labelled(b"seals of run directories"),
    )


def load_key(path: Path) -> CacheKey:
    """The key in a file that its owner alone can read, and that is no link.

    Raises:
        CacheError: the file is missing, a link, open to others, or no cache key.
    """
    content = read_regular(path, most=_MOST_BYTES, private=True)
    if content is None:
        raise CacheError(
            "there is no such key file", where=str(path), hint="give the file that `certify --cache-key` made"
        )
    match = _FILE.fullmatch(content.decode("ascii", "replace"))
    if match is None:
        # What the file holds is not shown: it may be another secret.
        raise CacheError("is no cache key", where=str(path), hint="give the file that `certify --cache-key` made")
    return derive(bytes.fromhex(match[1]))


def load_or_create_key(path: Path) -> CacheKey:
    """The key in a file; where there is none, a new one, which is never overwritten.

    Raises:
        CacheError: the file can't be used or made.
    """
    if not os.path.lexists(path):
        _create(path)
    return load_key(path)


def _create(path: Path) -> None:
    try:
        write_once(path, f"{_HEADER}\n{secrets.token_bytes(_KEY_BYTES).hex()}\n")
    except OSError as error:
        raise CacheError(f"the cache's key can't be written: {error.strerror}", where=str(path)) from error
