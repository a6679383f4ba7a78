"""The ledger's key: what makes units recognisable to its owners alone, and entries theirs.

Design note: two subkeys are derived from the file's 32 bytes by HMAC-SHA256 with a label each (the key is
uniform, so HMAC is a pseudo-random function of the label: RFC 2104). Losing the key loses the ability to
recognise units; showing it lets others test guesses of who was in the data, and forge entries.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from gatekeeper.core.secret_file import write_once
from gatekeeper.errors import LedgerError

_KEY_BYTES = 32
_HEADER = "gatekeeper ledger key v1: back it up, show it to nobody"
_FILE = re.compile(re.escape(_HEADER) + r"\n([0-9a-f]{64})\n?")
_MAX_FILE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerKey:
    """The subkeys of a ledger key.

    Attributes:
        pseudonyms: names units; never printed.
        entries: authenticates entries; never printed.
        check: what a ledger stores to recognise its key: it tells nothing about the key.
    """

    pseudonyms: bytes = field(repr=False)
    entries: bytes = field(repr=False)
    check: str

    def pseudonym(self, identity: str) -> str:
        """Hex HMAC-SHA256 of an identity. A file's name may hold half characters: they are kept as they are."""
        return hmac.digest(self.pseudonyms, identity.encode("utf-8", "surrogatepass"), "sha256").hex()

    def mac(self, digest: str) -> str:
        """Hex HMAC-SHA256 of an entry's digest."""
        return hmac.digest(self.entries, digest.encode(), "sha256").hex()

    def made(self, mac: str, *, digest: str) -> bool:
        """Whether `mac` is the one of `digest` under this key."""
        return hmac.compare_digest(mac, self.mac(digest))


def derive(secret: bytes) -> LedgerKey:
    """The subkeys of 32 random bytes."""

    def labelled(label: bytes) -> bytes:
        return hmac.digest(secret, b"gatekeeper ledger v1: " + label, "sha256")

    return LedgerKey(
        pseudonyms=labelled(b"pseudonyms"), entries=labelled(b"entries"), check=labelled(b"which key is this").hex()
    )


def load_or_create(path: Path) -> LedgerKey:
    """The key in a file; where there is none, a new one, which is never overwritten.

    Raises:
        LedgerError: the file can't be used or made.
    """
    if not os.path.lexists(path):
        _create(path)
    return load(path)


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_once(path, f"{_HEADER}\n{secrets.token_bytes(_KEY_BYTES).hex()}\n")
    except OSError as error:
        raise LedgerError(f"the ledger's key can't be written: {error.strerror}", where=str(path)) from error


def load(path: Path) -> LedgerKey:
    """The key in a file that its owner alone can read, and that is no link.

    Raises:
        LedgerError: the file is missing, a link, open to others, or no ledger key.
    """
    text = _read_private_file(path)
    match = _FILE.fullmatch(text.decode("ascii", "replace"))
    if match is None:
        # What the file holds is not shown: it may be another secret.
        raise LedgerError("is no ledger key", where=str(path), hint="give the file that `gatekeeper ledger init` made")
    return derive(bytes.fromhex(match[1]))


def _read_private_file(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_without_links) as file:
            _check_private(os.fstat(file.fileno()).st_mode, path=path)
            return file.read(_MAX_FILE)
    except FileNotFoundError as error:
        raise LedgerError(
            "there is no such key file",
            where=str(path),
            hint="give the key that `gatekeeper ledger init` made, or a copy",
        ) from error
    except OSError as error:
        if path.is_symlink():
            raise LedgerError("is a link; a key is read from its own file", where=str(path)) from error
        raise LedgerError(f"the ledger's key can't be read: {error.strerror}", where=str(path)) from error


def _without_links(path: str, flags: int) -> int:
    """Open the file itself, without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _check_private(mode: int, *, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise LedgerError("is not a regular file", where=str(path), hint="give the ledger key's file")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise LedgerError(
            f"is open to others than its owner (mode {stat.S_IMODE(mode):04o})",
            where=str(path),
            hint=f"chmod 600 {path}",
        )
