"""Where a signing key is: a file, or a URI of a device or service that signs with a key which never leaves it."""

from __future__ import annotations

import re

from gatekeeper.errors import InvalidValueError

# Each scheme that is understood, and the extra that it needs.
EXTRAS = {"hsm": "hsm", "awskms": "kms", "azurekms": "kms", "gcpkms": "kms"}

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def scheme_of(key: str) -> str | None:
    """The scheme of a key's URI, or None for the path of a file.

    >>> scheme_of("hsm:2?label=gate"), scheme_of("keys/release.key"), scheme_of("./hsm:2")
    ('hsm', None, None)

    Raises:
        InvalidValueError: it looks like a URI, but of no scheme that is understood.
    """
    found = _URI.match(key)
    if found is None:
        return None
    scheme = found[1]
    if scheme not in EXTRAS:
        raise InvalidValueError(
            f"a key's URI begins with one of {', '.join(f'{known}:' for known in EXTRAS)}; got {key!r}",
            hint="PKCS #11: hsm:KEYID?label=TOKEN" if scheme == "pkcs11" else f"of a file: ./{key}",
        )
    return scheme
