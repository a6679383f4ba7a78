"""The folder of a cache: one entry for each candidate and policy, by name, of each key."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from gatekeeper.cache.files import read_regular
from gatekeeper.cache.keys import CacheKey
from gatekeeper.cache.parcel import Parcel, pack, unpack
from gatekeeper.core.framing import framed
from gatekeeper.core.reuse import Origin
from gatekeeper.errors import CacheError

_MOST_BYTES = 4 * 1024**3


class CacheFolder:
    """A folder of entries. Names are pseudonyms under the key: entries of other keys are other files.

    Args:
        path: the folder; `keep` makes it where there is none.
        key: authenticates and encrypts.
    """

    def __init__(self, path: Path, *, key: CacheKey) -> None:
        self._path = path
        self._key = key

    def place_of(self, origin: Origin) -> Path:
        """Where the newest run of a candidate and policy of these names lies."""
        kind = b"audit" if origin.audit_only else b"certify"
        words = framed(origin.candidate_name.encode(), origin.policy_name.encode(), kind)
        return self._path / f"{hmac.digest(self._key.names, words, 'sha256').hex()[:32]}.entry"

    def find(self, origin: Origin) -> Parcel | None:
        """The entry of a candidate and policy of these names; None where there is none that this version reads.

        Raises:
            CacheError: there is a file that this key's holder did not write there as it is; it names the file.
        """
        path = self.place_of(origin)
        try:
            content = read_regular(path, most=_MOST_BYTES)
            return None if content is None else unpack(content, place=path.name, key=self._key)
        except CacheError as error:
            raise CacheError(
                error.message,
                where=str(path),
                hint="nothing was trained or counted; find out who writes to the cache, then remove this file, or "
                "certify without --cache",
            ) from error

    def keep(self, parcel: Parcel) -> Path:
        """Write an entry, which appears whole or not at all, in place of an earlier one.

        Raises:
            CacheError: the folder can't be written.
        """
        path = self.place_of(parcel.run.origin)
        content = pack(parcel, place=path.name, key=self._key)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(f"can't be written: {error.strerror}", where=str(path)) from error
        return path
