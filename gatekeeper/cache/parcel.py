"""One entry as bytes: encrypted, then authenticated as a whole, for one place in the cache (encrypt-then-MAC).

    HEADER ‖ nonce (16 bytes) ‖ AES-256-CTR(framed parts) ‖ HMAC-SHA256(framed(HEADER, place, nonce, ciphertext))

Encrypted, because a cache is read by others, and an entry holds a model that nobody may have approved, and the salt of
the data's commitment. Nothing is decrypted or parsed before the MAC of all of it holds.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gatekeeper.cache.keys import CacheKey
from gatekeeper.core.codec import decode, encode
from gatekeeper.core.framing import framed, unframed
from gatekeeper.core.reuse import KeptRun
from gatekeeper.errors import CacheError

_HEADER = b"gatekeeper cache entry v1\n"
_NONCE, _MAC = 16, 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """What an entry holds: all that judging and signing a run need.

    Attributes:
        run: the run's nouns.
        salt: of the commitment to its data, 32 bytes; secret.
        model: the ONNX file.
    """

    run: KeptRun
    salt: bytes = field(repr=False)
    model: bytes = field(repr=False)


def pack(parcel: Parcel, *, place: str, key: CacheKey) -> bytes:
    """A parcel as the bytes of an entry for one place."""
    nonce = secrets.token_bytes(_NONCE)
    plain = framed(encode(parcel.run).encode(), parcel.salt, parcel.model)
    hidden = _cipher(nonce, key).encryptor().update(plain)
    return _HEADER + nonce + hidden + _mac(nonce, hidden, place=place, key=key)


def unpack(content: bytes, *, place: str, key: CacheKey) -> Parcel | None:
    """The parcel in the bytes of an entry; None where a version of gatekeeper wrote it that knew other nouns.

    Raises:
        CacheError: they are not what this key's holder wrote for this place.
    """
    body = content[len(_HEADER) :]
    nonce, hidden, mac = body[:_NONCE], body[_NONCE:-_MAC], body[-_MAC:]
    if (
        not content.startswith(_HEADER)
        or len(body) < _NONCE + _MAC
        or not hmac.compare_digest(mac, _mac(nonce, hidden, place=place, key=key))
    ):
        raise CacheError("was changed, cut short or moved: its authentication code does not hold")
    try:
        run, salt, model = unframed(_cipher(nonce, key).decryptor().update(hidden))
        return Parcel(run=decode(run.decode(), KeptRun), salt=salt, model=model)
    except ValueError:
        return None


def _cipher(nonce: bytes, key: CacheKey) -> Cipher[modes.CTR]:
    return Cipher(algorithms.AES256(key.encryption), modes.CTR(nonce))


def _mac(nonce: bytes, hidden: bytes, *, place: str, key: CacheKey) -> bytes:
    return hmac.digest(key.entries, framed(_HEADER, place.encode(), nonce, hidden), "sha256")
